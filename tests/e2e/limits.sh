#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job against its own proxy (P5): too many connections, slow peers at each stage, huge heads, descriptors at their end. Each bound gives
# an answer or an end, and an event; the proxy neither spins nor falls over, and the next request is served.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need python3 prlimit
origins_up
policy '"allow": "GET https://api.test/**"' '"allow": "POST http://plain.test:8080/**"' '"allow": "GET http://plain.test:8080/**"'
JOB_OPTS=(--user nobody)
n=0
limits() { # members: another run_dir for another configuration
	n=$((n + 1))
	config "\"limits\": { $1 }"
	sed -i "s|\"$TMP/run\"|\"$TMP/run$n\"|" "$TMP/egret.json"
	export EGRET_RUN_DIR=$TMP/run$n
	events_clear
}
cat >"$TMP/peer.py" <<'PY'
import socket, sys, time
def to(host='plain.test', port=8080): return socket.create_connection((host, port), 10)
def rest(s, t=10):
    s.settimeout(t); b = b''
    try:
        while True:
            c = s.recv(65536)
            if not c: return b, 'end'
            b += c
    except TimeoutError: return b, 'open'
    except OSError: return b, 'reset'
def tell(label, s, since):
    b, how = rest(s)
    said = b.split(b'\r\n')[0].decode('latin-1') if b.startswith(b'HTTP/') else '%d bytes' % len(b)
    print(label, said, how, 'soon' if time.monotonic() - since < 6 else 'late', flush=True)
GET = b'GET /hello.txt HTTP/1.1\r\nHost: plain.test:8080\r\n'
PY
ask() { job env PYTHONPATH="$TMP" python3 -c "from peer import *
$1" 2>&1; }

limits '"connections": 8, "peek_ms": 60000'
out=$(ask "
held, dead = [], 0
for i in range(40):
    try: held.append(to())
    except OSError: dead += 1
time.sleep(0.5)
for s in held:
    s.setblocking(False)
    try: dead += s.recv(1) == b''
    except BlockingIOError: pass
    except OSError: dead += 1
print('dead', dead)
for s in held: s.close()
time.sleep(0.3)
s = to(); s.sendall(GET + b'Connection: close\r\n\r\n'); tell('next', s, time.monotonic())
time.sleep(1)")
like "$out" '^dead 32$' "limits.connections: the others are reset"
like "$out" '^next HTTP/1.1 200 OK end' "when they are gone the next is served"
like "$(events)" '"kind":"limit.hit".*"count":[3-9][0-9]' "and one event counts them"

limits '"peek_ms": 700, "handshake_ms": 700, "header_ms": 700, "keepalive_ms": 700, "idle_ms": 1000, "response_ms": 1000'
out=$(ask "
t = time.monotonic()
silent, hello, tls, half, slow, body, keep = to(), to(), to('api.test', 443), to(), to(), to(), to()
hello.sendall(b'\x16\x03\x01\x02\x00\x01\x00\x01')
import ssl
c = ssl._create_unverified_context(); i, o = ssl.MemoryBIO(), ssl.MemoryBIO(); w = c.wrap_bio(i, o, server_hostname='api.test')
try: w.do_handshake()
except ssl.SSLWantReadError: tls.sendall(o.read())
half.sendall(GET)
body.sendall(b'POST /post HTTP/1.1\r\nHost: plain.test:8080\r\nContent-Length: 10\r\n\r\nabc')
keep.sendall(GET + b'\r\n')
for k in range(40):
    try: slow.sendall((GET + b'X-Slow: ' + b'y' * 40)[k:k + 1])
    except OSError: break
    time.sleep(0.05)
for name in 'silent hello tls half slow body keep'.split(): tell(name, locals()[name], t)
s = to(); s.sendall(GET + b'Connection: close\r\n\r\n'); tell('next', s, time.monotonic())")
for one in silent hello; do like "$out" "^$one 0 bytes (reset|end) soon" "a peer that stops before its first bytes are whole ($one) is cut off"; done
like "$out" '^tls .* (reset|end) soon' "a handshake that stops is cut off"
like "$out" '^half HTTP/1.1 408 egret .* (reset|end) soon' "half a head: 408"
like "$out" '^slow HTTP/1.1 408 egret .* (reset|end) soon' "a byte now and then is no excuse"
like "$out" '^body HTTP/1.1 408 egret .* (reset|end) soon' "half a body: 408"
like "$out" '^keep HTTP/1.1 200 OK end soon' "between requests: closed"
like "$out" '^next HTTP/1.1 200 OK end' "and the next is served"
is "$(events | grep -c '"reason":"timeout"')" 6 "each of the six has its event"

limits '"header_bytes": 4096, "header_count": 10, "target_bytes": 256, "chunk_extension_bytes": 64'
out=$(ask "
def raw(label, text):
    s = to()
    try: s.sendall(text)
    except OSError: pass
    tell(label, s, time.monotonic())
raw('bytes', GET + b'X: ' + b'y' * 10000000 + b'\r\n\r\n')
raw('count', GET + b'X: 1\r\n' * 12 + b'\r\n')
raw('target', b'GET /' + b'a' * 1000 + b' HTTP/1.1\r\nHost: plain.test:8080\r\n\r\n')
raw('endless', b'GET /' + b'a' * 3000000)
raw('extension', b'POST /post HTTP/1.1\r\nHost: plain.test:8080\r\nTransfer-Encoding: chunked\r\n\r\n1;' + b'x' * 5000 + b'\r\na\r\n0\r\n\r\n')
raw('trailers', b'POST /post HTTP/1.1\r\nHost: plain.test:8080\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n' + b'X: ' + b'y' * 9000 + b'\r\n\r\n')
raw('fine', GET + b'Connection: close\r\n\r\n')")
for one in bytes:431 count:431 target:414 endless:414 extension:400 trailers:4; do
	like "$out" "^${one%:*} HTTP/1.1 ${one#*:}[0-9]* egret" "past its bound: ${one%:*}"
done
like "$out" '^fine HTTP/1.1 200 OK' "and the next is served"
like "$(events)" '"reason":"limit"' "with events"

# Out of descriptors: the listeners rest, nothing spins, and it is served again when some are free.
limits '"peek_ms": 60000'
: >"$TMP/pause"
cat >"$TMP/hold.py" <<'PY'
from peer import *
import os
held = [to() for i in range(90)]
open('%s/www/upload/held.%d' % (sys.argv[1], os.getpid()), 'w')
while os.path.exists(sys.argv[1] + '/pause'): time.sleep(0.02)
PY
(
	ulimit -n 160
	job env PYTHONPATH="$TMP" bash -c "
		for i in 1 2 3 4; do python3 '$TMP/hold.py' '$TMP' & done; wait
		python3 -c 'from peer import *
s = to(); s.sendall(GET + b\"Connection: close\\r\\n\\r\\n\"); tell(\"next\", s, time.monotonic())'" >"$TMP/emfile" 2>&1
) &
running=$!
t "the job holds 360 connections to a proxy of 160 descriptors" wait_for 30 "[ \$(ls '$TMP'/www/upload/held.* | wc -l) = 4 ]"
proxy=$(egret_pids egret-proxy | tail -n 1)
is "$(find "/proc/$proxy/fd" -mindepth 1 | wc -l)" 160 "and all of those are in use"
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
before=$(ticks "$proxy")
sleep 1.5
at_most $(($(ticks "$proxy") - before)) 15 "in 1.5 s the proxy uses hardly any time (1/100 s)"
rm -f "$TMP/pause"
wait $running
like "$(cat "$TMP/emfile")" '^next HTTP/1.1 200 OK' "it is served again when they are closed"
is "$(cat "/proc/$proxy/comm" 2>/dev/null || echo gone)" gone "and its proxy went with the job"
done_testing
