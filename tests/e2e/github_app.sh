#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# egret-provider against a strict stand-in of GitHub's API for Apps (tests/standins/github.py): the App's own token, installations by id
# and by name, tokens of both forms narrowed to repositories and permissions, answers that are wider than asked, clocks that differ,
# revocation, GitHub Enterprise Server's prefix.
. "$(dirname "$0")/../lib.sh"
need python3 openssl jq curl
. "$ROOT/tests/standins/ask.sh"
STANDIN=$ROOT/tests/standins

pki_ca outside && pki_leaf outside github DNS:github.test || exit 1
for n in app wrong sign; do openssl genrsa -out "$TMP/$n.pem" 2048 2>/dev/null && openssl rsa -in "$TMP/$n.pem" -pubout -out "$TMP/$n.pub" 2>/dev/null; done
openssl rsa -in "$TMP/app.pem" -traditional -out "$TMP/app.pkcs1" 2>/dev/null # as GitHub gives it out
openssl ecparam -name prime256v1 -genkey -noout -out "$TMP/ec.pem"
cat >"$TMP/github.json" <<-JSON
	{ "app_id": 1234, "client_id": "Iv23liABC", "key": "$TMP/app.pub", "sign": "$TMP/sign.pem",
	  "installations": {
	    "77": { "account": "acme", "repositories": { "web": 1, "docs": 2, "secret": 3 }, "permissions": { "contents": "write", "issues": "read", "metadata": "read" } },
	    "78": { "account": "ada", "kind": "User", "repositories": { "notes": 9 }, "permissions": { "contents": "read", "metadata": "read" } },
	    "79": { "account": "asleep", "suspended": true, "repositories": { "x": 4 }, "permissions": { "contents": "read" } } } }
JSON
spawn python3 "$STANDIN/github.py" "$TMP" 127.0.0.1 0 "$TMP/github.pem" "$TMP/github.key" /api/v3
wait_for 10 "[ -s '$TMP/github.port' ]" || { echo "not ok 1 - the stand-in does not start"; echo 1..1; exit 1; }
PORT=$(cat "$TMP/github.port") NOW=$(date +%s)
app=(github-app "api_url=https://github.test:$PORT/api/v3" app_id=1234 "key=@$TMP/app.pkcs1")
web=("${app[@]}" installation=acme repositories=web permissions=contents=write)
holds() { state github "$PORT" "$1"; }
refuse() { # what it means, regex, fields...
	said provide "${@:3}"
	like "$REPLY" "^failed $2" "$1"
}

asker_up hosts=github.test=127.0.0.1
said provide "${web[@]}"
like "$(part value)" '^ghs_[0-9a-f]{36}$' "a token of 40 characters"
at_most $(($(part expires) - $(date +%s))) 3600 "which ends within the hour"
is "$(part static) $(part renewable)" "0 0" "not static; replaced, not renewed"
is "$(holds '.tokens[0] | [(.repositories | join(",")), (.permissions | to_entries | map("\(.key):\(.value)") | sort | join(","))] | join(" ")')" \
	"web contents:write,metadata:read" "it is good for that repository and that alone"
is "$(saw github | cut -d' ' -f1-3)" "GET /api/v3/orgs/acme/installation 200
POST /api/v3/app/installations/77/access_tokens 201" "one look for the installation, one request for the token"
like "$(jq -r .agent "$TMP/github.log" | sort -u)" '^egret/' "under a name of its own"
n=$ASKED
forget github
said provide "${web[@]}"
is "$(saw github | wc -l)" 1 "the next job's token costs one request"
m=$ASKED
code() { curl -sS -o /dev/null -w '%{http_code}' --cacert "$TMP/outside.pem" --resolve "github.test:$PORT:127.0.0.1" -A t -H "Authorization: Bearer $1" \
	"https://github.test:$PORT/api/v3/repos/acme/$2"; }
second=$(part value)
is "$(code "$second" web) $(code "$second" docs)" "200 404" "it opens its repository, and no other"
said revoke "${web[@]}" of=$n
is "$REPLY $(holds .gone) $(code "$second" web)" "ok 1 200" "revoked, with itself; the other job's is not"
said revoke "${web[@]}" of=$n
is "$REPLY" ok "a second time is no failure: it is gone"
said revoke "${web[@]}" of=$m
is "$REPLY $(code "$second" web) $(holds '.tokens | length')" "ok 401 0" "nor the second's after its own"

mood github '{ "form": "long" }'
said provide "${web[@]}"
value=$(part value)
like "${#value} $value" '^[4-9][0-9][0-9] ghs_1234_eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$' "the longer form, with dots"
is "$(code "$value" web)" 200 "works as well"
said revoke "${web[@]}" of=$ASKED
is "$REPLY $(code "$value" web)" "ok 401" "and is revoked"
mood github

said provide "${app[@]}" installation=77 repositories=web repositories=Docs permissions=contents=read
like "$REPLY" '^failed EACCES github-app: 422 at app/installations/77/access_tokens: a repository is not one of the installation.s$' "a repository by another name"
said provide "${app[@]}" installation=77 repositories=web repositories=docs permissions=contents=read permissions=issues=read
is "$(holds '.tokens[0] | .repositories | join(",")')" web,docs "an installation by its id, two repositories"
said revoke "${app[@]}" of=$ASKED
said provide "${app[@]}" installation=acme/web permissions=contents=read
is "$(holds '.tokens[0] | [.repositories, .permissions.contents] | join(" ")')" " read" "an installation by a repository; no repositories named: all of them"
said revoke "${app[@]}" of=$ASKED
said provide "${app[@]}" installation=ada repositories=notes permissions=contents=read
is "$(part static)" 0 "a user's installation"
said revoke "${app[@]}" of=$ASKED
said provide "${app[@]}" app_id=1234 installation=acme
is "$(holds '.tokens[0].permissions | keys | join(",")')" contents,issues,metadata "nothing named: what the installation has"
said revoke "${app[@]}" of=$ASKED
said provide github-app "api_url=https://github.test:$PORT/api/v3/" app_id=Iv23liABC "key=@$TMP/app.pem" installation=77 repositories=web
like "$REPLY" '^provided' "a client's id in place of the app's, a key in PKCS 8, a slash behind the address"
said revoke "${app[@]}" of=$ASKED

# ---- refused ----
forget github
refuse "another key" 'EACCES github-app: 401 at app/installations/77/access_tokens: the key is none of the app.s$' "${app[@]:0:3}" "key=@$TMP/wrong.pem" installation=77
refuse "another app" 'EACCES github-app: 401 at app/installations/77/access_tokens: there is no such app \(app_id\)$' "${app[@]:0:2}" app_id=99 "key=@$TMP/app.pem" installation=77
refuse "no key" 'EINVAL github-app: key: ' "${app[@]:0:3}" "key=@$TMP/app.pub" installation=acme
refuse "an elliptic key" 'EACCES github-app: 401 at app/installations/77/access_tokens: the key is none of the app.s$' "${app[@]:0:3}" "key=@$TMP/ec.pem" installation=77
refuse "no such installation" 'ENOENT github-app: 404 at users/nobody/installation: it is not there' "${app[@]}" installation=nobody
refuse "no such id" 'ENOENT github-app: 404 at app/installations/5/access_tokens: it is not there' "${app[@]}" installation=5
refuse "suspended" 'EACCES github-app: the app.s installation is suspended$' "${app[@]}" installation=asleep
for i in '../orgs/acme' 'a/b/c' 'acme?x' '/acme' 'acme/'; do refuse "installation $i" 'EINVAL github-app: installation: an id, ' "${app[@]}" "installation=$i"; done
refuse "permissions beyond the installation's" 'EACCES github-app: 422 at app/installations/77/access_tokens: the installation does not have these permissions$' \
	"${app[@]}" installation=77 repositories=web permissions=contents=admin
is "$(holds '.tokens | length')" 0 "no token came of it"
for wider in repositories permissions level all; do
	mood github "{ \"wider\": \"$wider\" }"
	refuse "an answer that is wider ($wider)" 'EACCES github-app: the token may do more than was asked for \(.*\); it is not used$' "${app[@]}" installation=77 repositories=web permissions=contents=read
	is "$(holds '.tokens | length')" 0 "and its token was revoked at once"
done
mood github '{ "silent": true }'
refuse "an answer that does not say which repositories" 'EACCES github-app: the token may do more .*it does not say its repositories' "${web[@]}"
mood github

# ---- clocks ----
for ahead in 300 -300 590 -590; do
	asker_down
	forget github
	mood github "{ \"clock\": $ahead }"
	asker_up hosts=github.test=127.0.0.1
	said provide "${web[@]}"
	like "$REPLY" '^provided' "GitHub's clock is $ahead s ahead"
	left=$(($(part expires) - $(date +%s)))
	at_most $((left > 3600 ? left - 3600 : 3600 - left)) 20 "the token's end is by this host's clock, off by"
	said provide "${web[@]}"
	is "$(saw github | grep -c ' 401 ')" $((ahead != 300)) "what was refused for it is asked again, once for all"
done
asker_down
asker_up hosts=github.test=127.0.0.1
mood github '{ "clock": 900 }'
refuse "GitHub's clock is 15 minutes ahead" "EACCES github-app: this host's clock is 15 minutes behind GitHub's: set it right$" "${web[@]}"
mood github '{ "clock": -900 }'
refuse "15 minutes behind" "EACCES github-app: this host's clock is (15|14) minutes ahead of GitHub's: set it right$" "${web[@]}"
mood github

# ---- the server is not well ----
said provide "${web[@]}"
n=$ASKED
mood github '{ "secondary": true }'
refuse "secondary rate limit" 'again github-app: 403 at app/installations/77/access_tokens: too many requests$' "${web[@]}"
said revoke "${web[@]}" of=$n
is "$REPLY" 'failed again github-app: 403 at installation/token: too many requests' "a revocation waits too"
mood github '{ "primary": true }'
refuse "rate limit" 'again github-app: 429 at app/installations/77/access_tokens: too many requests$' "${web[@]}"
for s in 500 502 503; do
	mood github "{ \"status\": $s }"
	refuse "$s" "again github-app: $s at app/installations/77/access_tokens\$" "${web[@]}"
done
mood github '{ "status": 301, "headers": { "Location": "https://evil.test/" } }'
refuse "a redirect" 'EACCES github-app: 301 at app/installations/77/access_tokens: a redirect: these are not followed$' "${web[@]}"
mood github '{ "status": 201 }'
refuse "an answer without a token" 'EBADMSG github-app: the answer has no token, or not the time when it ends$' "${web[@]}"
mood github
said revoke "${web[@]}" of=$n
is "$REPLY" ok "well again: what was owed is revoked"
# Installed anew, under another id.
jq '.installations["88"] = .installations["77"] | del(.installations["77"])' "$TMP/github.json" >"$TMP/new.json"
kill "$SPAWNED"
wait "$SPAWNED" 2>/dev/null
refuse "down" 'again github-app: .*onnect.* at app/installations/77/access_tokens$' "${web[@]}"
mv "$TMP/new.json" "$TMP/github.json"
spawn python3 "$STANDIN/github.py" "$TMP" 127.0.0.1 "$PORT" "$TMP/github.pem" "$TMP/github.key" /api/v3
wait_for 10 "curl -sS --cacert '$TMP/outside.pem' --resolve 'github.test:$PORT:127.0.0.1' 'https://github.test:$PORT/standin/state'" >/dev/null
said lose "${web[@]}"
like "$REPLY" '^provided' "installed anew: the id is looked up again"
forget github
asker_down
is "$(saw github | grep -c '^DELETE .* 204 ') $(holds '.tokens | length')" "1 0" "a process whose broker is gone takes back what was not written down"
is "$(cat "$TMP/ask.rest" "$TMP/ask.err")" '' "and ends well"
done_testing
