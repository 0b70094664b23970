#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 12 s
# P2 in every place that a credential can have: a query key, a JSON body, a form, a client certificate; over HTTP/1.1 and HTTP/2, chunked, with
# Expect; what cannot be looked through is refused with nothing sent. One name for several jobs: each gets its own, a tie is refused.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
BODY=198.51.100.53
EXTRA_HOSTS[body.test]=$BODY EXTRA_HOSTS[mtls.test]=$BODY
NGINX_EXTRA="
log_format body '\$host \$server_protocol \$request_uri \$http_content_length \$request_body';
server { listen $BODY:443 ssl http2; server_name body.test; ssl_certificate $TMP/body.pem; ssl_certificate_key $TMP/body.key;
  access_log $TMP/www/body.log body; client_body_in_single_buffer on; client_body_buffer_size 2m;
  location / { proxy_pass http://127.0.0.1:8098; proxy_set_header Host post2; } }
server { listen $BODY:443 ssl http2; server_name mtls.test; ssl_certificate $TMP/body.pem; ssl_certificate_key $TMP/body.key;
  ssl_client_certificate $TMP/other.pem; ssl_verify_client on;
  location / { default_type text/plain; return 200 'hello \$ssl_client_s_dn\n'; } }"
# Before nginx starts, which reads them.
origins_pki() {
	pki_leaf outside body DNS:body.test,DNS:mtls.test
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=robot -keyout "$TMP/robot.key" -out "$TMP/robot.csr" 2>/dev/null
	openssl x509 -req -in "$TMP/robot.csr" -CA "$TMP/other.pem" -CAkey "$TMP/other.key" -days 2 -extfile <(echo extendedKeyUsage=clientAuth) -out "$TMP/robot.pem" 2>/dev/null
}
eval "$(declare -f origins_files | sed '1s/.*/origins_files_first()/')"
origins_files() { origins_files_first; origins_pki; }
origins_up
token="tok/\"$(openssl rand -hex 16)\\+"
printf %s "$token" >"$TMP/token"
t "the secrets go to the store" bash -c "'$EGRET' secret set robot <'$TMP/token' && '$EGRET' secret set robot-cert <'$TMP/robot.pem' && '$EGRET' secret set robot-key <'$TMP/robot.key'"
last() { tail -n 1 "$TMP/www/body.log"; }
sent() { wc -l <"$TMP/www/body.log"; }
CREDENTIAL=$TMP/cred.json
cat >"$CREDENTIAL" <<-JSON
	{ "name": "robot", "provider": "store", "value": "robot", "for": "any", "hosts": ["body.test"],
	  "inject": [ { "query": "api_key" }, { "json": "/auth/token" }, { "form": "pass word" } ],
	  "placeholder": { "env": ["ROBOT"], "value": "egret__robot__" } }
JSON
policy '"allow": "ANY https://body.test/**", "credential": "robot"' '"allow": "ANY https://api.test/**"'
encoded=$(jq -rRs '@uri' <"$TMP/token")
json=$(jq -cRs '{n: 1, auth: {token: .}}' <"$TMP/token")
escaped() { sed 's/"/\\x22/g; s/\\\([^x]\)/\\x5C\1/g' <<<"$1"; } # as nginx writes a body into its log
for v in --http1.1 --http2; do
	get=(curl -sS --max-time 20 "$v" -o /dev/null -w '%{http_code} %{http_version}')
	http=${v#--http} http=${http%.0}
	is "$(job "${get[@]}" 'https://body.test/q?a=egret__robot__&api_key=egret__robot__')" "200 $http" "$v: a query key"
	is "$(last | cut -d' ' -f3)" "/q?a=egret__robot__&api_key=$encoded" "$v: it is swapped in its key alone"
	job "${get[@]}" -H 'Content-Type: application/json' -d '{"n":1,"auth":{"token":"egret__robot__"}}' https://body.test/j >/dev/null
	is "$(last | cut -d' ' -f4-)" "${#json} $(jq -rn --arg s "$json" '$s | gsub("\\\\"; "\\x5C") | gsub("\""; "\\x22")')" "$v: JSON, with the length that it has"
	job bash -c 'printf "{\"n\":1,\"auth\":{\"token\":\"%s\"}}" "$ROBOT" | curl -sS --max-time 20 "$1" -o /dev/null -H "Content-Type: application/json" -H "Expect: 100-continue" -T - -X POST https://body.test/c' x "$v"
	is "$(last | cut -d' ' -f3-4)" "/c ${#json}" "$v: of unknown length, with Expect"
	job "${get[@]}" -d 'pass+word=egret__robot__&x=egret__robot__' https://body.test/f >/dev/null
	is "$(last | cut -d' ' -f5)" "pass+word=$encoded&x=egret__robot__" "$v: a form"
done
before=$(sent)
head -c 1048577 /dev/zero | tr '\0' x >"$TMP/large"
like "$(job curl -sS --max-time 20 --http1.1 -i -H 'Content-Type: application/json' -H 'Expect:' --data-binary @"$TMP/large" https://body.test/ | head -n 1)" \
	'^HTTP/1.1 413 egret refused the request: its body could hold a placeholder' "a body over the bound is refused in words"
is "$(sent)" "$before" "and nothing of it was sent"
is "$(job curl -sS --max-time 20 -o /dev/null -w '%{http_code}' -F 'pass word=egret__robot__' https://body.test/m)" 200 "multipart is not looked into"
unlike "$(last)" "$(cut -c 6-37 "$TMP/token")" "and takes nothing"
is "$(grep -cF "$(cut -c 6-37 "$TMP/token")" "$TMP/events.ndjson")" 0 "no value is in the events"

# ---- a client certificate ----
policy '"allow": "GET https://mtls.test/**", "credential": "client"' '"allow": "GET https://body.test/**"'
printf '{ "name": "client", "provider": "mtls", "cert": "store:robot-cert", "key": "store:robot-key", "for": "any", "hosts": ["mtls.test"] }' >"$CREDENTIAL"
like "$(job curl -sS --max-time 20 https://mtls.test/)" 'hello CN=robot' "mtls: the origin sees the certificate that the job does not have"
is "$(job curl -sS --max-time 20 https://mtls.test/ https://mtls.test/ | grep -c 'hello CN=robot')" 2 "mtls: again on the same connection"
policy '"allow": "GET https://mtls.test/**"' '"allow": "GET https://body.test/**", "credential": "client"'
unlike "$(job curl -sS --max-time 20 https://mtls.test/ 2>&1)" 'hello' "mtls: not where no rule names it"

# ---- one name for several jobs ----
for e in dev web; do printf 'value-of-%s-0123456789' $e | "$EGRET" secret set $e >/dev/null 2>&1; done
named() { printf '{ "name": "key", "provider": "store", "value": "%s", "for": [ %s ], "hosts": ["api.test"], "inject": { "header": "Authorization", "format": "{token}" } }' "$1" "$2"; }
named dev '{ "repo": "acme/*" }' >"$CREDENTIAL"
named web '{ "repo": "acme/web", "ref": "main" }' >"$TMP/cred2.json"
policy '"allow": "GET https://api.test/**", "credential": "key"'
asks() { JOB_OPTS=(--credential "$TMP/cred2.json" --label event=push --label "repo=$1" --label "ref=$2"); job curl -sS --max-time 20 -o /dev/null https://api.test/hello.txt; origin_log | tail -n 1 | cut -d' ' -f6-; }
is "$(asks acme/other main)" value-of-dev-0123456789 "a job gets the one that is for it"
is "$(asks acme/web main)" value-of-web-0123456789 "the most specific one, where both fit"
named web '{ "ref": "main" }' >"$TMP/cred2.json"
like "$(asks acme/web main 2>&1)" 'two credentials named key fit this job equally well' "two that fit equally refuse the job, in words"
named web '{ "repo": "acme/web" }' >"$TMP/cred2.json"
like "$(asks acme/web main 2>&1)" '"key" is also the name of .*cred.json, and both are for the same jobs' "what is sure is said when they are read, with both files"

# ---- one variable of each name ----
holds() { printf '{ "name": "%s", "provider": "store", "value": "dev", "for": [ %s ], "hosts": ["api.test"], "inject": { "header": "X-%s" }, "placeholder": { "env": ["API_TOKEN", "OWN_%s"], "value": "%s" } }' "$1" "$2" "$1" "$1" "$3"; }
holds one '{ "repo": "acme/web" }' egret__one__ >"$CREDENTIAL"
policy '"allow": "GET https://api.test/**"'
both() { holds two "$1" "$2" >"$TMP/cred2.json"; JOB_OPTS=(--credential "$TMP/cred2.json" --label event=push --label repo=acme/web --label ref=main); job bash -c 'echo "$API_TOKEN $OWN_one $OWN_two"' 2>&1; }
like "$(both '{ "ref": "main" }' egret__two__)" 'put another placeholder into the variable API_TOKEN each' "two that fill one variable refuse the job, in words"
like "$(both '{ "repo": "acme/web" }' egret__two__)" 'placeholder: API_TOKEN is filled by .*cred.json too, with another text' "what is sure is said when they are read"
is "$(both '{ "ref": "main" }' egret__one__)" 'egret__one__ egret__one__ egret__one__' "one text for both does no harm"
done_testing
