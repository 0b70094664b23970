#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tls:// and tcp://: bytes that egret does not open. TLS only under the server name of the rule, a server that speaks first, half-closed
# connections, much data both ways, and a reload that closes what is not allowed any more is in daemon.sh.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
need python3 socat
origins_up
config '"limits": { "peek_ms": 1000, "idle_ms": 1500, "tunnel_idle_ms": 5000 }'
# A server as sshd is one: it speaks first, then echoes; it ends when its client has said all.
spawn in_origin socat TCP-LISTEN:2222,bind=$GOOD,fork,reuseaddr SYSTEM:'echo SSH-2.0-test; cat'
spawn in_origin socat TCP-LISTEN:2223,bind=$GOOD,fork,reuseaddr SYSTEM:'echo SSH-2.0-test; cat'
spawn in_origin socat "TCP6-LISTEN:2222,bind=[$GOOD6],fork,reuseaddr" SYSTEM:'echo SSH-2.0-six; cat'
wait_port in_host $GOOD 2222
wait_port in_host $GOOD 2223
policy '"allow": "tls://files.test:443"' '"allow": "tcp://api.test:2222"' '"allow": "GET https://api.test/**"' '"allow": "tcp://[2001:db8:51::10]:2222"'
JOB_OPTS=(--user nobody)
get=(curl -sS --max-time 20 -o /dev/null -w '%{http_code}' --cacert "$TMP/outside.pem")
last() { events | grep -F "\"kind\":\"$1\"" | tail -n 1; }

is "$(job "${get[@]}" https://files.test/none)" 404 "tls://: the client sees the real certificate"
like "$(last tls.passthrough)" '"verdict":"allow".*"rule":"r1".*"host":"files.test"' "and there is an event with the rule"
like "$(last connect.end)" '"bytes":\{"out":[1-9]' "and one with its bytes"
is "$(job "${get[@]}" https://api.test/hello.txt 2>/dev/null)" 000 "a host without such a rule is opened: not the real certificate"
is "$(job "${get[@]}" https://evil.test/ 2>/dev/null)" 000 "another host is not passed"
before=$(origin_log | wc -l)
job openssl s_client -connect files.test:443 -servername evil.test </dev/null >"$TMP/out" 2>&1
unlike "$(cat "$TMP/out")" 'BEGIN CERTIFICATE' "another server name on that connection: no handshake"
like "$(events | tail -n 3)" '"verdict":"deny","reason":"host_mismatch"' "with an event"
job openssl s_client -connect files.test:443 -noservername </dev/null >"$TMP/out" 2>&1
unlike "$(cat "$TMP/out")" 'BEGIN CERTIFICATE' "no server name: no handshake"
job bash -c 'exec 3<>/dev/tcp/files.test/443; printf "SSH-2.0-x\r\n" >&3; timeout 5 cat <&3 | wc -c' >"$TMP/out" 2>&1
is "$(tail -n 1 "$TMP/out")" 0 "bytes that are not TLS are not passed to a tls:// host"
job curl -sS --max-time 10 -i http://files.test:443/ >"$TMP/out" 2>&1
like "$(head -n 1 "$TMP/out")" '^HTTP/1.1 403 Blocked by egret' "cleartext HTTP to it neither"
is "$(origin_log | wc -l)" "$before" "none of these reached an origin"

cat >"$TMP/ssh.py" <<'PY'
import hashlib, os, socket, sys, threading
def talk(host, port, size):
    s = socket.create_connection((host, port), 10); s.settimeout(20)
    f = s.makefile('rb'); banner = f.readline()
    data = os.urandom(size); h = hashlib.sha256(); n = 0
    def send(): s.sendall(data); s.shutdown(socket.SHUT_WR)
    t = threading.Thread(target=send); t.start()
    while True:
        c = f.read1(65536)
        if not c: break
        h.update(c); n += len(c)
    t.join()
    return banner.decode().strip(), n, h.digest() == hashlib.sha256(data).digest()
print(*talk(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
PY
is "$(job python3 "$TMP/ssh.py" api.test 2222 20 2>&1)" 'SSH-2.0-test 20 True' "tcp://: the server's greeting comes first, and the end of one side does not end the other"
like "$(last connect)" '"verdict":"allow".*"rule":"r2"' "and there is an event with the rule"
is "$(job python3 "$TMP/ssh.py" api.test 2222 8000000 2>&1)" 'SSH-2.0-test 8000000 True' "8 MB there and back, byte for byte"
like "$(last connect.end)" '"bytes":\{"out":8000000,"in":8000013\}' "its bytes are counted"
is "$(job python3 "$TMP/ssh.py" 2001:db8:51::10 2222 20 2>&1)" 'SSH-2.0-six 20 True' "tcp:// to an IPv6 address"
unlike "$(job timeout 10 python3 "$TMP/ssh.py" api.test 2223 20 2>&1)" 'SSH-2.0' "another port of the same host"
unlike "$(job timeout 10 python3 "$TMP/ssh.py" 198.51.100.10 2222 20 2>&1)" 'SSH-2.0' "the same address without the name"
unlike "$(job timeout 10 python3 "$TMP/ssh.py" 2001:db8:51::20 2222 20 2>&1)" 'SSH-2.0' "an address beside the rule's"
# A database's client may compute for longer than an answer may take; not for ever.
is "$(job python3 -c '
import socket, sys, time
s = socket.create_connection(("api.test", 2222), 10); f = s.makefile("rb"); f.readline()
time.sleep(2.5); s.sendall(b"x\n"); print(f.readline().decode().strip(), flush=True)
s.settimeout(30); t = time.monotonic()
try: gone = not f.read(1)
except ConnectionResetError: gone = True
print(gone, 4 < time.monotonic() - t < 20)' 2>&1 | tr '\n' ' ')" 'x True True ' "tcp:// may rest past limits.idle_ms, and is ended at limits.tunnel_idle_ms"
like "$(last connect.end)" '"reason":"timeout"' "which its event says"
# The same rule by an explicit proxy.
like "$(job bash -c 'exec 3<>/dev/tcp/proxy.test/3128; printf "CONNECT api.test:2222 HTTP/1.1\r\n\r\n" >&3; timeout 5 head -n 3 <&3' 2>&1 | tr -d '\r' | tr '\n' ' ')" '^HTTP/1.1 200 .*SSH-2.0-test ' \
	"CONNECT to a tcp:// host"
unlike "$(job bash -c 'exec 3<>/dev/tcp/proxy.test/3128; printf "CONNECT api.test:2223 HTTP/1.1\r\n\r\n" >&3; timeout 5 cat <&3' 2>&1)" 'SSH-2.0' "CONNECT to another port"
done_testing
