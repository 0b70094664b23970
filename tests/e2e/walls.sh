#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# P1 from inside: host network with the host's own services beside it, sockets of the host in /run, new namespaces, other kinds of sockets,
# other ways to connect. Each attempt is made by a program in the job that says what it got; the outside counts what arrived.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
need python3 socat
origins_up
spawn in_origin "$(helper sink)" "$TMP/dns.log" 198.51.100.53:53 "api.test=$GOOD"
spawn in_origin "$(helper sink)" "$TMP/udp.log" $EVIL:443
: >"$TMP/dns.log"
: >"$TMP/udp.log"
# Services of the host: on loopback, on its own address, and sockets in the file system.
spawn in_host socat TCP-LISTEN:7001,bind=127.0.0.1,fork,reuseaddr SYSTEM:'echo host-loopback; sleep 1'
spawn in_host socat TCP6-LISTEN:7001,bind=[::1],fork,reuseaddr SYSTEM:'echo host-loopback; sleep 1'
spawn in_host socat TCP-LISTEN:7002,bind=198.51.100.1,fork,reuseaddr SYSTEM:'echo host-address; sleep 1'
spawn in_host socat UDP-RECVFROM:7003,bind=127.0.0.1,fork SYSTEM:"echo got >>'$TMP/hostudp'"
mkdir -p "/run/egret-test-$$" && at_exit "rm -rf '/run/egret-test-$$'"
spawn in_host socat "UNIX-LISTEN:/run/egret-test-$$/engine.sock,fork,mode=0666" SYSTEM:'echo engine; sleep 1'
wait_for 5 "[ -S '/run/egret-test-$$/engine.sock' ]"
# And where /run does not reach: any other folder, and the names without a file.
chmod 755 "$TMP"
spawn in_host socat "UNIX-LISTEN:$TMP/agent.sock,fork,mode=0666" SYSTEM:'echo agent; sleep 1'
spawn in_host socat "ABSTRACT-LISTEN:egret-test-$$,fork" SYSTEM:'echo abstract; sleep 1'
wait_port in_host 127.0.0.1 7001
wait_port in_host 198.51.100.1 7002
t "the host's socket answers outside of the job" bash -c "echo | socat -t2 - 'UNIX-CONNECT:/run/egret-test-$$/engine.sock' | grep -q engine"
policy '"allow": "GET https://api.test/**"' '"allow": "GET http://plain.test:8080/**"'
cat >"$TMP/try.py" <<'PY'
import ctypes, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def say(what, got): print(what, got, flush=True)
def attempt(what, f):
    try: say(what, f())
    except (OSError, EOFError) as e: say(what, 'refused %s' % type(e).__name__)
def tcp(host, port, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0, first=None):
    def go():
        s = socket.socket(family, kind, proto); s.settimeout(4); s.connect((host, port))
        s.sendall(first or b'GET / HTTP/1.1\r\nHost: %s\r\n\r\n' % host.encode())
        b = s.recv(200)
        return 'got ' + b.decode('latin-1').split('\r\n')[0].strip() if b else 'closed'
    return go
def udp(host, port, data=b'x', family=socket.AF_INET):
    def go():
        s = socket.socket(family, socket.SOCK_DGRAM); s.sendto(data, (host, port)); return 'sent'
    return go
def unix(path):
    def go():
        s = socket.socket(socket.AF_UNIX); s.settimeout(4); s.connect(path); s.sendall(b'\n'); return 'got ' + s.recv(100).decode().strip()
    return go
def fastopen(host, port):
    def go():
        s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 4, 0)); s.sendto(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 0x20000000, (host, port))
        b = s.recv(200)
        return 'got ' + b.decode('latin-1').split('\r\n')[0] if b else 'closed'
    return go
def opened(*a):
    def go(): socket.socket(*a).close(); return 'opened'
    return go
def call(n, *a):
    def go():
        if libc.syscall(n, *a) < 0: raise OSError(ctypes.get_errno(), 'x')
        return 'allowed'
    return go
attempt('loopback', tcp('127.0.0.1', 7001))
attempt('loopback6', tcp('::1', 7001, socket.AF_INET6))
attempt('mapped', tcp('::ffff:127.0.0.1', 7001, socket.AF_INET6))
attempt('other127', tcp('127.8.9.10', 7001))
attempt('zero', tcp('0.0.0.0', 7001))
attempt('hostaddr', tcp('198.51.100.1', 7002))
attempt('evil', tcp('198.51.100.20', 80))
attempt('mptcp', tcp('198.51.100.20', 80, proto=262))
attempt('fastopen', fastopen('198.51.100.20', 80))
attempt('loopudp', udp('127.0.0.1', 7003))
attempt('quic', udp('198.51.100.20', 443))
attempt('quic6', udp('::ffff:198.51.100.20', 443, family=socket.AF_INET6))
attempt('broadcast', udp('255.255.255.255', 443))
attempt('multicast', udp('224.0.0.251', 5353))
attempt('engine', unix(sys.argv[1]))
attempt('control', unix(sys.argv[2]))
attempt('agent', unix(sys.argv[3]))
attempt('abstract', unix('\0' + sys.argv[4]))
for name, a in (('raw', (2, 3, 1)), ('rawip', (2, 3, 255)), ('ping', (2, 2, 1)), ('sctp', (2, 1, 132)), ('udplite', (2, 2, 136)), ('packet', (17, 3, 0)),
                ('vsock', (40, 1, 0)), ('alg', (38, 5, 0)), ('xdp', (44, 3, 0)), ('bluetooth', (31, 3, 0)), ('can', (29, 3, 1)), ('kcm', (41, 2, 0))):
    attempt(name, opened(*a))
attempt('io_uring', call(425, 8, ctypes.create_string_buffer(256)))
attempt('bpf', call(321, 0, ctypes.create_string_buffer(128), 128))
attempt('setns', lambda: call(308, os.open('/proc/1/ns/net', os.O_RDONLY), 0)())
attempt('ptrace', call(101, 16, 1, 0, 0))
attempt('umount', call(166, b'/run', 2))
attempt('killinit', lambda: (os.kill(1, 9), 'sent')[1])
PY
try() { job python3 "$TMP/try.py" "/run/egret-test-$$/engine.sock" "$TMP/run/control.sock" "$TMP/agent.sock" "egret-test-$$" 2>&1; }
said() { sed -n "s/^$1 //p" <<<"$out"; }
closed() { # what is the same in both worlds
	for one in evil mptcp fastopen; do unlike "$(said $one)" 'got (HTTP/1.1 200|HTTP/1.1 404)|^$' "$1: a host that no rule names ($one)"; done
	for one in zero loopudp quic quic6 broadcast multicast; do like "$(said $one)" '^refused' "$1: refused at once ($one)"; done
	for one in engine control agent abstract; do like "$(said $one)" '^refused' "$1: a socket of the host ($one)"; done
	for one in raw rawip ping sctp udplite packet vsock alg xdp bluetooth can kcm; do like "$(said $one)" '^refused' "$1: no $one socket"; done
	for one in io_uring bpf setns ptrace umount; do like "$(said $one)" '^refused' "$1: no $one"; done
}
# The same program without egret shows that each of these ways is open on this machine, so that "refused" below is egret's doing.
out=$(in_host setpriv --reuid=65534 --regid=65534 --clear-groups env PATH=/usr/bin:/bin python3 "$TMP/try.py" "/run/egret-test-$$/engine.sock" "$TMP/run/control.sock" "$TMP/agent.sock" "egret-test-$$" 2>&1)
for one in loopback:host- loopback6:host- mapped:host- hostaddr:host- evil:HTTP mptcp:HTTP engine:engine agent:agent abstract:abstract; do like "$(said ${one%:*})" "^got ${one#*:}" "without egret: ${one%:*} is open"; done
for one in loopudp quic quic6; do is "$(said $one)" sent "without egret: $one is open"; done
wait_for 5 "[ -e '$TMP/hostudp' ]"
rm -f "$TMP/hostudp"
: >"$TMP/udp.log"
: >"$TMP/www/access.log"
for JOB_NET in none host; do
	JOB_OPTS=(--user nobody --net $JOB_NET)
	out=$(try)
	# (In a namespace of its own UDP to the own loopback is the job's own affair: nobody hears it.)
	[ $JOB_NET = host ] || out=$(sed 's/^loopudp sent/loopudp refused/' <<<"$out")
	closed "$JOB_NET"
	for one in loopback loopback6 mapped other127 hostaddr; do unlike "$(said $one)" 'host-|^$' "$JOB_NET: not the host's service ($one)"; done
done
t "no datagram of theirs reached the host" test ! -e "$TMP/hostudp"
is "$(grep -c . "$TMP/udp.log")" 0 "nor the outside"
is "$(origin_count .)" 0 "no request reached an origin"

# Host network: what is allowed works, by name and by the address behind it.
JOB_OPTS=(--user nobody --net host)
is "$(job curl -sS --max-time 20 -o /dev/null -w '%{http_code}' -H 'Host: plain.test:8080' http://198.51.100.10:8080/hello.txt)" 200 "host: a raw address, judged by the name that is said"
is "$(job curl -sS --max-time 20 -o /dev/null -w '%{http_code}' http://198.51.100.10:8080/hello.txt)" 403 "host: the same without a name"
is "$(job python3 -c '
import socket, struct
q = struct.pack(">HHHHHH", 7, 256, 1, 0, 0, 0) + b"\3api\4test\0\0\1\0\1"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.sendto(q, ("198.51.100.53", 53)); a, f = s.recvfrom(512); print(f[0], a[-4])')" '198.51.100.53 198' \
	"host: DNS is answered by egret, with a synthetic address"
is "$(grep -c . "$TMP/dns.log")" 0 "host: no query left"
# A process of the host beside the job is not the job: it gets nothing from the job's listeners.
: >"$TMP/pause"
job bash -c "curl -sS --max-time 20 -o /dev/null http://plain.test:8080/hello.txt; touch '$TMP/www/upload/here'; while [ -e '$TMP/pause' ]; do sleep 0.05; done" >"$TMP/out" 2>&1 &
running=$!
wait_for 20 "[ -e '$TMP/www/upload/here' ]"
before=$(origin_log | wc -l)
got=$(in_host python3 - <<'PY'
import socket
for l in open('/proc/net/tcp').read().splitlines()[1:]:
    l = l.split(); p = int(l[1].split(':')[1], 16)
    if l[3] != '0A' or p in (7001, 7002): continue
    s = socket.socket(); s.settimeout(3)
    try:
        s.connect(('127.0.0.1', p)); s.sendall(b'GET http://plain.test:8080/hello.txt HTTP/1.1\r\nHost: plain.test:8080\r\n\r\n')
        print('tried', s.recv(100)[:20])
    except OSError as e: print('tried', type(e).__name__)
PY
)
like "$got" '^tried' "host: another process finds the listeners"
unlike "$got" 'HTTP' "and is not served"
is "$(origin_log | wc -l)" "$before" "nothing was sent on"
rm -f "$TMP/pause"
wait $running

# New namespaces of the job's own lead nowhere.
JOB_OPTS=(--user nobody)
for flags in -rn -rnm -rmpfi; do
	unlike "$(job unshare $flags bash -c "umount -l /run /sys /proc/sys 2>/dev/null; ip link set lo up 2>/dev/null; curl -sS --max-time 5 http://198.51.100.20/ 2>&1; echo | timeout 3 socat -t1 - UNIX-CONNECT:/run/egret-test-$$/engine.sock 2>&1; ls '$TMP/run' 2>&1" 2>&1)" \
		'hello from evil|^engine|control\.sock' "unshare $flags opens nothing"
done
done_testing
