#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# egret-identity as egretd runs it, against a stand-in of a CI system's issuer (tests/e2e/oidc.py: its documents and tokens have the
# documented form, its names and keys are ours): good tokens become facts, everything else is refused in words that name the check.
. "$(dirname "$0")/../lib.sh"
need python3 openssl
PROGRAM=$BUILD/bin/egret-identity ASK=$BUILD/tests/e2e/identity_ask
[ -x "$PROGRAM" ] && [ -x "$ASK" ] || { echo "not ok 1 - $PROGRAM or $ASK is not built"; echo 1..1; exit 1; }
OIDC=$ROOT/tests/e2e/oidc.py
python3 "$OIDC" keys "$TMP" || { echo "not ok 1 - no keys"; echo 1..1; exit 1; }
spawn python3 "$OIDC" serve "$TMP"
wait_for 10 "[ -s '$TMP/ports' ]" || { echo "not ok 1 - the issuer does not start"; echo 1..1; exit 1; }
read -r HTTPS DNS <"$TMP/ports"
BASE=https://issuer.test:$HTTPS AUD=egret:n0nce
NOW=$(date +%s)

claims() { # issuer's path, JSON that is added or replaces
	jq -cn --arg iss "$BASE/$1" --arg aud "$AUD" --argjson now "$NOW" --argjson more "${2:-{\}}" '{
		iss: $iss, aud: $aud, exp: ($now + 300), nbf: ($now - 10), iat: ($now - 10), jti: "one-1", sub: "repo:acme/web:ref:refs/heads/main",
		repository: "acme/web", repository_id: "8412", repository_owner: "acme", repository_owner_id: "17", ref: "refs/heads/main",
		sha: "0123456789abcdef0123456789abcdef01234567", event_name: "push", workflow: "release", environment: "production",
		run_id: "990", run_attempt: "2", actor: "ada", runner_environment: "self-hosted",
		job_workflow_ref: "acme/web/.github/workflows/r.yml@refs/heads/main" } + $more'
}
tokens() { python3 "$OIDC" tokens "$TMP"; }
ask() { # token file, issuer's path, kind, more...
	"$ASK" "$PROGRAM" "$TMP/$1" "$BASE/$2" "${AUDIENCE:-$AUD}" "$3" "${ROOTS:-$TMP/ca.pem}" "${@:4}" 2>&1
}
asks() { ask "$1" "${2:-good}" github "hosts=issuer.test=127.0.0.1"; }
refused() { # what it means, words, token file, issuer's path
	like "$(asks "$3" "${4:-good}")" "^failed .*$2" "$1"
}

tab=$'\t'
gitlab='"namespace_path": "acme", "project_path": "acme/web", "project_id": "22", "pipeline_id": "212", "pipeline_source": "push", "job_id": "77", "user_login": "ada", "runner_id": 5, "ref": "v1", "ref_type": "tag", "environment": ""'
buildkite='"organization_slug": "acme", "pipeline_slug": "web", "pipeline_id": "p-1", "build_number": 41, "build_branch": "main", "build_tag": null, "build_commit": "abc", "job_id": "b-7", "step_key": "test", "agent_id": "a-1"'
tokens <<END
rs256${tab}RS256${tab}r1${tab}$(claims good)
ps256${tab}PS256${tab}r2${tab}$(claims good)
es256${tab}ES256${tab}e1${tab}$(claims good '{ "aud": ["other", "egret:n0nce"], "event_name": "pull_request", "exp": '$((NOW + 60)).5' }')
eddsa${tab}EdDSA${tab}o1${tab}$(claims good)
eddsax${tab}EdDSA${tab}o2${tab}$(claims good)
eddsashort${tab}EdDSA${tab}o3${tab}$(claims good)
eddsakind${tab}EdDSA${tab}r2${tab}$(claims good)
gitlab${tab}RS256${tab}r1${tab}$(claims good "{ $gitlab }")
gitlabfork${tab}RS256${tab}r1${tab}$(claims good "{ $gitlab, \"ref_path\": \"refs/merge-requests/3/head\", \"pipeline_source\": \"merge_request_event\", \"job_project_id\": \"1\" }")
buildkite${tab}RS256${tab}r1${tab}$(claims good "{ $buildkite }")
generic${tab}RS256${tab}r1${tab}$(claims good '{ "repo": "own/thing", "fork": false }')
aud${tab}RS256${tab}r1${tab}$(claims good '{ "aud": "egret:n0nc" }')
audlist${tab}RS256${tab}r1${tab}$(claims good '{ "aud": ["egret", "egret:"] }')
audnone${tab}RS256${tab}r1${tab}$(claims good '{ "aud": null }')
iss${tab}RS256${tab}r1${tab}$(claims good/)
exp${tab}RS256${tab}r1${tab}$(claims good "{ \"exp\": $((NOW - 61)) }")
noexp${tab}RS256${tab}r1${tab}$(claims good '{ "exp": "never" }')
nbf${tab}RS256${tab}r1${tab}$(claims good "{ \"nbf\": $((NOW + 120)) }")
iat${tab}RS256${tab}r1${tab}$(claims good "{ \"iat\": $((NOW + 120)) }")
jti${tab}RS256${tab}r1${tab}$(claims good '{ "jti": "" }')
kid${tab}RS256${tab}r9${tab}$(claims good)
twice${tab}RS256${tab}twice${tab}$(claims good)
enc${tab}RS256${tab}enc${tab}$(claims good)
small${tab}RS256${tab}small${tab}$(claims good)
none${tab}none${tab}r1${tab}$(claims good)
hs256${tab}HS256${tab}r1${tab}$(claims good)
oct${tab}RS256${tab}oct${tab}$(claims good)
algkey${tab}PS256${tab}r1${tab}$(claims good)
kindkey${tab}ES256${tab}r2${tab}$(claims good)
crit${tab}RS256${tab}r1${tab}$(claims good)${tab}{ "crit": ["exp"] }
control${tab}RS256${tab}r1${tab}$(claims good '{ "repository": "acme/web\nevil" }')
norepo${tab}RS256${tab}r1${tab}$(claims good '{ "repository": null }')
doubled${tab}RS256${tab}r1${tab}{ "iss": "$BASE/good", $(claims good | cut -c 2-)
$(for p in http other moved broken many redirect slow text without; do printf '%s\tRS256\tr1\t%s\n' $p "$(claims $p)"; done)
END
cut -c "1-$(($(wc -c <"$TMP/rs256") - 8))" "$TMP/rs256" >"$TMP/cut"
cut -d . -f 1,2 "$TMP/rs256" >"$TMP/two"
printf '%sAAAA' "$(cat "$TMP/none")" >"$TMP/nonesigned"
printf '%s.' "$(cut -d . -f 1,2 "$TMP/rs256")" >"$TMP/unsigned"
{ cut -d . -f 1 "$TMP/rs256"; echo .; cut -d . -f 2 "$TMP/es256"; echo .; cut -d . -f 3 "$TMP/rs256"; } | tr -d '\n' >"$TMP/swapped"
{ cat "$TMP/rs256"; head -c 20000 /dev/zero | tr '\0' A; } >"$TMP/large"
{ cat "$TMP/rs256"; printf '\r\n'; } >"$TMP/newline"
: >"$TMP/empty"

got=$(asks rs256)
for fact in provider=github org=acme repo=acme/web repo_id=8412 repo_owner_id=17 ref=refs/heads/main \
	sha=0123456789abcdef0123456789abcdef01234567 event=push fork=false workflow=release environment=production run_id=990 run_attempt=2 \
	actor=ada runner_environment=self-hosted job_workflow_ref=acme/web/.github/workflows/r.yml@refs/heads/main; do
	like "$got" "^fact $fact\$" "GitHub: $fact"
done
like "$got" '^jti one-1$' "the token's own name is told"
is "$(grep -c ^fact <<<"$got")" 16 "and nothing else"
unlike "$got" '^ended' "the program ends with 0"
is "$(asks newline)" "$got" "a line's end behind the token"
is "$(asks ps256)" "$got" "PS256"
is "$(asks eddsa)" "$got" "EdDSA on Ed25519"
is "$(ask eddsa good github hosts=issuer.test=127.0.0.1 alg=ES256 alg=EdDSA)" "$got" "an issuer held to two algorithms, one of them"
like "$(ask rs256 good github hosts=issuer.test=127.0.0.1 alg=ES256 alg=EdDSA)" '^failed .*signed with RS256, which "algorithms" does not name' "and another one"
got=$(asks es256)
like "$got" '^fact event=pull_request$' "ES256, an audience among several, an exp with a fraction"
unlike "$got" '^fact fork=' "a pull request is not said to be no fork"
is "$(ask rs256 good github "dns=127.0.0.1:$DNS")" "$(asks rs256)" "the name looked up at a nameserver"
got=$(ask gitlab good gitlab hosts=issuer.test=127.0.0.1)
for fact in provider=gitlab repo=acme/web repo_id=22 ref=refs/tags/v1 run_id=212 job_id=77 runner=5 event=push fork=false; do like "$got" "^fact $fact\$" "GitLab: $fact"; done
unlike "$got" '^fact environment' "GitLab: an empty environment is none"
got=$(ask gitlabfork good gitlab hosts=issuer.test=127.0.0.1)
like "$got" '^fact fork=true$' "GitLab: another project's runner works for a fork"
like "$got" '^fact ref=refs/merge-requests/3/head$' "GitLab: the full ref"
got=$(ask buildkite good buildkite hosts=issuer.test=127.0.0.1)
for fact in repo=acme/web ref=refs/heads/main run_id=41 job_id=b-7 job=test; do like "$got" "^fact $fact\$" "Buildkite: $fact"; done
got=$(ask generic good generic hosts=issuer.test=127.0.0.1)
like "$got" '^fact repo=own/thing$' "generic: our own words"
like "$got" '^fact fork=false$' "generic: a boolean"

: >"$TMP/requests"
refused "another audience" '\(aud\)' aud
refused "a list without ours" '\(aud\)' audlist
refused "no audience" '\(aud\)' audnone
refused "another issuer" '\(iss\)' iss
refused "expired" 'expired \(exp\)' exp
refused "no expiry" '\(exp\)' noexp
refused "not valid yet" '\(nbf\)' nbf
refused "issued tomorrow" '\(iat\)' iat
refused "no jti" '\(jti\)' jti
refused "alg none, unsigned" 'no signature' none
refused "alg none, with some signature" 'signed with none; RS256' nonesigned
refused "HS256 with the public key" 'signed with HS256; RS256' hs256
refused "critical extensions" '\(crit\)' crit
refused "a claim twice" 'claims are not JSON' doubled
refused "two parts" 'three parts' two
refused "signature taken off" 'no signature' unsigned
refused "larger than 16 KiB" 'larger than 16 KiB' large
refused "empty" 'three parts' empty
is "$(cat "$TMP/requests")" '' "none of these made anybody dial"
refused "an unknown key" 'no key of the token.s name \(kid\)' kid
refused "two keys of one name" 'two keys' twice
refused "a key for encryption" '\(use, key_ops\)' enc
refused "RSA of 1024 bits" '2048 to 8192 bits' small
refused "a symmetric key" '\(kty\)' oct
refused "an Ed25519 token and a key of another curve" '\(crv\)' eddsax
refused "and a key that is too short" 'malformed' eddsashort
refused "and an RSA key" '\(kty\)' eddsakind
sed -i 's/.....\(.\)$/AAAAA\1/' "$TMP/eddsa"
refused "an Ed25519 signature that was changed" "signature is not the issuer's" eddsa
refused "the key's alg is another" '\(alg\)' algkey
refused "the key's kind is another" '\(kty\)' kindkey
refused "a signature cut short" 'signature is not' cut
refused "other claims under the signature" 'signature is not' swapped
refused "control characters in a claim" 'claim repository is too long or holds' control
refused "a claim missing" 'claim repository is missing; is the issuer.s kind right' norepo
like "$(ask rs256 good gitlab hosts=issuer.test=127.0.0.1)" '^failed .*claim namespace_path is missing' "GitHub's token under GitLab's kind"
like "$(ask rs256 good github "hosts=issuer.test=127.0.0.1" "now=$((NOW + 400))")" '^failed .*expired' "later, the same token is expired"
refused "keys over http" 'jwks_uri is not https' http http
refused "a document of another issuer" 'names another issuer' other other
refused "a document without keys" 'has no jwks_uri' without without
refused "a redirect of the document" '301, a redirect' moved moved
refused "a redirect of the keys" '302, a redirect' redirect redirect
refused "an error of the server" 'answered 500' broken broken
refused "10,000 keys" 'larger than 64 KiB' many many
refused "keys that are no JSON" 'not a JSON Web Key Set' text text
like "$(ROOTS=$TMP/other-ca.pem asks rs256)" '^failed https://issuer.test:[0-9]+/good/.well-known/openid-configuration: .*certificate' "a CA that is not trusted"
like "$(ask rs256 good github "dns=127.0.0.1:$DNS" "hosts=issuer.test=127.0.0.2")" '^failed .*connect' "the configuration's address goes before the nameserver's"
issuer=https://wrong.test:$HTTPS/good
tokens <<<"name${tab}RS256${tab}r1${tab}$(claims good "{ \"iss\": \"$issuer\" }")"
like "$("$ASK" "$PROGRAM" "$TMP/name" "$issuer" "$AUD" github "$TMP/ca.pem" hosts=wrong.test=127.0.0.1)" '^failed .*wrong\.test' "a certificate for another name"
like "$("$ASK" "$PROGRAM" "$TMP/name" "$issuer" "$AUD" github "$TMP/ca.pem" "dns=127.0.0.1:$DNS")" '^failed .*there is no such name' "a name that is not"
began=$(now_ms)
refused "a server that does not answer" 'no answer within 10 s' slow slow
at_most $(($(now_ms) - began)) 14000 "and is given up after ten seconds, in ms"
unlike "$(for f in cut swapped kid none hs256; do asks $f; done)" "$(cut -d . -f 3 "$TMP/rs256" | cut -c 1-20 | tr -d '\n')" "no answer shows a part of the token"
done_testing
