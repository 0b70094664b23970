#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# Answers and requests that take their time pass unbuffered: server-sent events, long polls and a streamed upload, by clients as they are (curl, node, python
# httpx and aiohttp). Nothing is timed: the origin sends its second piece only when the client has shown the first.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
need python3
PY=/usr/bin/python3
STREAM=198.51.100.53
EXTRA_HOSTS[stream.test]=$STREAM
origins_up
mkdir -p "$TMP/go"
pki_leaf outside stream DNS:stream.test
spawn in_origin $PY "$ROOT/tests/e2e/stream_origin.py" $STREAM "$TMP/stream.pem" "$TMP/stream.key" "$TMP/go" >"$TMP/stream.log" 2>&1
wait_port in_host $STREAM 443 || { diag "$(tail -n 5 "$TMP/stream.log")"; exit 1; }
policy '"allow": "READ https://stream.test/**"' '"allow": "POST https://stream.test/up/**"' '"allow": "READ https://api.test/**"'

cat >"$TMP/with_httpx.py" <<'PY'
import sys, httpx, ssl
how, url = sys.argv[1:3]
# httpx knows SSL_CERT_FILE; this one takes the system's bundle, whatever the version's default is.
with httpx.Client(verify=ssl.create_default_context(), timeout=60, http2=how == "h2") as c:
    if how == "post":
        r = c.post(url, content=b"x")
        print(r.status_code, r.reason_phrase)
    elif how == "up":
        def body():
            yield b"first piece"
            sys.stdin.readline()
            yield b"second piece"
        print(c.post(url, content=body()).text, end="")
    else:
        with c.stream("GET", url) as r:
            if r.status_code != 200:
                print(r.status_code, r.reason_phrase)
            else:
                for line in r.iter_lines():
                    if line.strip(): print(line.strip(), flush=True)
PY
cat >"$TMP/with_aiohttp.py" <<'PY'
import asyncio, sys, aiohttp, ssl
async def main(how, url):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=ssl.create_default_context())) as s:
        if how == "up":
            async def body():
                yield b"first piece"
                await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
                yield b"second piece"
            async with s.post(url, data=body()) as r:
                print(await r.text(), end="")
            return
        async with (s.post(url, data=b"x") if how == "post" else s.get(url)) as r:
            if r.status != 200:
                print(r.status, r.reason)
            async for line in r.content:
                if r.status == 200 and line.strip(): print(line.decode().strip(), flush=True)
asyncio.run(main(*sys.argv[1:3]))
PY
cat >"$TMP/stream.js" <<'JS'
const [how, url] = process.argv.slice(2);
(async () => {
	const r = await fetch(url, how === 'post' ? { method: 'POST', body: 'x' } : {});
	if (!r.ok) return console.log(r.status, r.statusText);
	for await (const b of r.body) process.stdout.write(Buffer.from(b).toString().replace(/\n\n/g, '\n'));
})().catch(e => console.log(e.cause || e));
JS
client() { # name, how, url
	case $1 in
	curl) if [ "$2" = post ]; then job curl -sS -i -d x "$3"; else job curl -sSN --max-time 60 "$3"; fi ;;
	node) job node "$TMP/stream.js" "$2" "$3" ;;
	httpx | aiohttp) job $PY "$TMP/with_$1.py" "$2" "$3" ;;
	esac
}
there() {
	case $1 in
	httpx | aiohttp) $PY -c "import $1" 2>/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

for c in curl node httpx aiohttp; do
	there $c || { skip "$c" "not installed"; continue; }
	client $c get https://stream.test/events/$c >"$TMP/out.$c" 2>&1 &
	pid=$!
	t "$c: an event arrives while the answer is not over" wait_for 30 "grep -q 'data: first' '$TMP/out.$c'"
	is "$(grep -c 'data: second' "$TMP/out.$c")" 0 "$c: the second was not sent yet"
	touch "$TMP/go/go.$c"
	wait $pid
	like "$(cat "$TMP/out.$c")" 'data: second' "$c: and it arrives"
	client $c get https://stream.test/poll/$c-poll >"$TMP/out.$c" 2>&1 &
	pid=$!
	t "$c: a long poll is at the origin" wait_for 30 "[ -e '$TMP/go/asked.$c-poll' ]"
	touch "$TMP/go/go.$c-poll"
	wait $pid
	like "$(cat "$TMP/out.$c")" 'data: first' "$c: and is answered"
	enforced && like "$(client $c post https://api.test/hello.txt 2>&1)" 'Blocked by egret: no rule allows POST' "$c: prints the reason of a refusal"
done
for c in httpx aiohttp; do
	there $c || continue
	mkfifo "$TMP/in.$c"
	job $PY "$TMP/with_$c.py" up https://stream.test/up/$c <"$TMP/in.$c" >"$TMP/out.$c" 2>&1 &
	pid=$!
	exec 8>"$TMP/in.$c"
	t "$c: a body's first piece is at the origin before the second is written" wait_for 30 "[ -e '$TMP/go/seen.$c' ]"
	echo >&8
	exec 8>&-
	wait $pid
	is "$(cat "$TMP/out.$c")" '23 bytes' "$c: the upload is whole"
done
done_testing
