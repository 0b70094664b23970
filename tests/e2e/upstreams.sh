#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Upstreams as they are: several addresses of which some are dead, certificates that are wrong in each way that a person meets, servers that
# end the handshake early, old protocols. Each is served, or is a 502 with a sentence and the same sentence in the record.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
need python3 jq nft ss node
DEAD=198.51.100.53 DEAD6=2001:db8:51::20
EXTRA_HOSTS=([dead.test]="$DEAD\", \"$GOOD" [six.test]="$DEAD6\", \"$GOOD" [seven.test]="$DEAD6\", \"$GOOD" [shut.test]="$EVIL\", \"$GOOD"
	[gone.test]="$DEAD\", \"$DEAD6" [none.test]="$EVIL\", \"$DEAD")
plain=(shape tls12 tls11 asks demands cut old newer)
odd=(notyet clienteku weak constrained manycerts longchain manynames toomany rsa extra)
for n in "${plain[@]}" "${odd[@]}"; do EXTRA_HOSTS[$n.test]=$BAD; done
origins_up
sed -i 's|"upstream": {|"limits": { "connect_ms": 3000 }, "upstream": {|' "$TMP/egret.json"

# ---- certificates ----

made() { # CA, name, openssl's words...: $TMP/name.pem, name.key
	local ca=$1 name=$2
	shift 2
	openssl req -x509 -CA "$TMP/$ca.pem" -CAkey "$TMP/$ca.key" -nodes -days 30 -subj "/CN=$name" -keyout "$TMP/$name.key" -out "$TMP/$name.pem" "$@" \
		2>"$TMP/$name.out" || fail "a certificate for $name could be made" "$(cat "$TMP/$name.out")"
}
EC=(-newkey ec -pkeyopt ec_paramgen_curve:P-256)
LEAF=(-addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature)
leaf() { made "$1" "$2" "${EC[@]}" "${LEAF[@]}" -addext extendedKeyUsage=serverAuth -addext "subjectAltName=${3:-DNS:$2.test}"; }
names() { # name, so many before its own: short ones, so that they fit into limits.chain_bytes
	{
		printf '[req]\ndistinguished_name = d\nx509_extensions = e\n[d]\n[e]\nbasicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\n'
		printf 'extendedKeyUsage = serverAuth\nsubjectAltName = @names\n[names]\n'
		seq "$2" | sed 's/.*/DNS.& = &.t/'
		echo "DNS.$(($2 + 1)) = $1.test"
	} >"$TMP/$1.cnf"
	made outside "$1" -config "$TMP/$1.cnf" "${EC[@]}"
}
pki_leaf outside notyet DNS:notyet.test "$(date -d '3 days' +%Y%m%d000000Z)" "$(date -d '30 days' +%Y%m%d000000Z)"
made outside clienteku "${EC[@]}" "${LEAF[@]}" -addext extendedKeyUsage=clientAuth -addext subjectAltName=DNS:clienteku.test
for n in weak:1024 rsa:2048; do
	made outside ${n%:*} -newkey rsa:${n#*:} "${LEAF[@]}" -addext extendedKeyUsage=serverAuth -addext subjectAltName=DNS:${n%:*}.test
done
made outside narrow "${EC[@]}" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
	-addext 'nameConstraints=critical,permitted;DNS:inside.test'
leaf narrow constrained && cat "$TMP/narrow.pem" >>"$TMP/constrained.pem"
leaf outside manycerts && for i in {1..40}; do cat "$TMP/narrow.pem"; done >>"$TMP/manycerts.pem"
leaf outside longchain && for i in {1..250}; do cat "$TMP/narrow.pem"; done >>"$TMP/longchain.pem"
names manynames 9999
names toomany 10000
pki_ca ours && leaf ours extra
leaf outside plain "$(printf 'DNS:%s.test,' "${plain[@]}" dead six seven shut gone none | sed 's/,$//')"

# ---- servers ----

{
	echo "daemon off; pid $TMP/odd.pid; error_log $TMP/www/odd.log notice; worker_processes 1; events { } http { access_log $TMP/www/odd.access; ssl_protocols TLSv1.2 TLSv1.3;
		client_body_temp_path $TMP/www/nginx/ob; proxy_temp_path $TMP/www/nginx/op; fastcgi_temp_path $TMP/www/nginx/of;
		uwsgi_temp_path $TMP/www/nginx/ou; scgi_temp_path $TMP/www/nginx/os;"
	for n in notyet clienteku constrained manycerts longchain manynames toomany rsa extra; do server $n.test "$BAD:4440 ssl" $n "location / { return 200 'served'; }"; done
	server weak.test "$BAD:4441 ssl" weak "ssl_ciphers DEFAULT@SECLEVEL=0; location / { return 200 'served'; }"
	server tls12.test "$BAD:4442 ssl" plain "ssl_protocols TLSv1.2; location / { return 200 \"served \$ssl_protocol\"; }"
	server tls11.test "$BAD:4443 ssl" plain "ssl_protocols TLSv1.1; ssl_ciphers DEFAULT@SECLEVEL=0; location / { return 200 'served'; }"
	server asks.test "$BAD:4444 ssl" plain "ssl_verify_client optional_no_ca; location / { return 200 'served'; }"
	server shape.test "$BAD:4445 ssl" plain "location / { return 200 \"\$ssl_protocol \$ssl_ciphers \$ssl_curves\"; }"
	server dead.test "$GOOD:4440 ssl" plain "location / { return 200 'served'; }"
	echo "}"
} >"$TMP/odd.conf"
spawn in_origin nginx -p "$TMP/www" -e "$TMP/www/odd.log" -c "$TMP/odd.conf" >>"$TMP/www/out" 2>&1
for v in 2 3; do
	spawn in_origin openssl s_server -quiet -accept $BAD:445$v -tls1_$v -Verify 1 -www -cert "$TMP/plain.pem" -key "$TMP/plain.key" >"$TMP/demands$v.log" 2>&1
done
# Ports 4460...: a relay to the server on 4442 or 4440 (TLS 1.2, 1.3) that ends after so many bytes of the server; and an HTTP/1.0 server.
cat >"$TMP/cut.py" <<'PY'
import select, socket, ssl, sys, threading
bad, good, cert, key, alpn = sys.argv[1:6]
# port: (upstream or none, bytes of the server that pass, reset instead of an end)
cuts = {4460: (None, 0, 0), 4461: (None, 0, 1), 4462: ((bad, 4442), 3, 0), 4463: ((bad, 4442), 200, 0), 4464: ((bad, 4442), 900, 1),
        4465: ((good, 4440), 60, 0), 4466: ((good, 4440), 400, 0), 4467: ((good, 4440), 400, 1),
        4468: ((bad, 4445), 1 << 30, 0), 4469: ((bad, 4447), 1 << 30, 0)} # whole: what ALPN offered there is noted
def noted(hello):
    at = 43 + 1 + hello[43]
    at += 2 + int.from_bytes(hello[at:at + 2], 'big')
    at += 1 + hello[at] + 2
    names = ['none']
    while at < len(hello):
        kind, n = int.from_bytes(hello[at:at + 2], 'big'), int.from_bytes(hello[at + 2:at + 4], 'big')
        if kind == 16:
            names, i = [], at + 6
            while i < at + 4 + n: names.append(hello[i + 1:i + 1 + hello[i]].decode()); i += 1 + hello[i]
        at += 4 + n
    with open(alpn, 'a') as f: print(','.join(names), file=f)
def one(c, where, left, reset):
    try:
        first = c.recv(65536)
        if left == 1 << 30: noted(first)
        if where:
            u = socket.create_connection(where)
            u.sendall(first)
            while left:
                r, _, _ = select.select([c, u], [], [], 10)
                if not r: break
                for s in r:
                    b = s.recv(65536 if s is c else left)
                    if not b: left = 0; break
                    (u if s is c else c).sendall(b)
                    if s is u: left -= len(b)
        if reset: c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    finally:
        c.close()
def listen(port, what, how):
    l = socket.create_server((bad, port))
    while True: threading.Thread(target=what, args=(l.accept()[0], *how), daemon=True).start()
def old(c, tls):
    c = tls.wrap_socket(c, server_side=True)
    c.recv(65536)
    c.sendall(b'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nserved of old')
    c.shutdown(socket.SHUT_RDWR)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(cert, key)
for port, how in cuts.items(): threading.Thread(target=listen, args=(port, one, how), daemon=True).start()
listen(4470, old, (tls,))
PY
spawn in_origin python3 "$TMP/cut.py" $BAD $GOOD "$TMP/plain.pem" "$TMP/plain.key" "$TMP/alpn" 2>"$TMP/cut.log"
# Speaks HTTP/2 alone.
spawn in_origin node -e 'const fs = require("fs"); require("http2").createSecureServer({ cert: fs.readFileSync(process.argv[1]), key: fs.readFileSync(process.argv[2]), allowHTTP1: false },
	(q, a) => a.end("served " + q.httpVersion)).listen(4447, process.argv[3])' "$TMP/plain.pem" "$TMP/plain.key" $BAD 2>"$TMP/newer.log"
in_origin nft -f - <<-NFT
	table inet dead {
	  counter six { }
	  chain in { type filter hook input priority 0; ip daddr $DEAD drop; ip6 daddr $DEAD6 tcp dport 4440 counter name "six"; ip6 daddr $DEAD6 meta l4proto tcp drop; }
	}
NFT
for p in 4440 4442 4444 4447 4452 4453 4460 4467 4470; do wait_port in_origin $BAD $p; done
wait_port in_origin $GOOD 4440

rules=()
for n in "${!EXTRA_HOSTS[@]}"; do rules+=("\"allow\": \"GET https://${n}:4440-4470/**\""); done
policy "${rules[@]}"

# ---- what is asked, in one job: a line of words for each ----

cat >"$TMP/ask.sh" <<'SH'
#!/bin/bash
for u; do # @HOST: does not wait for the answer
	most=20
	[[ $u != @* ]] || most=0.6
	printf '%s ' "$u"
	curl -s -i --http1.1 --max-time $most -w ' took %{time_total}' "https://${u#@}/" | tr -d '\r' | sed -n '1p; $p' | tr '\n' ' '
	echo
done
SH
chmod 755 "$TMP/ask.sh"
ask() { job "$TMP/ask.sh" "$@" 2>"$TMP/err"; }
line() { grep "^$1" <<<"$out"; }
refused() { # what is asked, the sentence, what it means
	like "$(line "$1")" "^$1 HTTP/1.1 502 egret.*$2" "$3"
	t "and in the record" grep -Eq "\"http.response\".*$2.*\"url\":\"https://$1/\",\"status\":502" "$TMP/events.ndjson"
}
out=$(ask notyet.test:4440 clienteku.test:4440 weak.test:4441 constrained.test:4440 manycerts.test:4440 longchain.test:4440 toomany.test:4440 \
	manynames.test:4440 rsa.test:4440 tls12.test:4442 tls11.test:4443 asks.test:4444 demands.test:4452 demands.test:4453 cut.test:446{0..7} \
	old.test:4470 extra.test:4440)
refused notyet.test:4440 'not valid yet: it starts in [0-9]+ days' "a certificate that is not valid yet"
refused clienteku.test:4440 'not meant for TLS servers' "one for clients"
refused weak.test:4441 'a key that is too weak' "one with an RSA key of 1024 bits"
refused constrained.test:4440 'its CA may not sign for this name .name constraints' "one whose CA may not sign for its name"
refused manycerts.test:4440 'sent 41 certificates' "41 certificates"
refused longchain.test:4440 'its certificates pass limits.chain_bytes .102400' "certificates of more bytes than limits.chain_bytes"
refused toomany.test:4440 'too many names' "a certificate for 10,001 names"
refused tls11.test:4443 'speaks no TLS 1.2 or newer' "a server that speaks TLS 1.1 only"
refused demands.test:4452 'the server demands a client certificate, and egret has none' "one that demands a client certificate, TLS 1.2"
refused demands.test:4453 'it demands a client certificate, and egret has none' "and TLS 1.3"
for p in 446{0..7}; do refused cut.test:$p 'the server ended the TLS handshake' "a server that ends the handshake, way $((p - 4459)) of 8"; done
refused extra.test:4440 'no trusted root leads to the certificate' "a CA that the configuration does not name"
is "$(grep -c . "$TMP/www/odd.access")" 4 "no request reached a server that was not verified"
like "$(line manynames.test)" ' 200 OK served' "a certificate for 10,000 names, ours the last: served"
at_most "$(line manynames.test | sed 's/.*took \([0-9]*\)\.\([0-9]\{3\}\).*/\1\2/; s/^0*\(.\)/\1/')" 3000 "within the time that a person waits, in ms"
like "$(line rsa.test)" ' 200 OK served' "an RSA key of 2048 bits: served"
like "$(line tls12.test)" ' 200 OK served TLSv1.2' "TLS 1.2 only: served"
like "$(line asks.test)" ' 200 OK served' "a server that asks for a client certificate and can do without: served"
like "$(line old.test)" ' 200 OK served of old' "HTTP/1.0: served"

# ---- what the server sees of TLS is what the client showed ----

seen() { job curl -s --max-time 20 "$@" https://shape.test:4445/ 2>"$TMP/err"; }
is "$(seen --tls-max 1.2 --ciphers ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256 --curves P-384:P-256)" \
	"TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:TLS_EMPTY_RENEGOTIATION_INFO_SCSV secp384r1:prime256v1" "versions, suites and groups of a client, in its order"
like "$(seen --tls13-ciphers TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256 --ciphers ECDHE-ECDSA-AES256-GCM-SHA384 --curves P-256)" \
	'^TLSv1.3 TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:TLS_EMPTY_RENEGOTIATION_INFO_SCSV prime256v1$' "and of another"
offered() { # what it means, what ALPN must have offered (a line a dial), curl's words for the answer, a port, curl's options
	local means=$1 dials=$2 answer=$3 port=$4
	shift 4
	: >"$TMP/alpn"
	like "$(job curl -s --max-time 20 -w ' by %{http_version}' "$@" "https://$([ "$port" = 4469 ] && echo newer || echo shape).test:$port/" 2>"$TMP/err")" "$answer" "$means: served"
	is "$(tr '\n' ' ' <"$TMP/alpn")" "$dials " "$means: what ALPN offers"
}
offered "a client of HTTP/1.1" 'http/1.1' '^TLSv1.3 .* by 1.1$' 4468 --http1.1
offered "one without ALPN" 'none' '^TLSv1.3 .* by 1.1$' 4468 --no-alpn
offered "one of both, a server of HTTP/1.1" 'h2,http/1.1' '^TLSv1.3 .* by 2$' 4468 --http2
offered "one of HTTP/2, a server of that" 'h2,http/1.1' '^served 2.0 by 2$' 4469 --http2
offered "one of HTTP/1.1, a server of HTTP/2 alone" 'http/1.1 h2,http/1.1' '^served 2.0 by 1.1$' 4469 --http1.1
# A connection that another client's dial left speaks for all: nothing is offered then.
: >"$TMP/alpn"
job bash -c 'curl -s --http2 https://shape.test:4468/ && curl -s --http1.1 https://shape.test:4468/ && curl -s --http2 https://newer.test:4469/ && curl -s --http1.1 https://newer.test:4469/' >"$TMP/out" 2>&1
is "$(tr '\n' ' ' <"$TMP/alpn")" "h2,http/1.1 h2,http/1.1 " "a connection that stands is used whoever asks"

# ---- several addresses; roots of the configuration besides the others ----

sed -i "s|$TMP/run|$TMP/run2|; s|\"ca_file\"|\"ca_extra\": [\"$TMP/ours.pem\"], &|" "$TMP/egret.json"
export EGRET_RUN_DIR=$TMP/run2
events_clear
ms() { line "$1" | sed 's/.*took \([0-9]*\)\.\([0-9]\{3\}\).*/\1\2/; s/^0*\(.\)/\1/'; }
# The last one's client does not wait for the dial to end.
out=$(ask extra.test:4440 dead.test:4440 shut.test:4440 six.test:4440 seven.test:4440 gone.test:4442 none.test:4440 @gone.test:4441)
like "$(line extra.test)" ' 200 OK served' "a CA of ca_extra: served"
like "$(line dead.test)" ' 200 OK served' "the first of two addresses is dead: served by the second"
at_most "$(ms dead.test)" 2000 "and not after connect_ms or a share of it, in ms"
like "$(line shut.test)" ' 200 OK served' "the first refuses: served by the second"
like "$(line six.test)" ' 200 OK served' "IPv6 leads nowhere: served over IPv4"
like "$(line seven.test)" ' 200 OK served' "and again"
is "$(in_origin nft -j list counter inet dead six | jq '.nftables[].counter // empty | .packets')" 1 "IPv6 was not tried first again"
like "$(line gone.test)" ' 504 egret .*198.51.100.53 port 4442: no answer in time .none of its 2 addresses' "all are dead: 504 after connect_ms"
like "$(line none.test)" ' 504 egret ' "one refuses, one is dead: 504"
t "the addresses of one that lost are in the record" grep -q '"dial".*"host":"dead.test","ip":"'$DEAD'"' "$TMP/events.ndjson"
is "$(in_host ss -Htn state syn-sent | grep -c "$DEAD")" 0 "no attempt is left behind"
done_testing
