#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Floods of TLS and of HTTP/1 by a hostile job, each shown to reach its bound and then held by it: closed or refused, with an event. All the while
# another job asks for a page, and every one of its requests is served by a proxy of its own (P3). What tests/e2e/limits.sh shows is not
# repeated. FLOOD_NAMES (1000), FLOOD_STALLS (1 round of all bytes) and WAIT (60 s for one attack) are larger in `make soak`.
# not quick
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/e2e/flood_pair.sh"
need python3 curl
NAMES_N=${FLOOD_NAMES:-1000} STALLS=${FLOOD_STALLS:-1}
EXTRA_HOSTS=([huge.test]=$GOOD)
NGINX_EXTRA="server { listen $GOOD:443 ssl; server_name huge.test; ssl_certificate $TMP/huge.pem; ssl_certificate_key $TMP/huge.key; location / { return 200 'no'; } }"
pki_ca huge_ca && pki_leaf huge_ca huge DNS:huge.test
for ((i = 0; i < 260; i++)); do cat "$TMP/huge_ca.pem"; done >>"$TMP/huge.pem"
origins_up
truncate -s 64M "$TMP/www/api.test/large"
policy '"allow": "GET https://api.test/**"' '"allow": "GET https://huge.test/**"' '"allow": "POST http://plain.test:8080/**"' '"allow": "GET http://plain.test:8080/**"'
config '"limits": { "peek_ms": 1000, "handshake_ms": 1000, "header_ms": 1000, "idle_ms": 1500, "hello_bytes": 32768, "leaf_cache": 64 }'
cp "$ROOT/tests/e2e/flood_peer.py" "$BUILD/tests/e2e/flood_tls" "$TMP/"

peer() { attack "python3 $TMP/flood_peer.py $*"; }
tls() { attack "$TMP/flood_tls $*"; }

flood_begin "python3 $TMP/flood_peer.py bytes_"
like "$said" '^bytes HTTP/1.1 200 OK' "a body in segments of a byte"
like "$said" '^tls bytes HTTP/1.1 200 OK' "and a request in TLS records of a byte are served"

peer hellos
like "$said" '^segments [0-9]+ HTTP/1.1 200 OK' "a ClientHello in segments of a byte is a ClientHello"
like "$said" '^records [0-9]+ HTTP/1.1 200 OK' "in records of a byte"
like "$said" '^large 2[0-9]{4} HTTP/1.1 200 OK' "and one of more than 16 KiB"
like "$said" '^endless 6[0-9]{4} closed' "one past hello_bytes is refused"
note '"reason":"bad_hello".*too long' "with an event"

peer odd
like "$said" '^grease hello' "GREASE is passed over"
for v in ssl3 tls1.0 tls1.1; do like "$said" "^$v (alert [47]0|closed)" "$v is refused"; done
like "$said" '^ssl2 (alert 70|closed)' "and SSL 2"
unlike "$said" '^(ssl|tls1).*hello' "none of these was answered by a ServerHello"

tls early 198.51.100.10 443 api.test 0
like "$said" '^early sent [1-9][0-9]*, refused' "early data was sent, and is refused"
is "$(origin_count /early)" 0 "the origin has not seen it"
tls renegotiate 198.51.100.10 443 api.test 0
like "$said" '^renegotiate refused' "a client that renegotiates is refused"
tls keyupdate 198.51.100.10 443 api.test 10000
like "$said" '^keyupdate closed after [1-9][0-9]*' "10,000 KeyUpdates: closed past a bound"
at_most "$(sed -n 's/^keyupdate closed after //p' <<<"$said")" 2000 "within 2,000 of them"
note '"kind":"limit.hit".*TLS records without data' "with an event"

peer "stalls:$STALLS"
like "$said" '^stalls [5-9][0-9][0-9].* all closed soon|^stalls [0-9]{4,} all closed soon' "a handshake that stops at any byte is closed in time"
t "no descriptor is left of them" wait_for 10 "[ \$(fds) -le $((resting + 1)) ]"
note '"reason":"timeout".*handshake took too long' "with events"

peer heads
like "$said" '^heads 200 closed 200 408 200 ' "200 heads a byte at a time: 408 each"
t "and none of them is left" wait_for 10 "[ \$(fds) -le $((resting + 1)) ]"
peer idle
like "$said" '^idle 10[0-9][0-9] held 2[0-9][0-9] reset' "1,300 idle connections: limits.connections are held, the others reset"
note '"kind":"limit.hit".*limits.connections' "with an event"
t "and all are let go" wait_for 10 "[ \$(fds) -le $((resting + 1)) ]"
peer reads
like "$said" '^reads 40 begun 40 cut' "40 large answers that nobody reads are cut after idle_ms"
note '"kind":"http.response","reason":"timeout".*the client took nothing of it' "with events that say whose fault it was"
peer chain
like "$said" '^chain HTTP/1.1 502 egret' "an upstream's chain of 260 certificates is a 502"
is "$(origin_count '^huge.test .*200')" 0 "no request went there"

tls names 198.51.100.20 443 flood.test "$NAMES_N"
like "$said" "^names $NAMES_N of $NAMES_N answered" "$NAMES_N names in a burst are answered, each with a certificate of its own"
flood_end
done_testing
