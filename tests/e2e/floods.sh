#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Floods of TLS and of HTTP/1 by a hostile job, each shown to reach its bound and then held by it: closed or refused, with an event. All the while
# another job asks for a page, and every one of its requests is served by a proxy of its own (P3). What tests/e2e/limits.sh shows is not
# repeated. FLOOD_NAMES (1000), FLOOD_STALLS (1 round of all bytes) and FLOOD_WAIT (60 s for one attack) are larger in `make soak`.
# not quick
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need python3 curl
NAMES_N=${FLOOD_NAMES:-1000} STALLS=${FLOOD_STALLS:-1} WAIT=${FLOOD_WAIT:-60}
JOB_TIMEOUT=$((WAIT * 5))
EXTRA_HOSTS=([huge.test]=$GOOD)
NGINX_EXTRA="server { listen $GOOD:443 ssl; server_name huge.test; ssl_certificate $TMP/huge.pem; ssl_certificate_key $TMP/huge.key; location / { return 200 'no'; } }"
pki_ca huge_ca && pki_leaf huge_ca huge DNS:huge.test
for ((i = 0; i < 260; i++)); do cat "$TMP/huge_ca.pem"; done >>"$TMP/huge.pem"
origins_up
truncate -s 64M "$TMP/www/api.test/large"
policy '"allow": "GET https://api.test/**"' '"allow": "GET https://huge.test/**"' '"allow": "POST http://plain.test:8080/**"' '"allow": "GET http://plain.test:8080/**"'
JOB_OPTS=(--user nobody)
config '"limits": { "peek_ms": 1000, "handshake_ms": 1000, "header_ms": 1000, "idle_ms": 1500, "hello_bytes": 32768, "leaf_cache": 64 }'
cp "$ROOT/tests/e2e/flood_peer.py" "$BUILD/tests/e2e/flood_tls" "$TMP/"

# The other job: a request after the other until it is told to end, each a connection of its own.
: >"$TMP/go"
cat >"$TMP/other.sh" <<'SH'
asked=0 served=0
while [ -e "$1/go" ]; do
	asked=$((asked + 1))
	[ "$(curl -sS --max-time 20 https://api.test/hello.txt 2>>"$1/www/upload/other.err")" != 'hello from api' ] || served=$((served + 1))
	echo "$asked $served" >"$1/www/upload/other.new"
	mv "$1/www/upload/other.new" "$1/www/upload/other"
	sleep 0.05
done
SH
job bash "$TMP/other.sh" "$TMP" >"$TMP/other.out" 2>&1 &
OTHER=$!
at_exit 'rm -f "$TMP/go"'
t "another job is served" wait_for 30 "grep -q ' [1-9]' '$TMP/www/upload/other'"
bystander=$(egret_pids egret-proxy)

# The attacker: one job, its attacks one after the other; after each its proxy is looked at.
mkfifo "$TMP/next"
chmod 666 "$TMP/next"
cat >"$TMP/attack.sh" <<'SH'
while read -r line <"$1/next"; do
	[ "$line" != end ] || break
	eval "$line" >"$1/www/upload/said.new" 2>&1
	mv "$1/www/upload/said.new" "$1/www/upload/said"
done
SH
ulimit -n 8192
(
	timeout -k 5 "$JOB_TIMEOUT" nsenter --net="/run/netns/$HOSTNS" "$EGRET" run --config "$TMP/egret.json" --policy "$POLICY" \
		--events "$TMP/attacker.ndjson" "${JOB_OPTS[@]}" -- bash "$TMP/attack.sh" "$TMP" >"$TMP/attack.out" 2>&1
) &
ATTACKER=$!
said=
attack() { # command in the job; what it said is in $said
	rm -f "$TMP/www/upload/said"
	# shellcheck disable=SC2016
	timeout "$WAIT" bash -c 'echo "$1" >"$0/next"' "$TMP" "$1" && wait_for "$WAIT" "[ -e '$TMP/www/upload/said' ]" || fail "the attack came to its end: $1" "$(tail -n 5 "$TMP/attack.out")"
	said=$(cat "$TMP/www/upload/said" 2>/dev/null)
	diag "$said"
}
peer() { attack "python3 $TMP/flood_peer.py $*"; }
tls() { attack "$TMP/flood_tls $*"; }
noted() { cat "$TMP/attacker.ndjson" 2>/dev/null; }
note() { t "$2" wait_for 10 "cat '$TMP/attacker.ndjson' | grep -Eq '$1'"; } # events come a moment later
peer bytes_
like "$said" '^bytes HTTP/1.1 200 OK' "a body in segments of a byte"
like "$said" '^tls bytes HTTP/1.1 200 OK' "and a request in TLS records of a byte are served"
proxy=$(egret_pids egret-proxy | grep -vx "$bystander")
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$proxy/status"; }
fds() { find "/proc/$proxy/fd" -mindepth 1 2>/dev/null | wc -l; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
resting=$(fds)
memory=$(rss)

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
peer idle
like "$said" '^idle 10[0-9][0-9] held 2[0-9][0-9] reset' "1,300 idle connections: limits.connections are held, the others reset"
note '"kind":"limit.hit".*limits.connections' "with an event"
t "and all are let go" wait_for 10 "[ \$(fds) -le $((resting + 1)) ]"
peer reads
like "$said" '^reads 40 begun 40 cut' "40 large answers that nobody reads are cut after idle_ms"
peer chain
like "$said" '^chain HTTP/1.1 502 egret' "an upstream's chain of 260 certificates is a 502"
is "$(origin_count '^huge.test .*200')" 0 "no request went there"

tls names 198.51.100.20 443 flood.test "$NAMES_N"
like "$said" "^names $NAMES_N of $NAMES_N answered" "$NAMES_N names in a burst are answered, each with a certificate of its own"
grown=$(($(rss) - memory))
at_most "$grown" 24576 "the proxy has grown by so many KiB after all this"
before=$(ticks "$proxy")
sleep 1
at_most $(($(ticks "$proxy") - before)) 10 "and rests when it is left alone (1/100 s)"
is "$(egret_pids egret-proxy | grep -cx "$proxy")" 1 "it is the proxy of the beginning"
. "$ROOT/tests/e2e/flood_h2.sh"

timeout 20 bash -c "echo end >'$TMP/next'"
wait $ATTACKER
rm -f "$TMP/go"
wait $OTHER
read -r asked served <"$TMP/www/upload/other"
diag "the other job's requests while all this went on: $served of $asked served"
is "$served" "$asked" "every request of the other job was served"
t "and there were many" [ "$asked" -gt 20 ]
is "$(grep -c '"reason":"limit"\|"kind":"limit.hit"' "$TMP/events.ndjson" 2>/dev/null)" 0 "no bound of its was met"
done_testing
