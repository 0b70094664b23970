#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# WebSockets by rule: real clients (python's websockets and aiohttp, and node where it has one) against a real server through egret; without the word
# WEBSOCKET a handshake is refused in words, whatever else is allowed; an origin that answers the handshake wrongly is refused; a policy that takes the rule
# away ends what stands.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
PY=/usr/bin/python3
PEER=$ROOT/tests/e2e/websocket_peer.py
$PY -c 'import websockets' 2>/dev/null || skip_all "python3-websockets is not installed"
WS=198.51.100.53
EXTRA_HOSTS[ws.test]=$WS EXTRA_HOSTS[wrong.test]=198.51.100.54
origins_up
in_origin ip addr add 198.51.100.54/24 dev "vo$$"
pki_leaf outside ws DNS:ws.test && pki_leaf outside wrong DNS:wrong.test
spawn in_origin $PY "$PEER" serve $WS "$TMP/ws.pem" "$TMP/ws.key" >"$TMP/ws.log" 2>&1
spawn in_origin $PY "$PEER" wrong 198.51.100.54 "$TMP/wrong.pem" "$TMP/wrong.key" >"$TMP/wrong.log" 2>&1
wait_port in_host $WS 443 && wait_port in_host 198.51.100.54 443 || { diag "$(tail -n 5 "$TMP/ws.log" "$TMP/wrong.log")"; exit 1; }
config '"limits": { "idle_ms": 1500 }'
policy '"allow": "WEBSOCKET https://ws.test/live/**"' '"allow": "ANY https://ws.test/any/**"' '"allow": "WEBSOCKET https://wrong.test"' '"allow": "GET https://api.test/**"'

is "$(job $PY "$PEER" websockets wss://ws.test/live/echo 2>&1 | tr '\n' ' ')" 'same chat closed 1000 ' "websockets: a hundred times there and back, 1 MiB, an orderly end"
is "$(job $PY "$PEER" rest wss://ws.test/live/echo 2>&1 | tail -n 1)" 'still there' "it may rest for longer than an answer may (limits.tunnel_idle_ms)"
like "$(job $PY "$PEER" websockets wss://ws.test/live/first 2>&1)" 'the server speaks first' "websockets: what the server says at once arrives"
if $PY -c 'import aiohttp' 2>/dev/null; then
	is "$(job $PY "$PEER" aiohttp wss://ws.test/live/echo 2>&1 | tr '\n' ' ')" 'same closed 1000 ' "aiohttp: the same"
else
	skip "aiohttp" "not installed"
fi
cat >"$TMP/ws.js" <<'JS'
const ws = new WebSocket(process.argv[2]);
let n = 0;
ws.onopen = () => ws.send('0');
ws.onmessage = m => ++n < 50 ? ws.send(String(n)) : ws.close(1000);
ws.onclose = e => console.log(n, e.code);
ws.onerror = e => console.log('error', e.message || '');
JS
if node --experimental-websocket -e 'new WebSocket' 2>&1 | grep -q 'not defined\|bad option'; then
	skip "node" "this one has no WebSocket"
else
	is "$(job node --experimental-websocket "$TMP/ws.js" wss://ws.test/live/echo 2>/dev/null)" '50 1000' "node: there and back"
fi
enforced || done_testing

# ---- without the word, and what is no handshake ----
shake=(-sS -i --http1.1 --max-time 20 -H 'Connection: Upgrade' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')
like "$(job curl "${shake[@]}" -H 'Upgrade: websocket' https://ws.test/any/echo)" '^HTTP/1.1 403 Blocked by egret: no rule allows WEBSOCKET ws.test/any/echo' "ANY does not hold it"
like "$(job curl "${shake[@]}" -H 'Upgrade: websocket' https://ws.test/any/echo)" '"allow": "WEBSOCKET https://ws\.test/any/echo"' "the line that would allow it"
like "$(job $PY "$PEER" websockets wss://ws.test/any/echo 2>&1)" '403' "websockets: shows the status"
$PY -c 'import aiohttp' 2>/dev/null && like "$(job $PY "$PEER" aiohttp wss://ws.test/any/echo 2>&1)" '403' "aiohttp: shows the status"
like "$(job curl "${shake[@]}" -H 'Upgrade: tunnel' https://ws.test/live/x)" '403 Blocked by egret: no rule names an upgrade to tunnel' "another upgrade is refused"
like "$(job curl "${shake[@]}" -H 'Upgrade: websocket, tunnel' https://ws.test/live/x)" '403 Blocked by egret: no rule names an upgrade' "also beside a WebSocket"
like "$(job curl -sS -i --http1.1 --max-time 20 -H 'Connection: Upgrade' -H 'Upgrade: websocket' https://ws.test/live/x)" '^HTTP/1.1 400 egret refused the request: only version 13' "half a handshake"
like "$(job curl -sS -i --http1.1 --max-time 20 https://ws.test/live/x)" '^HTTP/1.1 403 Blocked by egret: no rule allows GET' "the rule allows no GET"
like "$(job curl -sS -i --http1.1 --max-time 20 -X WEBSOCKET https://ws.test/live/x)" '^HTTP/1.1 501' "WEBSOCKET is no method"
is "$(job curl -sS --http2 --max-time 20 https://api.test/hello.txt)" 'hello from api' "an offer that a server may leave changes nothing"

# ---- an origin that is wrong ----
for row in 'plain 502.*plain request' 'nokey 502.*did not read' 'other 502.*no WebSocket' 'denied 401' 'gone 502'; do
	out=$(job curl "${shake[@]}" -H 'Upgrade: websocket' "https://wrong.test/${row%% *}")
	like "$out" "^HTTP/1.1 ${row#* }" "the origin answers /${row%% *}"
	unlike "$out" 'secret' "and nothing of another answer arrives"
done

# ---- the record ----
log=$(events)
like "$log" '"kind":"http.request".*"verdict":"allow".*"method":"WEBSOCKET".*ws\.test/live/echo' "the handshake is recorded before it goes out"
like "$(grep '"kind":"http.response"' <<<"$log" | grep live/echo)" '"status":101' "its end is, with the status"
bytes=$(grep '"kind":"http.response"' <<<"$log" | grep '"status":101' | jq -s 'map(.bytes.out) | max')
like "$([ "${bytes:-0}" -gt 1048576 ] && echo more)" more "with the bytes of both ways ($bytes out)"

# ---- a policy that changes ----
daemon_config
wait_for 10 '[ -z "$(egret_pids egretd)" ]'
installed ws '"allow": "WEBSOCKET https://ws.test/live/**"'
daemon_start || done_testing
JOB_OPTS=(--label repo=ws --label event=push)
daemon_job $PY "$PEER" hold wss://ws.test/live/hold >"$TMP/hold.out" 2>&1 &
pid=$!
t "a WebSocket stands" wait_for 20 "grep -q up '$TMP/hold.out'"
loads() { stream | grep -c '"kind":"policy.load"'; }
before=$(loads)
installed ws '"allow": "WEBSOCKET https://ws.test/live/**"' '"allow": "GET https://api.test/**"'
kill -HUP "$DAEMON"
t "the policy is read anew" wait_for 10 "[ \$(loads) -gt $before ]"
is "$(grep -c ended "$TMP/hold.out")" 0 "a change that leaves its rule leaves it"
installed ws '"allow": "GET https://api.test/**"'
kill -HUP "$DAEMON"
t "a change that takes its rule away ends it" wait_for 20 "grep -q ended '$TMP/hold.out'"
wait $pid
like "$(stream | grep '"kind":"http.response"')" 'the policy was changed' "and says why in the record"
daemon_stop
done_testing
