#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Credentials that are asked for, the whole way: a job's request, proxy, broker, egret-provider, an authorisation server or a program of
# root's, and back onto the wire. Taken back when the job ends; refused in words when they cannot be had.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
need python3
IDP=198.51.100.53
EXTRA_HOSTS[idp.test]=$IDP
origins_up
pki_leaf outside idp DNS:idp.test
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=client -keyout "$TMP/client.key" -out "$TMP/client.pem" \
	-addext extendedKeyUsage=clientAuth 2>/dev/null
SECRET="Zq8 &=+/%:u9-$RANDOM$RANDOM"
printf %s "$SECRET" >"$TMP/secret"
printf 'no.token.here' >"$TMP/job"
: >"$TMP/tokens" >"$TMP/revoked"
spawn in_origin python3 "$ROOT/tests/e2e/oauth2_standin.py" "$TMP" $IDP
wait_for 30 "[ -s '$TMP/ports' ]" || fail "the stand-in starts"
BASE=https://idp.test:$(cat "$TMP/ports")
DIR=$(mktemp -d /usr/libexec/egret-test.XXXXXX) && chmod 755 "$DIR" || exit 1
at_exit "rm -rf '$DIR'"

policy '"allow": "GET https://api.test/**", "credential": "key"'
cred() { # members
	CREDENTIAL=$TMP/cred.json
	printf '{ "name": "key", "for": "any", "hosts": ["api.test"], "inject": { "header": "Authorization", "format": "Bearer {token}" }, %s }' "$1" >"$CREDENTIAL"
}
last_auth() { origin_log | tail -n 1 | cut -d' ' -f6-; }
get=(curl -sS --max-time 20)

t "a client's secret is stored" bash -c "printf %s '$SECRET' | '$EGRET' secret set client"
oauth2='"provider": "oauth2", "grant": "client_credentials", "client_id": "post", "client_auth_method": "post", "client_secret": "store:client"'

cred "$oauth2, \"issuer\": \"$BASE/openid\""
out=$(job bash -c 'for i in 1 2 3; do curl -sS --max-time 20 https://api.test/echo; done; cat /proc/self/environ' | tr '\0' '\n')
token=$(cat "$TMP/tokens")
like "$token" '^tok-[A-Za-z0-9_=-]{20,}$' "three requests of a job are one question to the server"
is "$(last_auth)" "Bearer $token" "the origin got what the server gave"
is "$(grep -c 'auth=' <<<"$out")" 3 "the job got its answers"
unlike "$out" 'tok-' "the job saw nothing of it"
t "it is taken back when the job ends" wait_for 5 "grep -qxF -- '$token' '$TMP/revoked'"
like "$(events)" '"kind":"credential.lease"' "the lease is in the events"
is "$(cat "$TMP/events.ndjson" | grep -cF -e "$token" -e "$SECRET")" 0 "neither token nor secret is"
is "$(events | grep -cE '"kind":"(dial|alert)"')" 0 "what was dialled while the server was asked is what the request went by"
is "$(grep -rlF -e "$token" -e "$SECRET" "$TMP/state" "$TMP/run" 2>/dev/null | wc -l)" 0 "nor in any file"

printf 'another-%s' $RANDOM >"$TMP/other"
mv "$TMP/secret" "$TMP/secret.was" && cp "$TMP/other" "$TMP/secret"
before=$(origin_log | wc -l)
out=$(job "${get[@]}" --http1.1 -i https://api.test/hello.txt)
like "$out" 'HTTP/1.1 502 egret could not get credential key' "a server that refuses: the request is"
like "$out" 'oauth2: 401 at idp\.test:[0-9]*/token: invalid_client' "in the server's words"
is "$(origin_log | wc -l)" "$before" "and is not sent"
unlike "$out$(events)" 'Zq8' "the secret is in none of them"
is "$(events | grep -E '"kind":"(dial|alert)"' | sed 's/.*"kind":"\([a-z]*\)".*"host":"\([^"]*\)".*/\1 \2/')" 'dial api.test' "its connection, made meanwhile, is told as given up"
mv "$TMP/secret.was" "$TMP/secret"

cat >"$DIR/mint" <<'END'
#!/bin/bash
printf '{ "value": "minted-for-%s", "expires_in": 600 }' "$1"
END
chmod 755 "$DIR/mint"
cred "\"provider\": \"exec\", \"argv\": [\"$DIR/mint\", \"ci\"], \"timeout\": \"5s\""
is "$(job "${get[@]}" -o /dev/null -w '%{http_code}' https://api.test/hello.txt)" 200 "exec: a request"
is "$(last_auth)" 'Bearer minted-for-ci' "exec: the origin got what the program printed"
chmod o+w "$DIR/mint"
out=$(job "${get[@]}" --http1.1 -i https://api.test/hello.txt)
like "$out" '502 egret could not get credential key' "exec: a program that others may write mints nothing"
like "$out" "exec: $DIR/mint is not a file of root's" "exec: in words"

# What the page shows is taken as it stands there.
python3 - "$ROOT/docs/credentials.md" "$TMP" <<'END'
import re, sys
for i, text in enumerate(re.findall(r'```json\n(.*?)```', open(sys.argv[1]).read(), re.S)):
    open('%s/page-%02d.json' % (sys.argv[2], i), 'w').write(text)
END
for f in "$TMP"/page-*.json; do t "docs/credentials.md: $(grep -o '"name": "[^"]*"' "$f")" "$EGRET" policy check "$f"; done
done_testing
