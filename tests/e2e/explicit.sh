#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A client that uses egret as its proxy, with CONNECT or an absolute URL: the authority asked for is the name that is judged, and no trick
# with two names, two ports or two layers leads further than the same request without a proxy.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
need python3
origins_up
policy '"allow": "GET https://api.test/**"' '"allow": "GET http://plain.test:8080/**"'
JOB_OPTS=(--user nobody)
code='curl -sS --max-time 20 -o /dev/null -w "%{http_connect} %{http_code}\n"'
px='-x http://proxy.test:3128'

out=$(job bash -c "
$code $px https://api.test/hello.txt
$code $px https://evil.test/
$code $px -X POST https://api.test/hello.txt
$code $px http://plain.test:8080/hello.txt
$code $px http://evil.test/
$code -p -x http://198.51.100.10:8080 http://plain.test:8080/hello.txt" 2>&1)
is "$(sed -n 1p <<<"$out")" '200 200' "CONNECT: an allowed request"
is "$(sed -n 2p <<<"$out")" '200 403' "CONNECT: another host is refused in words, inside"
is "$(sed -n 3p <<<"$out")" '200 403' "CONNECT: another method"
is "$(sed -n 4p <<<"$out")" '000 200' "an absolute URL"
is "$(sed -n 5p <<<"$out")" '000 403' "an absolute URL of another host"
is "$(sed -n 6p <<<"$out")" '200 200' "CONNECT for cleartext HTTP, by a real address"
is "$(origin_count 'evil\.test')" 0 "evil.test saw nothing"

# By hand: what no client would send. Each line of the output: the label, then the first line of the answer.
cat >"$TMP/raw.py" <<'PY'
import socket, ssl
def first(s):
    s.settimeout(10); b = b''
    try:
        while b'\r\n' not in b:
            c = s.recv(4096)
            if not c: break
            b += c
    except OSError: return b'' + b'reset' if not b else b
    return b.split(b'\r\n')[0]
def to(host='proxy.test', port=3128): return socket.create_connection((host, port), 10)
def raw(label, text, **k):
    s = to(**k); s.sendall(text); print(label, first(s).decode('latin-1'), flush=True)
def head(s):
    b = b''
    while not b.endswith(b'\r\n\r\n'):
        c = s.recv(1)
        if not c: raise OSError('ended')
        b += c
    return b
def inside(label, authority, sni, text):
    s = to(); s.settimeout(10); s.sendall(b'CONNECT ' + authority + b' HTTP/1.1\r\nHost: ' + authority + b'\r\n\r\n')
    try:
        head(s)
        t = ssl._create_unverified_context().wrap_socket(s, server_hostname=sni)
        t.sendall(text); print(label, first(t).decode('latin-1'), flush=True)
    except OSError as e: print(label, 'refused', type(e).__name__, flush=True)
G = b'GET /hello.txt HTTP/1.1\r\nHost: api.test\r\n\r\n'
inside('sni', b'api.test:443', 'evil.test', G)
inside('host', b'api.test:443', 'api.test', b'GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n')
inside('good', b'api.test:443', 'api.test', G)
inside('twice', b'api.test:443', 'api.test', b'CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test\r\n\r\n')
inside('absolute', b'api.test:443', 'api.test', b'GET http://plain.test:8080/hello.txt HTTP/1.1\r\nHost: plain.test:8080\r\n\r\n')
inside('meta', b'169.254.169.254:443', None, b'GET / HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n')
inside('loop', b'127.0.0.1:443', None, b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
inside('v6', b'[::ffff:127.0.0.1]:443', None, b'GET / HTTP/1.1\r\nHost: [::ffff:127.0.0.1]\r\n\r\n')
inside('fronted', b'198.51.100.20:443', 'api.test', G)
raw('body', b'CONNECT api.test:443 HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n\r\nabcd')
raw('early', b'CONNECT api.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n\x16\x03\x01')
raw('noport', b'CONNECT api.test HTTP/1.1\r\nHost: api.test\r\n\r\n')
raw('nul', b'CONNECT evil.test\x00.api.test:443 HTTP/1.1\r\nHost: x\r\n\r\n')
raw('percent', b'CONNECT evil.test%00.api.test:443 HTTP/1.1\r\nHost: x\r\n\r\n')
raw('user', b'CONNECT api.test@evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n')
raw('mismatch', b'GET http://plain.test:8080/hello.txt HTTP/1.1\r\nHost: evil.test\r\n\r\n')
raw('https', b'GET https://api.test/hello.txt HTTP/1.1\r\nHost: api.test\r\n\r\n')
raw('ftp', b'GET ftp://api.test/hello.txt HTTP/1.1\r\nHost: api.test\r\n\r\n')
raw('dots', b'GET http://plain.test:8080/a/../hello.txt HTTP/1.1\r\nHost: plain.test:8080\r\n\r\n')
raw('metadata', b'GET http://169.254.169.254/latest HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n')
PY
before=$(origin_log | wc -l)
out=$(job python3 "$TMP/raw.py" 2>&1)
said() { sed -n "s/^$1 //p" <<<"$out"; }
like "$(said good)" '^HTTP/1.1 200' "by hand: CONNECT, TLS, GET"
is "$(origin_log | wc -l)" $((before + 2)) "and of all that follows only one more reached an origin"
like "$(said sni)" '^refused' "another SNI inside CONNECT"
like "$(said host)" '^HTTP/1.1 421 Blocked by egret' "another Host inside CONNECT"
like "$(said twice)" '^HTTP/1.1 400 egret' "CONNECT inside CONNECT"
like "$(said absolute)" '^HTTP/1.1 400 egret' "an absolute URL inside CONNECT"
for one in meta loop v6; do like "$(said $one)" '^refused|^HTTP/1.1 (403|421|400) ' "CONNECT to an address that is never dialled ($one)"; done
like "$(said metadata)" '^HTTP/1.1 403 Blocked by egret' "metadata by an absolute URL"
like "$(said fronted)" '^HTTP/1.1 200' "CONNECT to another address under an allowed name: the name is resolved by egret, the address is not dialled"
for one in body early noport nul percent user https dots; do like "$(said $one)" '^HTTP/1.1 400 egret' "a head that can be read in two ways ($one)"; done
is "$(said ftp)" reset "an absolute URL of another scheme is no HTTP for egret"
like "$(said mismatch)" '^HTTP/1.1 421 Blocked by egret' "Host other than the URL's"
is "$(origin_count 'evil\.test')" 0 "evil.test still saw nothing"
done_testing
