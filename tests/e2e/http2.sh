#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# HTTP/2 on either side, each combination with HTTP/1.1: curl and nghttp as clients, nginx as both kinds of origin. Bodies come whole, streams do not
# wait for each other, each request is judged and recorded alone. Without egret first where that says something (`direct`).
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
need jq nghttp h2load python3 node
# two.test speaks both, one.test HTTP/1.1 alone; upload asks for nothing of either.
both='location / { } location = /echo { default_type text/plain; return 200 "proto=$server_protocol auth=$http_authorization te=$http_te host=$http_host\n"; }
	location = /trailers { add_trailer X-Sum "sum-$request_method" always; alias '$TMP'/www/two.test/hello.txt; }
	location = /204 { return 204; } location = /304 { return 304; } location = /slow { limit_rate 8k; alias '$TMP'/www/two.test/big; }
	location /upload/ { alias '$TMP'/www/upload/; dav_methods PUT; dav_access all:rw; }
	location = /events { proxy_pass http://127.0.0.1:8097; proxy_buffering off; proxy_http_version 1.1; }'
NAMES+=' two.test one.test hint.test few.test'
NGINX_OWN='two.test one.test few.test'
NGINX_EXTRA=$(server two.test "$GOOD:444 ssl http2" good "http2_max_concurrent_streams 100; $both"; server one.test "$GOOD:445 ssl" good "$both"
	server few.test "$GOOD:448 ssl http2" good "http2_max_concurrent_streams 4; location / { return 200; }")
origins_up
for n in two one; do
	echo "hello from $n" >"$TMP/www/$n.test/hello.txt"
	head -c 3000000 /dev/urandom >"$TMP/www/$n.test/big"
done
cp "$TMP/www/two.test/big" "$TMP/www/one.test/big"
spawn in_origin python3 -c "
import socket, time
s = socket.create_server(('127.0.0.1', 8097))
while True:
    c = s.accept()[0]; c.recv(65536)
    c.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n')
    for i in range(3):
        c.sendall(b'data: %d\n\n' % i); time.sleep(0.4)
    c.close()"
cat >"$TMP/hints.js" <<'JS'
const https = require('https'), http2 = require('http2'), fs = require('fs'), [addr, pem, key] = process.argv.slice(2);
const tls = { cert: fs.readFileSync(pem), key: fs.readFileSync(key) };
for (const s of [http2.createSecureServer(tls).listen(446, addr), https.createServer(tls).listen(447, addr)])
	s.on('request', (q, r) => r.end('not asked\n')).on('checkContinue', (q, r) => {
		r.writeContinue();
		let n = 0;
		q.on('data', (d) => (n += d.length)).on('end', () => { r.writeEarlyHints({ link: '</a>; rel=preload' }); r.end(`${q.httpVersion} got ${n}\n`); });
	});
JS
cat >"$TMP/asks.js" <<'JS'
const c = require('http2').connect(process.argv[2]).on('error', (e) => console.log(e.message));
const q = c.request({ ':method': 'POST', ':path': '/up', expect: '100-continue' });
q.on('continue', () => { console.log('continue'); q.end('abc'); });
q.on('headers', (h) => h[':status'] === 100 || console.log('interim', h[':status'], h.link));
q.on('response', (h) => console.log('answer', h[':status']));
q.on('data', (d) => process.stdout.write(d)).on('end', () => c.close()).on('error', (e) => console.log(e.message));
setTimeout(() => { console.log('late'); process.exit(1); }, 12000).unref();
JS
spawn in_origin node "$TMP/hints.js" $GOOD "$TMP/good.pem" "$TMP/good.key" >"$TMP/hints.log" 2>&1
for p in 446 447; do wait_port in_host $GOOD $p || { diag "$(tail -n 3 "$TMP/hints.log")"; exit 1; }; done
policy '"allow": "GET https://few.test:448/**"' '"allow": "GET,HEAD,PUT https://two.test:444/**"' '"allow": "GET,HEAD,PUT https://one.test:445/**"' \
	'"allow": "POST https://hint.test:446/**"' '"allow": "POST https://hint.test:447/**"'
curl=(curl -sS --max-time 20)
version() { job "${curl[@]}" "$@" -o /dev/null -w '%{http_version} %{http_code}'; }

for to in two.test:444 one.test:445; do
	for by in --http2 --http1.1; do
		v=2
		[ $by = --http2 ] || v=1.1
		what="$by to $to"
		# The whole of one combination is one job, whose connections are pooled.
		job bash -c '
			c=(curl -sS --max-time 20 '$by'); cd "$1"
			"${c[@]}" -o /dev/null -w "version %{http_version}\n" https://'$to'/hello.txt
			"${c[@]}" https://'$to'/hello.txt
			"${c[@]}" -o body https://'$to'/big && cmp -s body www/two.test/big && echo whole
			"${c[@]}" -T www/two.test/big https://'$to'/upload/up && cmp -s www/upload/up www/two.test/big && echo uploaded
			"${c[@]}" -T - https://'$to'/upload/piped <www/two.test/big && cmp -s www/upload/piped www/two.test/big && echo piped
			"${c[@]}" -I https://'$to'/hello.txt | tr -d "\r" | grep -i "^content-length"
			"${c[@]}" -o /dev/null -o /dev/null -o /dev/null -w "%{http_code} " https://'$to'/204 https://'$to'/304 https://'$to'/missing; echo
			"${c[@]}" --raw -D - https://'$to'/trailers | tr -d "\r" | grep -i "^x-sum:"
			"${c[@]}" -X POST -d x=1 -o /dev/null -w "post %{http_code}\n" https://'$to'/hello.txt
			"${c[@]}" https://'$to'/echo' - "$TMP" >"$TMP/out" 2>"$TMP/err"
		out=$(cat "$TMP/out")
		like "$out" "^version $v\$" "$what: the client's version" || diag "$(head -n 5 "$TMP/err")"
		like "$out" "^hello from ${to%%.*}\$" "$what: GET"
		like "$out" '^whole$' "$what: 3 MB down"
		like "$out" '^uploaded$' "$what: 3 MB up"
		like "$out" '^piped$' "$what: 3 MB up, length unknown"
		like "$out" '^[Cc]ontent-[Ll]ength: 15$' "$what: HEAD says the length"
		like "$out" '^204 304 404 $' "$what: 204, 304, 404"
		# nginx says a length beside them in HTTP/2, behind which no client of HTTP/1.1 could read any, and curl does not.
		[ $to = two.test:444 ] || like "$out" '^[Xx]-[Ss]um: sum-GET$' "$what: trailers"
		like "$out" '^post 403$' "$what: what no rule allows"
		# ALPN follows the client's (e2e/upstreams): one of HTTP/1.1 brings no HTTP/2 about.
		like "$out" "^proto=HTTP/$([ "$v ${to%%.*}" = '2 two' ] && echo 2.0 || echo 1.1) .*host=$to\$" "$what: what the upstream speaks"
	done
done
is "$(origin_count ' POST ')" 0 "nothing that was refused reached an origin"
is "$(events | jq -c 'select(.kind=="http.request" and .verdict=="allow")' | wc -l)" "$(events | jq -c 'select(.kind=="http.response")' | wc -l)" "each request that was let out has its end"

# ---- many at once ----

job bash -c 'cd "$1"; (for i in {1..60}; do echo "url = https://two.test:444/hello.txt?$i"; echo "output = /dev/null"; done) >urls
	curl -sS --http2 --parallel --parallel-max 60 -K urls -w "%{num_connects} %{http_code}\n" | sort | uniq -c' - "$TMP" >"$TMP/out" 2>&1
is "$(awk '$3 == 200 { n += $1 } END { print n }' "$TMP/out")" 60 "60 requests at once" || diag "$(cat "$TMP/out")"
: >"$TMP/www/access.log"
out=$(job h2load -n 400 -c 2 -m 32 https://two.test:444/hello.txt 2>&1)
like "$out" '400 succeeded, 0 failed' "h2load: 400 requests, 32 streams"
is "$(origin_count ' GET /hello.txt 200')" 400 "and 400 reached the origin"
# More at once than the origin takes, before it could say so.
out=$(job h2load -n 120 -c 2 -m 60 https://few.test:448/ 2>&1)
like "$out" '120 succeeded, 0 failed' "an origin of four streams at once: 60 come at once, none is lost"

# A stream that is slow, or whose reader is, holds up no other of its connection.
job timeout 3 nghttp -v https://two.test:444/slow https://two.test:444/hello.txt >"$TMP/out" 2>&1
like "$(cat "$TMP/out")" 'hello from two' "one slow stream holds up no other"

like "$(job nghttp -v https://two.test:444/trailers 2>&1)" '\(stream_id=13\) x-sum: sum-GET' "trailers from end to end"

# ---- unbuffered ----

job curl -sSN --http2 --max-time 10 https://two.test:444/events | while read -r line; do [ -z "$line" ] || echo "$(now_ms) $line"; done >"$TMP/out"
t "server-sent events come one by one" awk 'NR == 1 { a = $1 } NR == 3 { exit !($1 - a > 500) } END { exit NR < 3 }' "$TMP/out" || diag "$(cat "$TMP/out")"

# ---- interim answers: who waits for 100 before the body gets the origin's, and 103 comes before the answer ----

for p in 446 447; do
	v=$([ $p = 446 ] && echo 2.0 || echo 1.1)
	# Longer than it waits for the answer: a 100 that is lost is a failure, not a second.
	out=$(job curl -sSv --http1.1 --max-time 10 --expect100-timeout 30 -H 'Expect: 100-continue' -d abc https://hint.test:$p/up 2>&1 | tr -d '\r')
	is "$(grep -Ei '^< (HTTP|link)|got' <<<"$out" | cut -c1-30 | grep -oiE 'HTTP/1.1 [0-9]+|link|[0-9.]+ got 3' | tr L l | tr '\n' ',')" "HTTP/1.1 100,HTTP/1.1 103,link,HTTP/1.1 200,$v got 3," \
		"HTTP/1.1 to HTTP/$v: 100, 103 and the answer" || diag "$(tail -n 20 <<<"$out")"
	is "$(job node "$TMP/asks.js" https://hint.test:$p 2>&1 | tr '\n' ',')" "continue,interim 103 </a>; rel=preload,answer 200,$v got 3," "HTTP/2 to HTTP/$v: the same"
done

# ---- an upstream that is lost in the middle of an answer ----

(wait_for 10 "[ -e $TMP/out.kill ]" && pkill -9 -P "$NGINX_PID") &
chmod 777 "$TMP"
job bash -c 'cd "$1"; curl -sS --http2 --max-time 10 -o /dev/null https://two.test:444/slow & sleep 0.5; : >out.kill; wait $!; echo "ended $?"; sleep 0.5
	curl -sS --http2 --max-time 10 https://two.test:444/hello.txt' - "$TMP" >"$TMP/out" 2>"$TMP/err"
like "$(cat "$TMP/out")" '^ended [1-9]' "the client sees that the answer broke off"
like "$(cat "$TMP/out")" '^hello from two' "the next request is served"
unlike "$(cat "$TMP/err")" 'egret-proxy ended' "by the same proxy"
like "$(events | jq -r 'select(.kind=="http.response" and .reason=="upstream_lost") | .http.url')" '/slow$' "and the record says what happened"

# ---- what is refused ----

out=$(job "${curl[@]}" --http2 -i -H 'Host: evil.test:444' https://two.test:444/hello.txt 2>&1)
like "$out" '^HTTP/2 421' "another :authority on the connection"
out=$(job nghttp -v -H 'x-bad: a' -H 'connection: x-bad' https://two.test:444/hello.txt 2>&1)
unlike "$out" 'hello from two' "Connection in HTTP/2"
out=$(job nghttp -v -H ':method: CONNECT' https://two.test:444/ 2>&1)
unlike "$out" ':status: 200' "CONNECT"
out=$(job nghttp -v -H ':path: /a/../hello.txt' https://two.test:444/hello.txt 2>&1)
like "$out" ':status: 400' "dot segments"
out=$(job nghttp -v -H 'alt: x' https://two.test:444/hello.txt 2>&1)
unlike "$out" 'PUSH_PROMISE' "no push"
done_testing
