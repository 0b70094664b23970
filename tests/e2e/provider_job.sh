#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# Whole jobs with credentials of providers: a private repository is cloned and pushed to, and an API asked, with a GitHub App's token that
# is narrowed to it; a login to Vault gives a dynamic secret. Both servers are strict stand-ins (tests/standins), the repository is git's own
# http backend behind nginx, which asks the stand-in about each request. What was made for a job is taken back when it ends.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
need git fcgiwrap python3 jq
backend=$(git --exec-path)/git-http-backend
[ -x "$backend" ] || skip_all "git-http-backend is not there"
SERVICES=198.51.100.53

EXTRA_HOSTS[github.test]=$SERVICES EXTRA_HOSTS[vault.test]=$SERVICES
NGINX_EXTRA="
server { listen $GOOD:443 ssl; server_name git.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key;
  location ~ ^/acme/([a-z]+) {
    set \$repo \$1; auth_request /ask;
    fastcgi_pass unix:$TMP/fcgi.sock; fastcgi_param SCRIPT_FILENAME $backend; fastcgi_param GIT_PROJECT_ROOT $TMP/git;
    fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param PATH_INFO \$uri; fastcgi_param QUERY_STRING \$query_string;
    fastcgi_param REQUEST_METHOD \$request_method; fastcgi_param CONTENT_TYPE \$content_type; fastcgi_param HTTP_CONTENT_ENCODING \$http_content_encoding;
    fastcgi_param CONTENT_LENGTH \$content_length; fastcgi_param REMOTE_USER x-access-token; fastcgi_param GIT_PROTOCOL \$http_git_protocol;
  }
  location = /ask {
    internal; proxy_pass https://$SERVICES:443/standin/git?repo=\$repo; proxy_pass_request_body off; proxy_set_header Content-Length '';
    proxy_set_header Host github.test; proxy_set_header X-Original-URI \$request_uri;
  } }"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_TERMINAL_PROMPT=0 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t.test \
	GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t.test GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
git init -q -b main "$TMP/seed" && echo one >"$TMP/seed/file" && git -C "$TMP/seed" add . && git -C "$TMP/seed" commit -qm one
for r in web docs; do
	git init -q --bare -b main "$TMP/git/acme/$r.git"
	git -C "$TMP/seed" push -q "$TMP/git/acme/$r.git" main
done
spawn fcgiwrap -s "unix:$TMP/fcgi.sock" >/dev/null 2>&1
wait_for 5 "[ -S '$TMP/fcgi.sock' ]" && chmod 666 "$TMP/fcgi.sock"
NGINX_OWN=git.test
origins_up

# ---- the stand-ins ----
pki_leaf outside services DNS:github.test,DNS:vault.test || exit 1
for n in app sign; do openssl genrsa -out "$TMP/$n.pem" 2048 2>/dev/null && openssl rsa -in "$TMP/$n.pem" -pubout -out "$TMP/$n.pub" 2>/dev/null; done
SECRET=s3cr3t-$(openssl rand -hex 16)
cat >"$TMP/github.json" <<-JSON
	{ "app_id": 1234, "key": "$TMP/app.pub", "sign": "$TMP/sign.pem", "installations": { "77": { "account": "acme",
	  "repositories": { "web": 1, "docs": 2 }, "permissions": { "contents": "write", "metadata": "read" } } } }
JSON
cat >"$TMP/vault.json" <<-JSON
	{ "namespace": "ci", "logins": { "approle": { "kind": "approle", "roles": { "r": { "secret_ids": { "$SECRET": 0 }, "paths": [ "database/creds/ro" ] } } } },
	  "dynamic": { "database/creds/ro": { "ttl": 600 } } }
JSON
echo '{ "form": "long" }' >"$TMP/github.mode"
spawn in_origin python3 "$ROOT/tests/standins/github.py" "$TMP" $SERVICES 443 "$TMP/services.pem" "$TMP/services.key" /api/v3
spawn in_origin python3 "$ROOT/tests/standins/vault.py" "$TMP" $SERVICES 8200 "$TMP/services.pem" "$TMP/services.key" "$TMP/outside.pem"
wait_port in_host $SERVICES 443 && wait_port in_host $SERVICES 8200 || exit 1
state() { # github|vault, jq's program
	in_host curl -sS --cacert "$TMP/outside.pem" --resolve "github.test:443:$SERVICES" --resolve "vault.test:8200:$SERVICES" \
		"https://$1.test$([ "$1" = vault ] && echo :8200)/standin/state" | jq -r "$2"
}
logged() { cat "$TMP"/state*/events*.ndjson 2>/dev/null; } # also what came behind the job's own stream
saw() { jq -r '[.method, .path, .status, .note] | join(" ")' "$TMP/$1.log"; }

# Without egret nobody gets in: the repository is private.
out=$(bare git clone -q https://git.test/acme/web.git "$TMP/none" 2>&1)
like "$? $out" '^[1-9].*(could not read Username|Authentication failed)' "direct, without a token: refused"

t "the App's key goes to the store" bash -c "'$EGRET' secret set app-key <'$TMP/app.pem'"
t "and the secret_id" bash -c "printf %s '$SECRET' | '$EGRET' secret set vault-secret-id"
cat >"$TMP/github-cred.json" <<-JSON
	{ "name": "acme-web", "provider": "github-app", "api_url": "https://github.test/api/v3", "app_id": 1234, "key": "store:app-key",
	  "installation": "acme", "repositories": ["web"], "permissions": { "contents": "write" }, "for": "any", "hosts": ["git.test", "github.test"],
	  "inject": [ { "hosts": ["git.test"], "basic": "x-access-token:{token}" },
	              { "hosts": ["github.test"], "header": "Authorization", "format": "Bearer {token}" } ],
	  "placeholder": { "env": ["GH_TOKEN"], "value": "egret__acme_web__" } }
JSON
CREDENTIAL=$TMP/github-cred.json
policy '"allow": "GIT-FETCH https://git.test/acme/web.git", "credential": "acme-web"' '"allow": "GIT-PUSH https://git.test/acme/web.git", "credential": "acme-web"' \
	'"allow": "GIT-FETCH https://git.test/acme/docs.git", "credential": "acme-web"' '"allow": "READ https://github.test/api/v3/repos/acme/*", "credential": "acme-web"'
cat >"$TMP/job.sh" <<-SH
	cd $TMP/work
	git clone -q https://git.test/acme/web.git clone && echo cloned
	echo two >clone/file && git -C clone commit -qam two && git -C clone push -q origin main && echo pushed
	git clone -q https://git.test/acme/docs.git docs || echo docs refused
	curl -sS -m 20 -H "Authorization: Bearer \$GH_TOKEN" https://github.test/api/v3/repos/acme/web
	echo; echo "\$GH_TOKEN"; env >env; cat /proc/self/environ >>env
SH
mkdir -p "$TMP/work"
out=$(job bash "$TMP/job.sh" 2>&1)
like "$out" '^cloned$' "git clone of a private repository"
like "$out" '^pushed$' "git push"
is "$(git -C "$TMP/git/acme/web.git" log --format=%s -n 1 main)" two "it arrived"
like "$out" '^docs refused$' "the token opens no other repository"
like "$out" '"full_name": "acme/web"' "curl of the API"
like "$out" '^egret__acme_web__$' "the job held a placeholder"
is "$(saw github | grep -c 'access_tokens 201')" 1 "one token for all of it"
like "$(saw github | grep 'access_tokens 201')" 'minted web contents:write,metadata:read$' "narrowed to the repository and to its contents"
wait_for 5 "[ \"\$(state github .gone)\" = 1 ]"
is "$(state github '[.gone, (.tokens | length)] | join(" ")')" "1 0" "revoked when the job ended"
is "$(saw github | tail -n 1)" "DELETE /api/v3/installation/token 204 revoked" "the last that GitHub heard"
value=$(origin_log | sed -n 's/.* git.test POST .* Basic //p' | tail -n 1 | base64 -d 2>/dev/null | cut -d: -f2)
value=${value:-$(origin_log | grep ' git.test ' | sed -n 's/.*Basic //p' | tail -n 1 | base64 -d 2>/dev/null | cut -d: -f2)}
like "$value" '^ghs_1234_eyJ' "what went over the wire"
is "$(grep -rlF "$value" "$TMP/work" "$TMP/events.ndjson" "$TMP/run" "$TMP/state" 2>/dev/null | wc -l)" 0 "is in no file of the job, no event, nothing of egret's"
for kind in credential.lease credential.revoke; do
	is "$(logged | jq -r "select(.kind==\"$kind\") | .credential.name")" acme-web "event $kind"
done

# A ttl replaces a value early: the ones before it are taken back as well, although GitHub would let them live for an hour.
sed 's/"for": "any"/"ttl": "2s", &/' "$TMP/github-cred.json" >"$TMP/ttl-cred.json"
CREDENTIAL=$TMP/ttl-cred.json
before=$(state github .minted)
job bash -c 'for i in 1 2 3 4 5 6 7 8; do curl -sS -m 20 -o /dev/null https://github.test/api/v3/repos/acme/web; sleep 0.5; done' >/dev/null 2>&1
made=$(($(state github .minted) - before))
like "$made" '^([2-9]|1[0-9])$' "with a ttl of two seconds a job of five has several tokens ($made)"
wait_for 5 "[ \"\$(state github '.tokens | length')\" = 0 ]"
is "$(state github '.tokens | length')" 0 "each was revoked"
CREDENTIAL=$TMP/github-cred.json

# What cannot be had is said, and the request is not sent.
echo '{ "status": 503 }' >"$TMP/github.mode"
before=$(origin_log | wc -l)
out=$(job curl -sS -m 60 -i https://github.test/api/v3/repos/acme/web 2>&1)
like "$out" '^HTTP/[0-9.]+ 502' "GitHub is not well: 502"
like "$out" 'github-app: 503 at orgs/acme/installation' "in the provider's words"
is "$(origin_log | wc -l) $(saw github | grep -c '/repos/acme/web 503')" "$before 0" "and the request was not sent"
rm -f "$TMP/github.mode"

# ---- Vault ----
cat >"$TMP/vault-cred.json" <<-JSON
	{ "name": "db", "provider": "vault", "address": "https://vault.test:8200", "namespace": "ci", "path": "database/creds/ro",
	  "auth": { "method": "approle", "role_id": "r", "secret_id": "store:vault-secret-id" }, "for": "any", "hosts": ["api.test"],
	  "inject": { "header": "Authorization", "format": "Bearer {token}" } }
JSON
CREDENTIAL=$TMP/vault-cred.json
policy '"allow": "GET https://api.test/**", "credential": "db"'
job bash -c 'for i in 1 2 3; do curl -sS -m 20 -o /dev/null https://api.test/hello.txt; done' >/dev/null 2>&1
used=$(origin_log | sed -n 's/.* api.test GET .* Bearer //p' | sort -u)
like "$used" '^P-[0-9a-f]{24}$' "vault: three requests with one dynamic secret"
is "$(saw vault | grep -cE 'login 200|minted')" 2 "one login, one secret"
wait_for 5 "[ \"\$(state vault .tokens)\" = 0 ]"
is "$(state vault '[.tokens, (.leases | length), .gone.tokens, .gone.leases] | join(" ")')" "0 0 1 1" "login and secret ended with the job"
is "$(logged | jq -r 'select(.kind=="credential.revoke") | .credential.name' | tail -n 1)" db "event credential.revoke"
is "$(grep -rlF -e "$used" -e "$SECRET" "$TMP/events.ndjson" "$TMP/run" "$TMP/state" 2>/dev/null | wc -l)" 0 "neither stands in an event or a file of egret's"
done_testing
