#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# curl, unmodified, through egret: what HTTP/1.x offers in both directions, and refusals in words.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
origins_up

head -c 67108864 /dev/urandom >"$TMP/big"
cp "$TMP/big" "$TMP/www/files.test/big"
policy '"allow": "READ https://api.test/**"' '"allow": "READ https://files.test/**"' \
	'"allow": "PUT https://files.test/upload/**"' '"allow": "POST https://api.test/post/**"' \
	'"allow": "GET http://plain.test:8080/**"' '"allow": "GET https://v6.test/**"' '"allow": "GET https://*.wide.test/**"' '"deny": "https://api.test/secret/**"'
curl=(curl -sS --max-time 60)
code=(-o /dev/null -w '%{http_code}')

is "$(job "${curl[@]}" https://api.test/hello.txt)" 'hello from api' "GET that a rule allows"
is "$(job "${curl[@]}" -I https://api.test/hello.txt | tr -d '\r' | grep -ic '^content-length: 15')" 1 "HEAD: length without a body"
is "$(job "${curl[@]}" --tlsv1.2 --tls-max 1.2 https://api.test/hello.txt)" 'hello from api' "TLS 1.2 towards the job"
is "$(job "${curl[@]}" --tlsv1.3 https://api.test/hello.txt)" 'hello from api' "TLS 1.3 towards the job"
is "$(job "${curl[@]}" --http1.0 https://api.test/hello.txt)" 'hello from api' "HTTP/1.0"
is "$(job "${curl[@]}" http://plain.test:8080/hello.txt)" 'hello from api' "plain HTTP on an odd port"
is "$(job "${curl[@]}" -w '%{num_connects} ' https://api.test/hello.txt https://api.test/hello.txt https://api.test/index.html -o "$TMP/k1" -o "$TMP/k2" -o "$TMP/k3")" \
	'1 0 0 ' "keep-alive: three requests, one connection"
is "$(job "${curl[@]}" "${code[@]}" https://api.test/missing)" 404 "the origin's own 404 comes through"
is "$(job "${curl[@]}" -r 0-4 https://api.test/hello.txt)" hello "Range"
like "$(job "${curl[@]}" --raw -D - https://api.test/trailers | tr -d '\r')" '^[Xx]-[Ss]um: sum-GET' "trailers of an answer"

job "${curl[@]}" -o "$TMP/got" https://files.test/big
is "$(sha "$TMP/got")" "$(sha "$TMP/big")" "64 MiB down, the same bytes"
job "${curl[@]}" -T "$TMP/big" "${code[@]}" https://files.test/upload/big >"$TMP/out"
is "$(cat "$TMP/out")" 201 "64 MiB up is stored"
is "$(sha "$TMP/www/upload/big")" "$(sha "$TMP/big")" "64 MiB up, the same bytes"
head -c 5000000 "$TMP/big" >"$TMP/part"
is "$(job bash -c "curl -sS --max-time 60 -o /dev/null -w '%{http_code}' -T - https://files.test/upload/chunked <'$TMP/part'")" 201 "chunked upload"
is "$(sha "$TMP/www/upload/chunked")" "$(sha "$TMP/part")" "chunked upload, the same bytes"
is "$(job "${curl[@]}" "${code[@]}" -H 'Expect: 100-continue' --expect100-timeout 20 -T "$TMP/part" https://files.test/upload/expect)" 201 "100-continue: the body follows"
is "$(sha "$TMP/www/upload/expect")" "$(sha "$TMP/part")" "100-continue, the same bytes"
is "$(job "${curl[@]}" -d x=1 https://api.test/post/form)" stored "POST that a rule allows"
is "$(job "${curl[@]}" -d @"$TMP/part" https://api.test/post/form)" stored "POST of 5 MB"
is "$(job bash -c 'curl -sS -6 --max-time 20 -k -o /dev/null -w "%{http_code}" https://v6.test/hello.txt')" "$(enforced && echo 502 || echo 200)" \
	"an IPv6 destination is reached (and, under egret, its wrong certificate found)"

if enforced; then
	# Two clients of each host connect and say nothing. Where a request was recorded, and nothing rests for the second one, its dial is begun;
	# TCP for both where none was yet, and a rule names the host itself; nothing where the job made the name up.
	job bash -c 'curl -sS --max-time 20 -o /dev/null https://api.test/hello.txt; for h in api files made-up.wide; do exec {a}<>/dev/tcp/$h.test/443 {b}<>/dev/tcp/$h.test/443; done
		curl -sS --max-time 20 -o /dev/null http://plain.test:8080/hello.txt'
	is "$(cat "$TMP"/state/events*.ndjson | grep '"kind":"dial","reason":"shutdown"' | grep -o '"host":"[^"]*"' | sort | tr '\n' ' ')" \
		'"host":"api.test" "host":"files.test" "host":"files.test" ' "dialled ahead: where a request went before, or a rule names the host; told when the job ends"
	before=$(origin_log | wc -l)
	out=$(job "${curl[@]}" --http1.1 -i -d x=1 https://api.test/admin)
	like "$out" '^HTTP/1.1 403 Blocked by egret: no rule allows POST api\.test/admin \(event [0-9]+\)' "refusal: reason phrase"
	like "$out" '"allow": "POST https://api\.test/admin"' "refusal: the line that would allow it"
	like "$out" '[Cc]ontent-[Tt]ype: text/plain' "refusal: plain text without Accept"
	like "$(job "${curl[@]}" -i -H 'Accept: application/json' -X DELETE https://api.test/x)" 'application/problem\+json' "refusal: problem+json for who asks for JSON"
	is "$(job "${curl[@]}" "${code[@]}" https://api.test/secret/x)" 403 "deny beats allow"
	is "$(job "${curl[@]}" "${code[@]}" https://evil.test/)" 403 "another host"
	like "$(job "${curl[@]}" "${code[@]}" -H 'Host: evil.test' https://api.test/hello.txt)" '^(403|421)$' "Host other than SNI"
	like "$(job "${curl[@]}" "${code[@]}" --path-as-is https://api.test/a/../secret/x)" "^40[03]\$" "dot segments are refused, not guessed"
	like "$(job "${curl[@]}" "${code[@]}" --path-as-is https://api.test/a%2fb)" "^40[03]\$" "an encoded slash is refused"
	unlike "$(job "${curl[@]}" -k "${code[@]}" https://$EVIL/ 2>&1)" '200' "a raw address"
	unlike "$(job "${curl[@]}" -g -k "${code[@]}" "https://[$GOOD6]/" 2>&1)" '200' "a raw IPv6 address"
	is "$(job "${curl[@]}" -k -H 'Host: api.test' -o /dev/null -w '%{http_code}' --connect-to api.test:443:$EVIL:443 https://api.test/hello.txt)" 200 \
		"a real address with a name: resolved again by egret, not dialled as given"
	is "$(job "${curl[@]}" "${code[@]}" -H 'Expect: 100-continue' -T "$TMP/big" https://api.test/none)" 403 "a refused upload is answered before its body"
	is "$(job "${curl[@]}" "${code[@]}" http://plain.test:8080/hello.txt -X POST)" 403 "refusal in plain HTTP"
	is "$(origin_log | tail -n +$((before + 1)) | grep -vc ' GET /hello.txt 200')" 0 "the origins saw nothing of what was refused"
	like "$(events)" '"kind":"http.request".*"verdict":"deny"' "refusals are in the events"
	# Bytes that curl cannot be made to send: request trailers in chunked form, by hand.
	is "$(job bash -c 'exec 3<>/dev/tcp/plain.test/8080; printf "GET /hello.txt HTTP/1.1\r\nHost: plain.test:8080\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n" >&3; head -n1 <&3' | tr -d '\r')" \
		'HTTP/1.1 200 OK' "request trailers"
fi
done_testing
