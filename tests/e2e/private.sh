#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 30 s
# not quick
# timeout: 200
# P2 with real clients: a job with nothing configured pulls from and pushes to a private registry (docker-registry, whose tokens come from a token
# server), clones and pushes a private repository, also with git-lfs, publishes with npm to verdaccio, uploads with twine and asks GitHub's API.
# What token server and LFS hand out never reaches it either. Where twine or gh are missing curl speaks in their form. The docker daemon's own
# pulls: registry.sh.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/packages.sh"
need skopeo docker-registry jq python3 git fcgiwrap
AUTH=198.51.100.54 REG=198.51.100.55 VERD=198.51.100.56
EXTRA_HOSTS[auth.test]=$AUTH EXTRA_HOSTS[up.test]=$AUTH EXTRA_HOSTS[store.test]=$AUTH EXTRA_HOSTS[api.github.com]=$AUTH EXTRA_HOSTS[reg.test]=$REG EXTRA_HOSTS[verd.test]=$VERD
token=tok-$(openssl rand -hex 20)
printf %s "$token" >"$TMP/secret"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_TERMINAL_PROMPT=0 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t.test \
	GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t.test GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
NGINX_EXTRA="
server { listen $GOOD:443 ssl; server_name git.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key;
  location /web.git/info/lfs/ { proxy_pass https://$AUTH; }
  location / {
    if (\$http_authorization != 'Basic $(printf 'x-access-token:%s' "$token" | base64 -w0)') { add_header WWW-Authenticate 'Basic realm=\"git\"' always; return 401; }
    fastcgi_pass unix:$TMP/fcgi.sock; fastcgi_param SCRIPT_FILENAME $(git --exec-path)/git-http-backend; fastcgi_param GIT_PROJECT_ROOT $TMP/git;
    fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param PATH_INFO \$uri; fastcgi_param QUERY_STRING \$query_string;
    fastcgi_param REQUEST_METHOD \$request_method; fastcgi_param CONTENT_TYPE \$content_type; fastcgi_param HTTP_CONTENT_ENCODING \$http_content_encoding;
    fastcgi_param CONTENT_LENGTH \$content_length; fastcgi_param REMOTE_USER robot; fastcgi_param GIT_PROTOCOL \$http_git_protocol;
  } }"
NGINX_OWN=git.test
mkdir -p "$TMP/git" "$TMP/home"
git init -q --bare -b main "$TMP/git/web.git"
git init -q -b main "$TMP/seed" && echo one >"$TMP/seed/file" && git -C "$TMP/seed" add . && git -C "$TMP/seed" commit -qm one &&
	git -C "$TMP/seed" push -q "$TMP/git/web.git" main
spawn fcgiwrap -s "unix:$TMP/fcgi.sock" >/dev/null 2>&1
wait_for 5 "[ -S '$TMP/fcgi.sock' ]" && chmod 666 "$TMP/fcgi.sock"
origins_up
for a in $AUTH $REG $VERD; do in_origin ip addr add $a/24 dev "$(in_origin ip -o -4 addr show to 198.51.100.10 | awk '{print $2}')"; done
t "the token goes to the store" bash -c "printf %s '$token' | '$EGRET' secret set robot"
cred() { # hosts, inject, [more members]
	CREDENTIAL=$TMP/cred.json
	printf '{ "name": "robot", "provider": "store", "value": "robot", "for": "any", "hosts": [%s], "inject": %s %s }' "$1" "$2" "${3:+, $3}" >"$CREDENTIAL"
}

# ---- a registry of images, whose tokens come from elsewhere ----
pki_leaf outside auth DNS:auth.test,DNS:up.test,DNS:api.github.com,DNS:store.test
pki_leaf outside reg DNS:reg.test
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tokens -keyout "$TMP/tokens.key" -out "$TMP/tokens.pem" 2>/dev/null
spawn in_origin python3 "$ROOT/tests/e2e/private_origins.py" "$TMP" $AUTH >"$TMP/auth.log" 2>&1
cat >"$TMP/reg.yml" <<-YAML
	version: 0.1
	log: { level: error }
	storage: { filesystem: { rootdirectory: $TMP/registry } }
	http: { addr: $REG:443, secret: x, tls: { certificate: $TMP/reg.pem, key: $TMP/reg.key } }
	auth: { token: { realm: 'https://auth.test/token', service: reg.test, issuer: tokens, rootcertbundle: $TMP/tokens.pem } }
YAML
spawn in_origin docker-registry serve "$TMP/reg.yml" >"$TMP/reg.log" 2>&1
wait_port in_host $REG 443 && wait_port in_host $AUTH 443 || { diag "$(tail -n 5 "$TMP/reg.log" "$TMP/auth.log")"; exit 1; }
python3 - "$TMP/image" <<'PY'
import gzip, hashlib, io, json, os, sys, tarfile
to = sys.argv[1]
os.makedirs(to + "/blobs/sha256")
def put(kind, b):
    d = hashlib.sha256(b).hexdigest()
    open(to + "/blobs/sha256/" + d, "wb").write(b)
    return {"mediaType": kind, "digest": "sha256:" + d, "size": len(b)}
raw = io.BytesIO()
t = tarfile.open(fileobj=raw, mode="w"); i = tarfile.TarInfo("file"); i.size = 100000; t.addfile(i, io.BytesIO(os.urandom(100000))); t.close()
layer = put("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(raw.getvalue()))
diff = "sha256:" + hashlib.sha256(raw.getvalue()).hexdigest()
config = put("application/vnd.oci.image.config.v1+json", json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff]}}).encode())
m = put("application/vnd.oci.image.manifest.v1+json", json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer]}).encode())
m["annotations"] = {"org.opencontainers.image.ref.name": "1"}
json.dump({"schemaVersion": 2, "manifests": [m]}, open(to + "/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(to + "/oci-layout", "w"))
PY
skopeo_job() { job env HOME="$TMP/home" skopeo --insecure-policy --tmpdir "$TMP" "$@" 2>&1; }
policy '"allow": "ANY https://reg.test/v2/**"' '"allow": "GET https://auth.test/token"'
CREDENTIAL=
isnt "$(skopeo_job copy "oci:$TMP/image:1" docker://reg.test/app/x:1 >/dev/null; echo $?)" 0 "the registry is private: without a credential there is no push"
cred '"auth.test", "reg.test"' '{ "hosts": ["auth.test"], "basic": "robot:{token}" }'
policy '"allow": "ANY https://reg.test/v2/**"' '"allow": "GET https://auth.test/token", "credential": "robot"'
t "skopeo: pushes to a private registry" skopeo_job copy "oci:$TMP/image:1" docker://reg.test/app/x:1
t "skopeo: pulls from it" skopeo_job copy docker://reg.test/app/x:1 "dir:$TMP/got"
is "$(cd "$TMP/got" 2>/dev/null && sha256sum -- [0-9a-f]* | awk '$1 != $2' | wc -l)" 0 "skopeo: the blobs are what they were"
like "$(cat "$TMP/served.log")" 'token repository:app/x:pull,push' "the scopes are the client's"
out=$(job curl -sS --max-time 20 'https://auth.test/token?service=reg.test&scope=repository:app/x:pull')
like "$(jq -r .token <<<"$out")" '^egret_d_[a-z2-7]{32}$' "the job gets a mark for the token"
is "$(grep -cFf "$TMP/handed.out" <<<"$out")" 0 "and no token"
mark='m=$(curl -sS --max-time 20 "https://auth.test/token?service=reg.test&scope=repository:app/x:pull" | jq -r .token)'
is "$(job bash -c "$mark; curl -sS -o /dev/null -w '%{http_code}' -H \"Authorization: Bearer \$m\" https://reg.test/v2/app/x/tags/list")" 200 "it is good at the registry, in this job"
m=$(jq -r .token <<<"$out")
is "$(job curl -sS -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $m" https://reg.test/v2/app/x/tags/list)" 401 "in another job it is only text"
is "$(grep -lFf "$TMP/handed.out" "$TMP/events.ndjson" 2>/dev/null | wc -l)" 0 "no token is in the events"

# ---- a private repository ----
cred '"git.test"' '{ "basic": "x-access-token:{token}" }'
policy '"allow": "GIT-FETCH https://git.test/web.git", "credential": "robot"' '"allow": "GIT-PUSH https://git.test/web.git", "credential": "robot"'
t "git: clones a private repository" job git clone -q https://git.test/web.git "$TMP/clone"
echo two >"$TMP/clone/file" && git -C "$TMP/clone" commit -qam two
t "git: pushes to it" job git -C "$TMP/clone" push -q origin main
is "$(git -C "$TMP/git/web.git" rev-parse main)" "$(git -C "$TMP/clone" rev-parse HEAD)" "git: it arrived"
is "$(grep -rF "$token" "$TMP/clone" | wc -l)" 0 "git: nothing of the token is in the clone"

if command -v git-lfs >/dev/null; then
	policy '"allow": "GIT-FETCH https://git.test/web.git", "credential": "robot"' '"allow": "GIT-PUSH https://git.test/web.git", "credential": "robot"' \
		'"allow": "POST https://git.test/web.git/info/lfs/**", "credential": "robot"' '"allow": "ANY https://store.test/lfs/**"' '"allow": "POST https://up.test/lfs/**"'
	lfs() { HOME=$TMP/home git -C "$TMP/clone" "$@"; }
	head -c 300000 /dev/urandom >"$TMP/clone/large.bin"
	oid=$(sha "$TMP/clone/large.bin")
	lfs lfs install --local >/dev/null && lfs lfs track '*.bin' >/dev/null && lfs add . && lfs commit -qm large
	is "$(lfs cat-file -p HEAD:large.bin | sed -n 2p)" "oid sha256:$oid" "git-lfs: the commit has a pointer"
	t "git-lfs: pushes" job env HOME="$TMP/home" git -C "$TMP/clone" push -q origin main
	is "$(sha "$TMP/lfs/$oid")" "$oid" "git-lfs: the store has the bytes"
	is "$(grep -c "^lfs verified $oid" "$TMP/served.log")" 1 "git-lfs: and another host, with a header of its own, that they are there"
	ask="curl -sS --max-time 20 -d '{\"operation\":\"download\",\"objects\":[{\"oid\":\"$oid\",\"size\":300000}]}' https://git.test/web.git/info/lfs/objects/batch"
	like "$(job bash -c "$ask")" "store.test/lfs/$oid\?X-Amz-Signature=egret_d_[a-z2-7]{32}&part=1\"" "git-lfs: of a signed link the job gets a mark"
	is "$(job bash -c "$ask" | grep -cFf "$TMP/handed.out")" 0 "git-lfs: and nothing that was handed out"
	t "git-lfs: clones" job env HOME="$TMP/home" git -c filter.lfs.smudge='git-lfs smudge -- %f' -c filter.lfs.process='git-lfs filter-process' -c filter.lfs.required=true \
		clone -q https://git.test/web.git "$TMP/large"
	is "$(sha "$TMP/large/large.bin")" "$oid" "git-lfs: and has the bytes"
	is "$(grep -rFf "$TMP/handed.out" "$TMP/clone/.git" "$TMP/large/.git" "$TMP/home" | wc -l)" 0 "git-lfs: none of it is in the clones"
else
	skip "git-lfs" "not installed"
fi

# ---- twine ----
make_pypi
cred '"up.test"' '{ "basic": "__token__:{token}" }' '"placeholder": { "env": ["TWINE_PASSWORD"], "value": "egret__robot__" }'
policy '"allow": "POST https://up.test/legacy/", "credential": "robot"'
wheel=$TMP/www/pypi.test/files/egret_hello-1.0-py3-none-any.whl
if command -v twine >/dev/null; then
	out=$(job env HOME="$TMP/home" TWINE_USERNAME=__token__ twine upload --non-interactive --disable-progress-bar --repository-url https://up.test/legacy/ "$wheel" 2>&1)
	is $? 0 "twine: uploads"
	diag "$(tail -n 3 <<<"$out")"
else
	t "curl uploads as twine does" job curl -sS --fail --max-time 20 -u __token__:egret__robot__ -F ':action=file_upload' -F name=egret-hello -F version=1.0 \
		-F "sha256_digest=$(sha256sum "$wheel" | cut -d' ' -f1)" -F "content=@$wheel" https://up.test/legacy/
fi
like "$(cat "$TMP/served.log")" 'upload egret-hello 1.0' "the index has it"

# ---- gh ----
cred '"api.github.com"' '{ "header": "Authorization", "format": "token {token}" }' '"placeholder": { "env": ["GH_TOKEN"], "value": "egret__gh__token__" }'
policy '"allow": "READ https://api.github.com/repos/acme/web", "credential": "robot"'
if command -v gh >/dev/null; then
	is "$(job env HOME="$TMP/home" GH_NO_UPDATE_NOTIFIER=1 gh api repos/acme/web --jq .full_name 2>&1)" acme/web "gh api: answers"
else
	is "$(job curl -sS --max-time 20 -H 'Authorization: token egret__gh__token__' -H 'Accept: */*' https://api.github.com/repos/acme/web | jq -r .full_name)" acme/web "curl asks as gh does"
fi

# ---- npm ----
verdaccio=$ROOT/build/verdaccio/node_modules/verdaccio/bin/verdaccio
if [ -e "$verdaccio" ]; then
	pki_leaf outside verd DNS:verd.test
	mkdir -p "$TMP/verd" "$TMP/own"
	cat >"$TMP/verd/config.yaml" <<-YAML
		storage: $TMP/verd/storage
		auth: { htpasswd: { file: $TMP/verd/users, max_users: 5 } }
		packages: { '**': { access: \$authenticated, publish: \$authenticated } }
		https: { key: $TMP/verd.key, cert: $TMP/verd.pem, ca: $TMP/outside.pem }
		logs: [ { type: stdout, format: pretty, level: http } ]
	YAML
	spawn in_origin node "$verdaccio" -c "$TMP/verd/config.yaml" -l https://$VERD:443 >"$TMP/verd/log" 2>&1
	wait_for 40 "port_open in_host $VERD 443" || fail "verdaccio came up" "$(tail -n 5 "$TMP/verd/log")"
	npm_token=$(in_host curl -sS --cacert "$TMP/outside.pem" --resolve verd.test:443:$VERD -X PUT -H 'Content-Type: application/json' \
		-d '{"name":"robot","password":"correct-horse","type":"user"}' https://verd.test/-/user/org.couchdb.user:robot | jq -r .token)
	printf %s "$npm_token" | "$EGRET" secret set robot >/dev/null 2>&1
	cred '"verd.test"' '{ "header": "Authorization", "format": "Bearer {token}" }' '"placeholder": { "env": ["NPM_TOKEN"], "value": "egret__npm__token__" }'
	policy '"allow": "ANY https://verd.test/**", "credential": "robot"'
	printf '{"name":"egret-own","version":"1.0.0","main":"i.js"}' >"$TMP/own/package.json"
	echo 'module.exports = 1' >"$TMP/own/i.js"
	# As actions/setup-node writes it; npm asks for a token before it sends anything.
	printf 'registry=https://verd.test/\n//verd.test/:_authToken=${NPM_TOKEN}\nupdate-notifier=false\nfetch-retries=0\n' >"$TMP/home/.npmrc"
	t "npm: publishes to a private registry" job env HOME="$TMP/home" bash -c 'cd "$0" && exec npm publish' "$TMP/own"
	like "$(cat "$TMP/verd/log")" "PUT.*egret-own" "npm: verdaccio took it"
	out=$(job curl -sS --max-time 20 -X PUT -H 'Content-Type: application/json' -d '{"name":"robot","password":"correct-horse"}' https://verd.test/-/user/org.couchdb.user:robot)
	like "$out" '"token": ?"egret_d_' "npm: what a login hands out is a mark"
else
	skip "npm against verdaccio" "build/verdaccio is not there: make client-build"
fi
done_testing
