#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# egret-provider's oauth2, asked as the broker asks it (provider_ask.c): against a stand-in that takes nothing for granted
# (oauth2_standin.py) and against a real authorisation server, oidc-provider (`make client-build`), where it could be fetched.
. "$(dirname "$0")/../lib.sh"
need python3 openssl
PROGRAM=$BUILD/bin/egret-provider ASK=$BUILD/tests/e2e/provider_ask
[ -x "$PROGRAM" ] && [ -x "$ASK" ] || { echo "not ok 1 - $PROGRAM or $ASK is not built"; echo 1..1; exit 1; }
pki_ca ca && pki_leaf ca idp DNS:idp.test && pki_ca strange
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$TMP/rsa.pem" 2>/dev/null
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TMP/ec.pem" 2>/dev/null
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TMP/wrong.pem" 2>/dev/null
for k in rsa ec; do openssl pkey -in "$TMP/$k.pem" -pubout -out "$TMP/$k.pub"; done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=client -keyout "$TMP/client.key" -out "$TMP/client.pem" \
	-addext extendedKeyUsage=clientAuth 2>/dev/null
SECRET="Zq8 &=+/%:u9-$RANDOM$RANDOM"
printf %s "$SECRET" >"$TMP/secret"
printf 'wrong-secret-%s\n' $RANDOM >"$TMP/wrong"
printf 'eyJhbGciOiJSUzI1NiJ9.eyJqb2IiOjF9.c2ln' >"$TMP/job"
spawn python3 "$ROOT/tests/e2e/oauth2_standin.py" "$TMP"
wait_for 30 "[ -s '$TMP/ports' ]" || { echo "not ok 1 - the stand-in does not start"; echo 1..1; exit 1; }
BASE=https://idp.test:$(cat "$TMP/ports")

asks() { # roots, [more for the driver]...; questions on stdin, fields between blanks ('~' is one within a field)
	tr ' ~' '\t ' | "$ASK" "$PROGRAM" net "$1" hosts=idp.test=127.0.0.1 "${@:2}" 2>&1
}
of() { grep "^$1 " <<<"$got"; }
answers() { is "$(of "$1" | grep -c '^[0-9]* provided value=tok-')" 1 "$2"; }
CRED="oauth2 token_url=$BASE/token grant=client_credentials"
BASIC="client_id=basic:~client client_secret=@$TMP/secret"
TE="oauth2 token_url=$BASE/token grant=token-exchange"

# ---- each grant and each way of proving a client ----
begin=$(date +%s)
got=$(asks "$TMP/ca.pem" <<END
provide 1 $CRED $BASIC scope=read scope=api:write
provide 2 $CRED client_id=post client_auth_method=post client_secret=@$TMP/secret
provide 3 $CRED client_id=pk-rsa client_auth_method=private_key_jwt client_key=@$TMP/rsa.pem
wait
provide 4 $CRED client_id=pk-ec client_auth_method=private_key_jwt client_key=@$TMP/ec.pem client_key_id=k1
wait
provide 5 $CRED client_id=mtls client_auth_method=mtls client_cert=@$TMP/client.pem client_key=@$TMP/client.key
wait
provide 6 $TE audience=//iam.example/x token=@$TMP/job
provide 7 oauth2 token_url=$BASE/token grant=jwt-bearer $BASIC token=@$TMP/job
provide 8 $CRED client_id=federated client_auth_method=job-token token=@$TMP/job
provide 9 oauth2 issuer=$BASE/openid grant=jwt-bearer token=@$TMP/job
wait
provide 10 oauth2 issuer=$BASE/plain grant=jwt-bearer token=@$TMP/job
END
)
end=$(date +%s)
answers 1 "client_credentials, Basic with a blank, a colon and all that forms escape"
answers 2 "client_credentials, secret in the body"
answers 3 "client_credentials, private_key_jwt by RSA"
answers 4 "client_credentials, private_key_jwt by P-256"
answers 5 "client_credentials, a client certificate"
answers 6 "token exchange with the job's own token, no client"
answers 7 "JWT bearer with the job's own token"
answers 8 "the job's own token as the client's assertion"
answers 9 "addresses from openid-configuration"
answers 10 "addresses from oauth-authorization-server where there is no other"
expires=$(of 1 | sed 's/.*expires=\([0-9]*\).*/\1/')
t "the expiry is the server's, counted from the question" test "$expires" -ge $((begin + 600)) -a "$expires" -le $((end + 600))
like "$(of 9)" ' handle=tok-' "what can be revoked has a handle"
like "$(of 1)" ' handle=$' "what cannot has none"

# ---- the stand-in can say no: what was good is refused when it comes twice ----
replay=$(curl -s --cacert "$TMP/ca.pem" --resolve "idp.test:${BASE##*:}:127.0.0.1" -H 'Accept: application/json' -d grant_type=client_credentials \
	-d client_id=pk-ec -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer --data-urlencode "client_assertion=$(tail -n 1 "$TMP/assertion")" "$BASE/token")
like "$replay" 'this jti was seen' "an assertion that is shown twice would be refused"
is "$(sort -u "$TMP/assertion" | wc -l)" "$(($(wc -l <"$TMP/assertion") - 1))" "egret's own came once each"

# ---- refused, in words ----
rm -f "$TMP/requests"
got=$(asks "$TMP/ca.pem" <<END
provide 1 $CRED client_id=basic:~client client_secret=@$TMP/wrong
provide 2 $CRED client_id=pk-ec client_auth_method=private_key_jwt client_key=@$TMP/wrong.pem
provide 3 $CRED client_id=mtls client_auth_method=mtls client_cert=@$TMP/strange.pem client_key=@$TMP/strange.key
provide 4 oauth2 issuer=$BASE/other grant=jwt-bearer token=@$TMP/job
provide 5 oauth2 issuer=$BASE/clear grant=jwt-bearer token=@$TMP/job
provide 6 oauth2 issuer=$BASE/nowhere grant=jwt-bearer token=@$TMP/job
provide 7 oauth2 token_url=$BASE/token/expire grant=jwt-bearer token=@$TMP/job
provide 8 oauth2 token_url=$BASE/token/expire grant=jwt-bearer token=@$TMP/job ttl=60000
provide 9 oauth2 token_url=$BASE/token/mac grant=jwt-bearer token=@$TMP/job
provide 10 oauth2 token_url=$BASE/token/html grant=jwt-bearer token=@$TMP/job
provide 11 oauth2 token_url=$BASE/token/moved grant=jwt-bearer token=@$TMP/job
provide 12 oauth2 token_url=$BASE/token/busy grant=jwt-bearer token=@$TMP/job
provide 13 oauth2 token_url=$BASE/token/many grant=jwt-bearer token=@$TMP/job
provide 14 $TE audience=a
provide 15 oauth2 token_url=https://gone.test:1/token grant=jwt-bearer token=@$TMP/job
provide 16 $CRED client_id=basic:~client client_secret=@$TMP/secret scope=all
provide 17 nobody token_url=$BASE/token
renew 18 oauth2 handle=x token_url=$BASE/token
wait
provide 19 oauth2 issuer=$BASE/moving grant=jwt-bearer token=@$TMP/job
wait
provide 20 oauth2 issuer=$BASE/moving grant=jwt-bearer token=@$TMP/job
END
)
words() { like "$(of "$1")" "^$1 failed $2 oauth2: $3" "$4"; }
words 1 EACCES '401 at idp\.test:[0-9]*/token: invalid_client: wrong password \*\*\*$' "a wrong secret: the server's words, without the secret"
words 2 EACCES '401 at .*: the signature does not hold' "an assertion by another key"
words 3 again '.*(alert|onnect)' "another client's certificate"
words 4 EBADMSG 'the metadata of .*/other names another issuer' "metadata of another issuer"
words 5 EBADMSG '.*no token_endpoint that is an https address' "a token endpoint in the clear"
words 6 EACCES '404 at idp\.test:[0-9]*/\.well-known/oauth-authorization-server/nowhere' "no metadata anywhere"
words 7 EBADMSG '.*does not say when the token expires: give the credential a ttl' "no expiry and no ttl"
like "$(of 8)" '^8 provided value=tok-' "no expiry, but a ttl"
words 9 EBADMSG '.*not of the type Bearer' "a token of another type"
words 10 EBADMSG '.*is not a JSON object' "a page in place of an answer"
words 11 EACCES '307 at .*, a redirect' "a redirect"
is "$(grep -c 'POST /token/moved' "$TMP/requests")" 1 "is not followed"
words 12 again '503 at .*: temporarily_unavailable' "a server that is busy: worth asking again"
words 13 again 'the answer is larger than 64 KiB' "an answer that is too large"
words 14 ENOKEY 'the job has no ID token' "no token of the job"
words 15 again '.*gone.test|.*nameserver' "a server that is not there: worth asking again"
words 16 EACCES '400 at .*: invalid_scope: all' "a scope that is not given"
like "$(of 17)" "^17 failed EOPNOTSUPP" "a provider that there is not"
words 18 EOPNOTSUPP 'does not renew' "nothing of it is renewed"
words 19 EACCES '404 at idp\.test:[0-9]*/gone' "a token endpoint that is not there any more"
answers 20 "is looked up anew, whatever was kept of the issuer's metadata"
unlike "$got" "$(cat "$TMP/wrong")" "no secret in any word"

# ---- TLS ----
got=$(asks "$TMP/strange.pem" <<END
provide 1 $CRED $BASIC
wait
provide 2 $CRED $BASIC ca_file=@$TMP/ca.pem
END
)
words 1 again '.*certificate' "a server whose CA nobody trusts"
answers 2 "unless the credential names it (ca_file)"
got=$(asks "$TMP/ca.pem" hosts=other.test=127.0.0.1 <<<"provide 1 ${CRED//idp.test/other.test} $BASIC")
words 1 again '.*(subject|alternative).*other\.test' "a certificate of another name"

# ---- revocation, many at once ----
before=$(cat "$TMP/connections")
{
	for i in $(seq 200); do echo "provide $i oauth2 issuer=$BASE/openid grant=client_credentials $BASIC"; done
	echo wait
	for i in $(seq 200); do echo "revoke $((1000 + i)) oauth2 issuer=$BASE/openid grant=client_credentials $BASIC of=$i"; done
	echo wait
	echo "revoke 1999 oauth2 token_url=$BASE/token revoke_url=$BASE/revoke $BASIC handle=never-given"
	echo "revoke 1998 oauth2 token_url=$BASE/token revoke_url=$BASE/revoke $BASIC client_secret=@$TMP/wrong handle=never-given"
	echo "revoke 1997 oauth2 token_url=$BASE/token revoke_url=$BASE/revoke client_id=post client_auth_method=post client_secret=@$TMP/wrong handle=never-given"
} >"$TMP/questions"
got=$(asks "$TMP/ca.pem" <"$TMP/questions")
is "$(grep -c ' provided value=tok-' <<<"$got")" 200 "200 questions at once"
is "$(grep -c '^1[0-9]* ok$' <<<"$got")" 202 "200 revocations at once, and of what was never given (RFC 7009 2.2)"
like "$(of 1997)" '^1997 failed EACCES oauth2: 401 at .*/revoke: invalid_client' "a revocation that is refused says so"
sed -n 's/^[0-9]* provided value=\([^ ]*\) .*/\1/p' <<<"$got" | sort >"$TMP/given"
is "$(sort "$TMP/revoked" | grep -v never-given | comm -3 - "$TMP/given" | wc -l)" 0 "every token was taken back, no other"
# Sixteen at a time; a try that a busy machine makes too slow ends with its connection.
at_most $(($(cat "$TMP/connections") - before)) 100 "400 questions over kept connections"

# ---- a broker that dies with an answer: nobody else knows of it ----
rm -f "$TMP/revoked"
got=$(asks "$TMP/ca.pem" <<END
provide 1 oauth2 issuer=$BASE/openid grant=client_credentials $BASIC
lose 2 oauth2 issuer=$BASE/openid grant=client_credentials $BASIC
END
)
lost=$(of 2 | sed 's/.*value=\([^ ]*\) .*/\1/')
is "$(cat "$TMP/revoked")" "$lost" "what the broker did not write down is revoked when it dies; what it did is its own"

# ---- a real authorisation server ----
OIDC=$ROOT/build/oidc/node_modules
if [ -d "$OIDC/oidc-provider" ] && command -v node >/dev/null; then
	cp "$TMP/wrong.pem" "$TMP/wrong2.pem"
	spawn node "$ROOT/tests/e2e/oauth2_oidc.mjs" "$TMP" "$OIDC" >"$TMP/oidc.log" 2>&1
	t "oidc-provider starts" wait_for 30 "[ -s '$TMP/oidc.port' ]" || diag "$(tail -n 5 "$TMP/oidc.log")"
	BASE=https://idp.test:$(cat "$TMP/oidc.port")
	FOUND="oauth2 issuer=$BASE grant=client_credentials"
	got=$(asks "$TMP/ca.pem" <<-END
		provide 1 $FOUND $BASIC scope=read scope=api:write
		wait
		provide 2 $FOUND client_id=post client_auth_method=post client_secret=@$TMP/secret
		provide 3 $FOUND client_id=pk-rsa client_auth_method=private_key_jwt client_key=@$TMP/rsa.pem
		provide 4 $FOUND client_id=pk-ec client_auth_method=private_key_jwt client_key=@$TMP/ec.pem client_key_id=k1
		provide 5 oauth2 token_url=$BASE/token grant=client_credentials client_id=pk-rsa client_auth_method=private_key_jwt client_key=@$TMP/rsa.pem
		provide 6 oauth2 issuer=$BASE grant=token-exchange $BASIC audience=x token=@$TMP/job.oidc
		provide 7 oauth2 issuer=$BASE grant=jwt-bearer client_id=pk-rsa client_auth_method=private_key_jwt client_key=@$TMP/rsa.pem token=@$TMP/job.oidc
		wait
		provide 8 $FOUND client_id=mtls client_auth_method=mtls client_cert=@$TMP/client.pem client_key=@$TMP/client.key
		wait
		revoke 12 $FOUND client_id=post client_auth_method=post client_secret=@$TMP/secret of=2
		revoke 13 $FOUND client_id=pk-rsa client_auth_method=private_key_jwt client_key=@$TMP/rsa.pem of=3
		revoke 18 $FOUND client_id=mtls client_auth_method=mtls client_cert=@$TMP/client.pem client_key=@$TMP/client.key of=8
		provide 21 $FOUND client_id=basic:~client client_secret=@$TMP/wrong
		provide 22 $FOUND client_id=pk-ec client_auth_method=private_key_jwt client_key=@$TMP/ec.pem client_key_id=k2
		provide 23 $FOUND client_id=mtls client_auth_method=mtls client_cert=@$TMP/strange.pem client_key=@$TMP/strange.key
		provide 24 oauth2 issuer=$BASE grant=token-exchange $BASIC audience=x token=@$TMP/forged.oidc
		provide 25 oauth2 issuer=$BASE grant=jwt-bearer $BASIC token=@$TMP/job
		provide 26 oauth2 issuer=$BASE/ grant=client_credentials $BASIC
	END
	)
	k=0
	for what in 'a secret in Basic' 'a secret in the body' 'private_key_jwt by RSA' 'private_key_jwt by P-256, the key named' 'private_key_jwt, addresses written down' \
		'token exchange' 'JWT bearer' 'a client certificate'; do
		k=$((k + 1))
		like "$(of $k)" "^$k provided value=[A-Za-z0-9_-]{20,} " "oidc-provider: $what"
	done
	active() { # answer
		curl -s --cacert "$TMP/ca.pem" --resolve "idp.test:${BASE##*:}:127.0.0.1" --data-urlencode "client_secret@$TMP/secret" -d client_id=post \
			-d "token=$(of "$1" | sed 's/.*value=\([^ ]*\) .*/\1/')" "$BASE/token/introspection" | jq -c '[.active, .scope]'
	}
	is "$(active 1)" '[true,"read api:write"]' "oidc-provider: the token is good, with its scopes"
	like "$(of 12)$(of 13)$(of 18)" '12 ok13 ok18 ok' "oidc-provider: revocations"
	is "$(active 2)$(active 3)$(active 8)" '[false,null][false,null][false,null]' "oidc-provider: what was revoked is void"
	is "$(active 4)" '[true,null]' "oidc-provider: what was not is good"
	words 21 EACCES '401 at .*/token: invalid_client: client authentication failed' "oidc-provider: a wrong secret"
	words 22 EACCES '401 at .*/token: invalid_client' "oidc-provider: a key of another name"
	words 23 EACCES '401 at .*/token: invalid_client' "oidc-provider: another certificate"
	words 24 EACCES '400 at .*/token: invalid_grant: ' "oidc-provider: a job's token of another issuer's hand"
	words 25 EACCES '400 at .*/token: invalid_grant: ' "oidc-provider: a job's token that is none"
	words 26 EBADMSG 'the metadata of .*/ names another issuer' "oidc-provider: an issuer is meant to the letter"
else
	skip "oidc-provider" "build/oidc is not there (make client-build) or no node"
fi

# ---- one that waits holds nobody up; no secret stays behind ----
BASE=https://idp.test:$(cat "$TMP/ports")
mkfifo "$TMP/in"
"$ASK" "$PROGRAM" net "$TMP/ca.pem" hosts=idp.test=127.0.0.1 "pid=$TMP/pid" <"$TMP/in" >"$TMP/out" 2>&1 &
PIDS+=($!)
exec 7>"$TMP/in"
held() { # file: how often the process has it
	"$SCAN" "$(cat "$TMP/pid")" <"$1" | awk '{ print $NF }'
}
SCAN=$(helper scan)
{
	echo "provide 1 oauth2 token_url=$BASE/token/slow grant=client_credentials $BASIC"
	for i in 2 3 4 5 6 7 8 9; do echo "provide $i oauth2 token_url=$BASE/token/wait grant=client_credentials $BASIC"; done
	echo wait
} | tr ' ~' '\t ' >&7
t "eight were answered while one waits" wait_for 5 "[ \$(grep -c ' provided ' '$TMP/out') = 8 ]"
[ -n "${EGRET_ASAN:-}" ] || # whose shadow memory is terabytes to read
	isnt "$(held "$TMP/secret")" 0 "its secret is in memory as long as it waits"
sed -n '$s/.*value=\([^ ]*\) .*/\1/p' "$TMP/out" | tr -d '\n' >"$TMP/token"
wait_for 15 "grep -q '^1 ' '$TMP/out'"
got=$(cat "$TMP/out")
words 1 again 'no answer within 10 s at idp\.test' "a server that does not answer: a sentence after 10 s"
if [ -n "${EGRET_ASAN:-}" ]; then skip "afterwards it is nowhere" "a sanitizer's heap keeps what was freed"; else
	is "$(held "$TMP/secret")" 0 "afterwards it is nowhere"
	t "nor is a token that was handed out" test -s "$TMP/token" -a "$(held "$TMP/token")" = 0
fi
exec 7>&-
done_testing
