#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# egret-provider against a strict stand-in of Vault and OpenBao (tests/standins/vault.py): the four logins, KV, dynamic secrets, renewal,
# revocation, namespaces, and what is said when something is wrong. No Debian has a Vault.
. "$(dirname "$0")/../lib.sh"
need python3 openssl jq curl
. "$ROOT/tests/standins/ask.sh"
STANDIN=$ROOT/tests/standins

pki_ca outside && pki_ca clients && pki_leaf outside vault DNS:vault.test || exit 1
for n in ci other; do # clients' certificates
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$n" -keyout "$TMP/c-$n.key" -out "$TMP/c.csr" 2>/dev/null
	openssl x509 -req -in "$TMP/c.csr" -CA "$TMP/clients.pem" -CAkey "$TMP/clients.key" -CAcreateserial -days 2 -out "$TMP/c-$n.pem" 2>/dev/null
done
for n in jwt wrong; do openssl genrsa -out "$TMP/$n.pem" 2048 2>/dev/null && openssl rsa -in "$TMP/$n.pem" -pubout -out "$TMP/$n.pub" 2>/dev/null; done
SECRET=s3cr3t-$(openssl rand -hex 16) VALUE=value-$(openssl rand -hex 16)
echo "$SECRET" >"$TMP/secret_id"
echo wrong-secret-id >"$TMP/secret_id.wrong"
echo once-0123456789 >"$TMP/secret_id.once"
cat >"$TMP/vault.json" <<-JSON
	{ "namespace": "team/ci", "token": { "ttl": 1200, "max_ttl": 7200 },
	  "logins": {
	    "approle": { "kind": "approle", "roles": { "role-1": { "secret_ids": { "$SECRET": 0, "once-0123456789": 1 }, "paths": [ "kv/data/*", "kv1/*", "database/creds/*", "nope/*" ] } } },
	    "jwt": { "kind": "jwt", "key": "$TMP/jwt.pub", "issuer": "https://issuer.test", "roles": { "web": { "audience": "vault", "claims": { "repository": "acme/web" },
	      "paths": [ "kv/data/app", "database/creds/ro" ] } } },
	    "k8s/prod": { "kind": "kubernetes", "key": "$TMP/jwt.pub", "issuer": "https://kubernetes.default.svc", "roles": { "runner": { "audience": "vault",
	      "claims": { "sub": "system:serviceaccount:ci:runner" }, "paths": [ "kv/data/app" ] } } },
	    "cert": { "kind": "cert", "roles": { "ci": { "cn": "ci", "paths": [ "database/creds/ro" ] } } } },
	  "kv": { "kv/data/app": { "token": "$VALUE", "user": "robot", "n": 5 }, "kv/data/one": { "anything": "$VALUE" }, "kv/data/gone": null,
	    "kv/data/a b": { "value": "$VALUE" }, "kv/data/many": { "a": "1", "b": "2" } },
	  "kv1": { "kv1/app": { "value": "$VALUE" } },
	  "dynamic": { "database/creds/ro": { "ttl": 600, "max_ttl": 3000 }, "database/creds/fixed": { "ttl": 300, "renewable": false } } }
JSON
spawn python3 "$STANDIN/vault.py" "$TMP" 127.0.0.1 0 "$TMP/vault.pem" "$TMP/vault.key" "$TMP/clients.pem"
wait_for 10 "[ -s '$TMP/vault.port' ]" || { echo "not ok 1 - the stand-in does not start"; echo 1..1; exit 1; }
PORT=$(cat "$TMP/vault.port") NOW=$(date +%s)
token() { # key, claims: the job's identity token
	python3 "$STANDIN/standin.py" sign "$TMP/$1.pem" "$(jq -cn --argjson now "$NOW" --argjson more "$2" \
		'{ iss: "https://issuer.test", aud: "vault", iat: $now, nbf: $now, exp: ($now + 300), sub: "repo:acme/web", repository: "acme/web", jti: "j" } + $more')"
}
token jwt '{}' >"$TMP/good"
token jwt '{ "aud": "other" }' >"$TMP/aud"
token jwt "{ \"exp\": $((NOW - 100)), \"iat\": $((NOW - 400)), \"nbf\": $((NOW - 400)) }" >"$TMP/exp"
token jwt '{ "repository": "evil/web" }' >"$TMP/claim"
token wrong '{}' >"$TMP/signature"
token jwt '{ "iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:ci:runner" }' >"$TMP/account"

base=(vault "address=https://vault.test:$PORT" namespace=team/ci)
approle=("${base[@]}" auth.method=approle auth.role_id=role-1 "auth.secret_id=@$TMP/secret_id")
jwt=("${base[@]}" auth.method=jwt auth.role=web)
fresh() { # a process that knows nothing yet
	asker_down
	forget vault
	asker_up hosts=vault.test=127.0.0.1
}
tokens() { state vault "$PORT" .tokens; }
leases() { state vault "$PORT" '.leases | length'; }

asker_up hosts=vault.test=127.0.0.1
said provide "${approle[@]}" path=kv/data/app field=token
is "$(part value) $(part static) $(part expires) $(part renewable)" "$VALUE 1 0 0" "approle, KV version 2: the field, static, without an end"
said provide "${approle[@]}" path=kv/data/app field=user
is "$(part value)" robot "another field"
said provide "${approle[@]}" path=kv/data/app ttl=60000 now="$NOW"
is "$(part value) $(part expires)" "$VALUE $((NOW + 60))" "without field: token; a ttl is when it is read again"
is "$(saw vault | grep -c /login)" 1 "one login for all of them"
is "$(saw vault | wc -l)" 4 "and one request for each later value"
is "$(jq -r .peer "$TMP/vault.log" | sort -u | wc -l)" 1 "over one connection"
is "$(jq -r .ns "$TMP/vault.log" | sort -u)" team/ci "all in its namespace"
said provide "${approle[@]}" path=kv/data/one
is "$(part value)" "$VALUE" "a secret's only field"
said provide "${approle[@]}" path=kv/data/app field=user:token
is "$(part value)" "robot:$VALUE" "two fields with a colon between, for Basic"
said provide "${approle[@]}" "path=kv/data/a b"
is "$(part value)" "$VALUE" "a path with a blank"
said provide "${approle[@]}" path=kv1/app
is "$(part value) $(part static) $(part expires)" "$VALUE 1 0" "KV version 1, whose duration is no lease's"
is "$(tokens)" 1 "one token is out"
asker_down
is "$(tokens) $(cat "$TMP/ask.rest")" "0 " "which ends with the process"
asker_up hosts=vault.test=127.0.0.1

# ---- many at once ----
fresh
burst() { # first id, verb, fields...: how many were good
	local i got=0
	for ((i = $1; i < $1 + 60; i++)); do
		{ printf '%s\t%s' "$2" "$i"; printf '\t%s' "${@:3}"; [ "$2" != revoke ] || printf '\tof=%s' $((i - 100)); echo; } >&"$ASK_IN"
	done
	echo wait >&"$ASK_IN"
	for ((i = 0; i < 60; i++)); do read -r -t 30 REPLY <&"$ASK_OUT" || break; case $REPLY in *' provided '* | *' ok') got=$((got + 1)) ;; esac; done
	echo $got
}
is "$(burst 1000 provide "${approle[@]}" path=kv/data/app)" 60 "60 jobs ask for one KV value at once"
is "$(saw vault | grep -c /login)" 1 "with one login"
fresh
is "$(burst 1100 provide "${approle[@]}" path=database/creds/ro)" 60 "60 dynamic secrets at once"
is "$(leases) $(saw vault | grep -c /login)" "60 60" "each with its login"
began=$(now_ms)
is "$(burst 1200 revoke "${approle[@]}" path=database/creds/ro) $(leases)" "60 0" "60 revoked at once"
diag "in $(($(now_ms) - began)) ms"
fresh

# ---- what is not there, or no value ----
refuse() { # what it means, regex, fields...
	said provide "${@:3}"
	like "$REPLY" "^failed $2" "$1"
}
refuse "no such secret" 'ENOENT vault: 404 at kv/data/nothing: it is not there$' "${approle[@]}" path=kv/data/nothing
refuse "a deleted one" 'ENOENT vault: 404 at kv/data/gone' "${approle[@]}" path=kv/data/gone
refuse "no such field" 'ENOENT vault: the secret has no field nope$' "${approle[@]}" path=kv/data/app field=nope
refuse "one of two fields" 'ENOENT vault: the secret has not both fields of user:nope$' "${approle[@]}" path=kv/data/app field=user:nope
refuse "several fields, none usual" 'ENOENT vault: the secret has 2 fields, none of them called value, token or password' "${approle[@]}" path=kv/data/many
refuse "a number" 'EBADMSG vault: the secret.s field is empty, no text' "${approle[@]}" path=kv/data/app field=n
refuse "nothing mounted" 'ENOENT vault: 404 at nope/data/x: nothing is mounted there in this namespace' "${approle[@]}" path=nope/data/x
refuse "a path that its policies lack" 'EACCES vault: 403 at secret/data/x: permission denied' "${approle[@]}" path=secret/data/x
refuse "another namespace" 'ENOENT vault: 404 at auth/approle/login: nothing is mounted there in this namespace' vault "address=https://vault.test:$PORT" \
	"${approle[@]:3}" path=kv/data/app
for p in /kv/data/app kv//data kv/../sys/raw 'kv/data/app?version=1' kv/data/%2e%2e kv/data/; do
	refuse "the path $p is refused here" 'EINVAL vault: .* is no path below /v1/' "${approle[@]}" "path=$p"
done
is "$(saw vault | grep -cE 'sys/raw|version=|//')" 0 "and not sent"
is "$(tokens)" 0 "no login stays behind a failure"

# ---- the logins ----
fresh
refuse "approle: a wrong secret_id" 'EACCES vault: 400 at auth/approle/login: role_id or secret_id is wrong, used up or expired$' "${base[@]}" auth.method=approle auth.role_id=role-1 \
	"auth.secret_id=@$TMP/secret_id.wrong" path=kv/data/app
said provide "${base[@]}" auth.method=approle auth.role_id=role-1 "auth.secret_id=@$TMP/secret_id.once" path=kv/data/app
is "$(part value)" "$VALUE" "approle: a secret_id that is good for one login"
said provide "${base[@]}" auth.method=approle auth.role_id=role-1 "auth.secret_id=@$TMP/secret_id.once" path=kv/data/app
is "$(part value)" "$VALUE" "is used for one"
fresh
refuse "approle: used again it is refused" 'EACCES vault: 400 at auth/approle/login: role_id or secret_id is wrong, used up or expired$' "${base[@]}" auth.method=approle \
	auth.role_id=role-1 "auth.secret_id=@$TMP/secret_id.once" path=kv/data/app
said provide "${jwt[@]}" path=kv/data/app "token=@$TMP/good"
is "$(part value) $(part static)" "$VALUE 1" "jwt: the job's own token"
isnt "$(part handle)" '' "whose login is the job's, and ends with it"
said provide "${jwt[@]}" path=kv/data/app "token=@$TMP/good"
is "$(saw vault | grep -c '/v1/auth/jwt/login 200')" 2 "each job logs in by itself"
said revoke "${jwt[@]}" path=kv/data/app of=$((ASKED - 1))
is "$REPLY" ok "ended"
is "$(tokens)" 1 "the other job's stays"
refuse "jwt: a job without a token" 'EINVAL vault: the job has no identity token to log in with \(jwt\)$' "${jwt[@]}" path=kv/data/app
refuse "jwt: another audience" 'EACCES vault: 400 at auth/jwt/login: the token is for another audience than the role.s$' "${jwt[@]}" path=kv/data/app "token=@$TMP/aud"
refuse "jwt: expired" 'EACCES vault: 400 at auth/jwt/login: the token has expired$' "${jwt[@]}" path=kv/data/app "token=@$TMP/exp"
refuse "jwt: another repository" 'EACCES vault: 400 at auth/jwt/login: the role is bound to other claims' "${jwt[@]}" path=kv/data/app "token=@$TMP/claim"
refuse "jwt: another key" 'EACCES vault: 400 at auth/jwt/login: the token is signed by none' "${jwt[@]}" path=kv/data/app "token=@$TMP/signature"
refuse "jwt: no such role" 'EACCES vault: 400 at auth/jwt/login: there is no such role$' "${base[@]}" auth.method=jwt auth.role=none path=kv/data/app "token=@$TMP/good"
refuse "jwt: no such mount" 'ENOENT vault: 404 at auth/gitlab/login: nothing is mounted there' "${jwt[@]}" auth.mount=gitlab path=kv/data/app "token=@$TMP/good"
fresh
k8s=("${base[@]}" auth.method=kubernetes auth.mount=k8s/prod auth.role=runner)
said provide "${k8s[@]}" "auth.token=@$TMP/account" path=kv/data/app
is "$(part value)" "$VALUE" "kubernetes: an account's token, on a mount of another name"
fresh
refuse "kubernetes: another account's" 'EACCES vault: 403 at auth/k8s/prod/login: ' "${k8s[@]}" "auth.token=@$TMP/good" path=kv/data/app
cert() { said provide "${base[@]}" auth.method=cert auth.role=ci "auth.cert=@$TMP/c-$1.pem" "auth.key=@$TMP/c-$1.key" path=database/creds/ro; }
cert ci
like "$(part value)" '^P-[0-9a-f]{24}$' "cert: a certificate, and a dynamic secret's password"
n=$ASKED
said renew "${base[@]}" auth.method=cert auth.role=ci "auth.cert=@$TMP/c-ci.pem" "auth.key=@$TMP/c-ci.key" path=database/creds/ro of=$n
like "$REPLY" '^provided' "is renewed with it"
said revoke "${base[@]}" auth.method=cert auth.role=ci "auth.cert=@$TMP/c-ci.pem" "auth.key=@$TMP/c-ci.key" path=database/creds/ro of=$n
is "$REPLY" ok "and revoked"
cert other
like "$REPLY" '^failed EACCES vault: 400 at auth/cert/login: the role does not take this certificate$' "cert: another certificate"
is "$(leases) $(tokens)" "0 1" "nothing is left but the login of a job that is not over"

# ---- dynamic secrets ----
fresh
ro=("${approle[@]}" path=database/creds/ro "now=$NOW")
said lose "${ro[@]}"
is "$(leases)" 1 "a secret that the broker never wrote down"
fresh
is "$(leases)" 0 "goes with the process"
said provide "${ro[@]}"
is "$(part static) $(part renewable) $(part expires)" "0 1 $((NOW + 600))" "dynamic: ends when its lease does, and is renewable"
first=$ASKED
said provide "${ro[@]}" field=username:password
like "$(part value)" '^v-ro-[0-9a-f]{24}:P-[0-9a-f]{24}$' "dynamic: user and password"
second=$ASKED
is "$(leases) $(saw vault | grep -c /login)" "2 2" "each lease has a login of its own"
said renew "${ro[@]}" ttl=900000 of=$first
is "$(part renewable) $(part expires)" "1 $((NOW + 900))" "renewed, for as long as was wanted"
third=$ASKED
said renew "${ro[@]}" ttl=9000000 of=$third
like "$(part renewable) $(part expires)" "^1 $((NOW + 1200))" "never for longer than its login lives"
is "$(saw vault | grep -cE 'POST /v1/(auth/token/renew-self|sys/leases/renew) 200')" 4 "token and lease both"
said revoke "${ro[@]}" of=$third
is "$REPLY $(leases)" "ok 1" "revoked: its secret is gone, the other's is not"
is "$(saw vault | tail -n 1)" "POST /v1/auth/token/revoke-self 204 revoked" "by the end of its token alone"
said revoke "${ro[@]}" of=$third
is "$REPLY" ok "a second time is no failure: it is gone"
mood vault '{ "old": true }'
said revoke "${ro[@]}" of=$third
is "$REPLY" ok "also where an unknown token is just \"permission denied\""
mood vault
fresh
said revoke "${ro[@]}" "handle=$(printf '1 s- %d 600 hvs.madeup database/creds/ro/x' $((NOW + 600)))"
is "$REPLY" ok "by a process that never saw it: a token that nobody knows is gone"
said revoke "${ro[@]}" handle=nonsense
like "$REPLY" '^failed EINVAL vault: there is nothing to revoke$' "a handle of another form"
said provide "${approle[@]}" path=database/creds/fixed "now=$NOW"
is "$(part renewable) $(part expires)" "0 $((NOW + 300))" "a lease that is not renewable"
said renew "${approle[@]}" path=database/creds/fixed of=$ASKED
like "$REPLY" '^failed EACCES vault: 400 at sys/leases/renew: it is not renewable$' "is not renewed"
said revoke "${approle[@]}" path=database/creds/fixed of=$((ASKED - 1))
# Its longest life is near: less is given, and then it is not called renewable.
said provide "${ro[@]}"
n=$ASKED
mood vault '{ "clock": 1100 }'
said renew "${ro[@]}" of=$n
like "$REPLY" '^failed EACCES vault: 403 at auth/token/renew-self: the token is not valid any more|^failed EACCES vault: 400 at sys/leases/renew: there is no such lease any more' "too late"
mood vault
mood vault '{ "clock": 0 }'
said provide "${ro[@]}"
n=$ASKED
for clock in 500 1000 1500 2000 2500; do
	mood vault "{ \"clock\": $clock }"
	said renew "${ro[@]}" of=$n
	n=$ASKED
done
is "$(part renewable) $(($(part expires) - NOW))" "1 500" "renewed to the end of its longest life"
mood vault '{ "clock": 2800 }'
said renew "${ro[@]}" of=$n
is "$(part renewable)" 0 "then it is renewable no more"
said revoke "${ro[@]}" of=$ASKED
mood vault
mood vault '{ "batch": true }'
fresh
said provide "${ro[@]}"
is "$(part renewable)" 1 "a batch token, which cannot be renewed, with a lease that can"
said revoke "${ro[@]}" of=$ASKED
like "$REPLY" '^failed EACCES vault: 403 at sys/leases/revoke: permission denied$' "a batch token's lease is revoked where its policies allow it, and it is said where not"
mood vault

# ---- the server is not well ----
fresh
left=$(leases)
said provide "${ro[@]}"
n=$ASKED
mood vault '{ "sealed": true }'
refuse "sealed" 'again vault: sealed$' "${ro[@]}"
said renew "${ro[@]}" of=$n
is "$REPLY" 'failed again vault: sealed' "sealed: a renewal"
said revoke "${ro[@]}" of=$n
is "$REPLY" 'failed again vault: sealed' "sealed: a revocation is owed"
mood vault '{ "uninitialised": true }'
refuse "not initialised" 'again vault: not initialised$' "${ro[@]}"
mood vault '{ "standby": true }'
refuse "a standby" 'again vault: 503 at auth/approle/login: this one is a standby' "${ro[@]}"
mood vault '{ "limited": true }'
refuse "too many requests" 'again vault: 429 at auth/approle/login: too many requests$' "${ro[@]}"
mood vault '{ "status": 502 }'
refuse "a proxy before it is out of order" 'again vault: 502 at auth/approle/login$' "${ro[@]}"
mood vault '{ "status": 307, "headers": { "Location": "https://evil.test/" } }'
refuse "a redirect" 'EACCES vault: 307 at auth/approle/login: a redirect: these are not followed$' "${ro[@]}"
mood vault '{ "wrap": true }'
refuse "a wrapped login" 'EACCES vault: no token at auth/approle/login: the answer is wrapped$' "${ro[@]}"
mood vault '{ "mfa": true }'
refuse "a second factor" 'EACCES vault: no token at auth/approle/login: it wants a second factor$' "${ro[@]}"
mood vault '{ "bad": true }'
refuse "no token in the answer" 'EACCES vault: no token at auth/approle/login: the answer has none$' "${ro[@]}"
mood vault '{ "delay": 12 }'
refuse "too slow" 'again vault: no answer within 10 s at auth/approle/login$' "${ro[@]}"
mood vault
said revoke "${ro[@]}" of=$n
is "$REPLY $(leases)" "ok $left" "well again: what was owed is revoked"
fresh
kill "$SPAWNED"
wait "$SPAWNED" 2>/dev/null
refuse "down" 'again vault: .*onnect.* at auth/approle/login$' "${ro[@]}"
asker_down
is "$(cat "$TMP/ask.rest" "$TMP/ask.err")" '' "the process ends well"
unlike "$(cat "$TMP"/ask.err "$TMP"/vault.log)" "$SECRET" "no secret in anybody's log"
done_testing
