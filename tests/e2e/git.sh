#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# git over HTTPS against the real git-http-backend: clone is read, push is refused with a text that git prints, and a push that a
# rule allows carries a Basic credential that the job never had.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
need git fcgiwrap
backend=$(git --exec-path)/git-http-backend
[ -x "$backend" ] || skip_all "git-http-backend is not there"

token=ghs-$(openssl rand -hex 16)
NGINX_EXTRA="
server { listen $GOOD:443 ssl; server_name git.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key;
  location / {
    set \$who ''; if (\$http_authorization = 'Basic $(printf 'x-access-token:%s' "$token" | base64 -w0)') { set \$who robot; }
    fastcgi_pass unix:$TMP/fcgi.sock; fastcgi_param SCRIPT_FILENAME $backend; fastcgi_param GIT_PROJECT_ROOT $TMP/git;
    fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param PATH_INFO \$uri; fastcgi_param QUERY_STRING \$query_string;
    fastcgi_param REQUEST_METHOD \$request_method; fastcgi_param CONTENT_TYPE \$content_type; fastcgi_param HTTP_CONTENT_ENCODING \$http_content_encoding;
    fastcgi_param CONTENT_LENGTH \$content_length; fastcgi_param REMOTE_USER \$who if_not_empty; fastcgi_param GIT_PROTOCOL \$http_git_protocol;
  } }"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_TERMINAL_PROMPT=0 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t.test \
	GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t.test GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
mkdir -p "$TMP/git"
git init -q --bare -b main "$TMP/git/web.git"
git init -q -b main "$TMP/seed" && echo one >"$TMP/seed/file" && head -c 3000000 /dev/urandom >"$TMP/seed/blob"
git -C "$TMP/seed" add . && git -C "$TMP/seed" commit -qm one && git -C "$TMP/seed" push -q "$TMP/git/web.git" main
# As root: the backend, like nginx's workers, would otherwise be nobody to the repository.
spawn fcgiwrap -s "unix:$TMP/fcgi.sock" >/dev/null 2>&1
wait_for 5 "[ -S '$TMP/fcgi.sock' ]" && chmod 666 "$TMP/fcgi.sock"
NGINX_OWN=git.test
origins_up

policy '"allow": "GIT-FETCH https://git.test/web.git"' '"allow": "READ https://api.test/**"'
t "clone" job git clone -q https://git.test/web.git "$TMP/clone"
is "$(cat "$TMP/clone/file" 2>/dev/null)" one "clone: the files are there"
t "fetch again" job git -C "$TMP/clone" fetch -q origin
echo two >"$TMP/clone/file" && git -C "$TMP/clone" commit -qam two
if enforced; then
	head=$(git -C "$TMP/git/web.git" rev-parse main)
	out=$(job git -C "$TMP/clone" push origin main 2>&1)
	isnt $? 0 "push without a rule fails"
	like "$out" 'Blocked by egret' "push: git prints the reason"
	is "$(git -C "$TMP/git/web.git" rev-parse main)" "$head" "push: nothing arrived"
	is "$(origin_count ' git.test POST .*git-receive-pack')" 0 "push: the origin was not asked"

	# With a rule and a credential, Basic is added on the wire.
	policy '"allow": "GIT-FETCH https://git.test/web.git"' '"allow": "GIT-PUSH https://git.test/web.git", "credential": "pusher"'
	cat >"$TMP/cred.json" <<-JSON
		{ "name": "pusher", "provider": "store", "value": "git-token", "for": "any", "hosts": ["git.test"],
		  "inject": [ { "basic": "x-access-token:{token}" } ] }
	JSON
	CREDENTIAL=$TMP/cred.json
	t "the token goes to the store" bash -c "printf %s '$token' | '$EGRET' secret set git-token"
	t "push with the injected credential" job git -C "$TMP/clone" push -q origin main
	is "$(git -C "$TMP/git/web.git" rev-parse main)" "$(git -C "$TMP/clone" rev-parse main)" "push: it arrived"
	is "$(job bash -c 'env; cat /proc/self/environ' | grep -c "$token")" 0 "the job's environment has no token"
fi
done_testing
