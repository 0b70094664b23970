#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Upstreams that must not be trusted, names, and what the resolver says: a bad certificate is never shown to the job as a good one.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
EXTRA_HOSTS=([nowhere.test]=198.51.100.99 [loop.test]=127.0.0.1 [meta.test]=169.254.169.254 [closed.test]=$EVIL)
origins_up
spawn in_origin "$(helper sink)" "$TMP/dns.log" 198.51.100.53:53 "asked.test=$GOOD" "api.test=$GOOD" "rebind.test=127.0.0.1"
spawn in_origin "$(helper sink)" "$TMP/udp.log" $EVIL:443
: >"$TMP/dns.log"
: >"$TMP/udp.log"
rules=()
for n in api expired wrongname selfsigned untrusted nowhere loop meta; do rules+=("\"allow\": \"GET https://$n.test/**\""); done
policy "${rules[@]}" '"allow": "GET https://closed.test:444/**"' '"allow": "GET http://asked.test:8080/**"' '"allow": "GET http://rebind.test:8080/**"' \
	'"allow": "GET https://absent.test/**"'
get=(curl -sS -i --http1.1 --max-time 40) # whose reason phrase has words
first() { tr -d '\r' | head -n 1; }

like "$(job "${get[@]}" https://expired.test/ | first)" '^HTTP/1.1 502 egret .*expired' "expired certificate"
like "$(job "${get[@]}" https://wrongname.test/ | first)" '^HTTP/1.1 502 egret ' "certificate of another name"
like "$(job "${get[@]}" https://selfsigned.test/ | first)" '^HTTP/1.1 502 egret ' "self-signed certificate"
like "$(job "${get[@]}" https://untrusted.test/ | first)" '^HTTP/1.1 502 egret ' "certificate of a CA nobody named"
is "$(origin_count '(expired|wrongname|selfsigned|untrusted)\.test')" 0 "no request reached an upstream that was not verified"
like "$(job "${get[@]}" https://closed.test:444/ | first)" '^HTTP/1.1 50[24] egret ' "a closed port"
like "$(job "${get[@]}" https://loop.test/ | first)" '^HTTP/1.1 50[23] egret |^HTTP/1.1 403 ' "a name that leads to loopback is not dialled"
like "$(job "${get[@]}" https://meta.test/ | first)" '^HTTP/1.1 50[23] egret |^HTTP/1.1 403 ' "a name that leads to metadata is not dialled"
like "$(job "${get[@]}" https://absent.test/ | first)" '^HTTP/1.1 50[24] egret ' "a name that does not resolve"

# The resolver of synthetic names: well-formed names resolve, nothing leaves.
lookup='for n in "$@"; do getent ahostsv4 "$n" | { read -r a _ && echo "$a" || echo none; }; done'
out=$(job bash -c "$lookup" x api.test c2VjcmV0.evil.test api.test | tr '\n' ' ')
like "$out" '^198\.1[89]\.[0-9.]+ 198\.1[89]\.[0-9.]+ 198\.1[89]\.' "names get synthetic addresses"
is "$(cut -d' ' -f1 <<<"$out")" "$(cut -d' ' -f3 <<<"$out")" "the same name, the same address"
is "$(job bash -c 'getent ahosts printer.local | wc -l')" 0 ".local is not answered"
is "$(job bash -c "getent ahosts intranet | wc -l")" 0 "a single label is not answered"
is "$(grep -c . "$TMP/dns.log")" 0 "no query left the host"
is "$(job bash -c '(exec 3<>/dev/udp/198.51.100.20/443 && echo x >&3) 2>/dev/null && echo sent || echo refused')" refused "UDP 443 is refused"
is "$(job bash -c '(exec 3<>/dev/udp/198.51.100.20/123 && echo x >&3) 2>/dev/null && echo sent || echo refused')" refused "UDP 123 is refused"
is "$(grep -c . "$TMP/udp.log")" 0 "no datagram arrived"
like "$(job bash -c 'exec 3<>/dev/tcp/api.test/443; printf "garbage that is neither TLS nor HTTP\r\n\r\n" >&3; timeout 5 cat <&3 | wc -c; echo ended')" 'ended' \
	"bytes that are neither TLS nor HTTP end the connection"

# Real resolution by nameservers of the configuration.
# (Another run_dir: an egretd that still lingers there has the configuration of before.)
sed -i "s|$TMP/run|$TMP/run2|" "$TMP/egret.json"
export EGRET_RUN_DIR=$TMP/run2
sed -i 's|"upstream": {|"upstream": { "nameservers": ["198.51.100.53"],|' "$TMP/egret.json"
is "$(job curl -sS --max-time 20 http://asked.test:8080/index.html -H 'Host: asked.test:8080' -o /dev/null -w '%{http_code}')" 404 "a name resolved by a nameserver is reached"
like "$(cat "$TMP/dns.log")" '^dns asked\.test 1$' "egret asked the nameserver that was named"
# Connections that are not kept must each know where to go: the nameserver said 60 s.
sed -i 's|"upstream": {|"limits": { "upstream_idle": 0 }, &|; s|/run2"|/run3"|' "$TMP/egret.json"
export EGRET_RUN_DIR=$TMP/run3
: >"$TMP/dns.log"
is "$(job bash -c 'for i in 1 2 3; do curl -sS --max-time 20 http://asked.test:8080/hello.txt -o /dev/null -w "%{http_code} "; done')" '404 404 404 ' "three connections to it"
is "$(grep -c '^dns asked\.test 1$' "$TMP/dns.log")" 1 "one question: an answer is kept for its time"
before=$(origin_log | wc -l)
like "$(job "${get[@]}" http://rebind.test:8080/ | first)" '^HTTP/1.1 (502|503|403) ' "an answer that names loopback is not dialled"
is "$(origin_log | wc -l)" "$before" "nothing was asked"
done_testing
