#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pushes by rules that name refs, with git itself against the real git-http-backend: what a rule names arrives, what none names is told
# in git's own words for each ref, and then the server has seen nothing of it. Without egret every one of these pushes works.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
need git fcgiwrap
backend=$(git --exec-path)/git-http-backend
[ -x "$backend" ] || skip_all "git-http-backend is not there"

token=ghs-$(openssl rand -hex 16)
NGINX_EXTRA="
upstream backends { server unix:$TMP/fcgi.1; server unix:$TMP/fcgi.2; server unix:$TMP/fcgi.3; server unix:$TMP/fcgi.4; }
server { listen $GOOD:443 ssl http2; server_name git.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key;
  location / {
    set \$who robot; if (\$http_authorization ~ '^Basic') { set \$who ''; }
    if (\$http_authorization = 'Basic $(printf 'x-access-token:%s' "$token" | base64 -w0)') { set \$who token; }
    fastcgi_pass backends; fastcgi_param SCRIPT_FILENAME $backend; fastcgi_param GIT_PROJECT_ROOT $TMP/git;
    fastcgi_request_buffering off; fastcgi_read_timeout 300;
    fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param PATH_INFO \$uri; fastcgi_param QUERY_STRING \$query_string;
    fastcgi_param REQUEST_METHOD \$request_method; fastcgi_param CONTENT_TYPE \$content_type; fastcgi_param HTTP_CONTENT_ENCODING \$http_content_encoding;
    fastcgi_param CONTENT_LENGTH \$content_length; fastcgi_param REMOTE_USER \$who if_not_empty; fastcgi_param GIT_PROTOCOL \$http_git_protocol;
  } }"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_TERMINAL_PROMPT=0 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t.test \
	GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t.test GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
mkdir -p "$TMP/git"
server=$TMP/git/web.git url=https://git.test/web
at() { git -C "$server" rev-parse -q --verify "$1^{}" 2>/dev/null || echo none; }
git_fresh() { # the server as it was
	rm -rf --one-file-system "$server"
	git init -q --bare -b main "$server"
	git -C "$server" config receive.advertisePushOptions true
	git -C "$TMP/clone" push -q "$server" "$first:refs/heads/main" "$first:refs/heads/old"
}
git init -q -b main "$TMP/clone" && echo one >"$TMP/clone/file"
git -C "$TMP/clone" add . && git -C "$TMP/clone" commit -qm one
first=$(git -C "$TMP/clone" rev-parse HEAD)
echo two >"$TMP/clone/file" && git -C "$TMP/clone" commit -qam two && second=$(git -C "$TMP/clone" rev-parse HEAD)
for tag in v1 v2 x1; do git -C "$TMP/clone" tag -m "$tag" $tag; done
git -C "$TMP/clone" checkout -q -b large && head -c 20000000 /dev/urandom >"$TMP/clone/blob"
git -C "$TMP/clone" add . && git -C "$TMP/clone" commit -qm large && git -C "$TMP/clone" tag -m large v-large
git -C "$TMP/clone" checkout -q main && large=$(git -C "$TMP/clone" rev-parse large)
git_fresh
# As root: the backend, like nginx's workers, would otherwise be nobody to the repository.
# More than one at once: git begins a request while the backend of the one before still ends.
# Each by itself: one that forks leaves its children behind.
for i in 1 2 3 4; do
	spawn fcgiwrap -s "unix:$TMP/fcgi.$i" >/dev/null 2>&1
	wait_for 5 "[ -S '$TMP/fcgi.$i' ]" && chmod 666 "$TMP/fcgi.$i"
done
NGINX_OWN=git.test
origins_up
pushed() { origin_count ' git.test POST .*git-receive-pack'; }
push() { git -C "$TMP/clone" push "$@" 2>&1; }

# Without egret: all of it works, so that what fails below is refused, not broken.
# The large ones by HTTP/1.1: git's backend answers before the push has ended, and libcurl 7.88, at times, sends no more then by HTTP/2.
direct=$(bare git -c http.version=HTTP/1.1 -C "$TMP/clone" push $url v1 main :old large:refs/heads/large 2>&1)
is "$? $(at main) $(at v1) $(at old) $(at large)" "0 $second $second none $large" "direct: tag, branch, deletion and a large push arrive"
t "direct: a push option is taken" bare git -C "$TMP/clone" push -q -o ci.skip $url v2
git_fresh
enforced || done_testing

refs_policy() {
	policy '"allow": "GIT-PUSH https://git.test/web.git", "refs": ["refs/tags/v*", "refs/heads/bot/**"]' \
		'"deny": "GIT-PUSH https://git.test/web", "refs": ["refs/tags/v2"]'
}
refs_policy
out=$(job git -C "$TMP/clone" push $url v1 2>&1)
is "$? $(at v1)" "0 $second" "a tag that the rule names arrives"
like "$(events | jq -r 'select(.kind=="http.request" and .http.method=="POST") | [.verdict,.rule,.git.refs]|join(" ")')" '^allow r1 refs/tags/v1$' \
	"its record names the ref"
events_clear
before=$(pushed)
out=$(job git -C "$TMP/clone" push $url main 2>&1)
is "$? $(at main)" "1 $first" "a branch that no rule names fails"
like "$out" '^ ! \[remote rejected\] main -> main \(egret: no rule allows pushing refs/heads/main\)$' "git says so for the ref"
like "$out" '^remote: Blocked by egret: no rule allows pushing refs/heads/main' "and the reason in words"
like "$out" '^remote: +to allow: +\{ "allow": "GIT-PUSH https://git.test/web", "refs": \["refs/heads/main"\] \}' "with the line that would allow it"
is "$(pushed)" "$before" "the server has seen nothing of it"
like "$(events | jq -r 'select(.kind=="http.request" and .http.method=="POST") | [.verdict,.reason,.git.refs]|join(" ")')" '^deny no_rule refs/heads/main$' \
	"its record is a refusal with the ref"
is "$(events | jq -r 'select(.kind=="dial") | .dest.ip' | wc -l)" 0 "and no dial for it"

out=$(job git -C "$TMP/clone" push $url main v1:refs/heads/bot/a/b x1 :refs/heads/old 2>&1)
is "$? $(at main) $(at bot/a/b) $(at x1) $(at old)" "1 $first none none $first" "a mixed push is refused whole"
like "$out" '! \[remote rejected\] v1 -> bot/a/b \(egret: not pushed, since another ref was refused\)' "the allowed one of it is told apart"
like "$out" '! \[remote rejected\] old \(egret: no rule allows pushing refs/heads/old\)' "a deletion is a push of the ref"
out=$(job git -C "$TMP/clone" push $url v2 2>&1)
like "$? $out" '! \[remote rejected\] v2 -> v2 \(egret: rule r2 denies pushing refs/tags/v2\)' "a deny rule with refs"
out=$(job git -C "$TMP/clone" push -o ci.skip $url v1:refs/tags/v3 2>&1)
like "$? $out" 'push options ask for more than its refs' "push options are refused where refs are named"
is "$(pushed)" "$before" "none of these reached the server"

# A policy that only audits breaks nothing, and says what it would have refused.
events_clear
MODE=audit policy '"allow": "GIT-PUSH https://git.test/web", "refs": ["refs/tags/v*"]'
t "audit: a branch is pushed" job git -C "$TMP/clone" push -q $url v1:refs/tags/v-audit main:refs/heads/audit
is "$(at audit) $(events | jq -r 'select(.kind=="http.request" and .http.method=="POST") | [.verdict,.git.refs]|join(" ")')" \
	"$second would_deny refs/tags/v-audit refs/heads/audit" "audit: told as would_deny, with its refs"
events_clear
t "audit: what could not be read is pushed, too" job git -C "$TMP/clone" push -q -o ci.skip $url main:refs/heads/audit2
is "$(at audit2) $(events | jq -r 'select(.kind=="http.request" and .http.method=="POST") | [.verdict,.reason]|join(" ")')" "$second would_deny audit_mode" \
	"audit: told as would_deny"

# Large ones go in chunks, after a question with an empty list; a refused one is taken to its end, since git reads no answer before.
refs_policy
events_clear
out=$(job git -c http.version=HTTP/1.1 -C "$TMP/clone" push $url v-large 2>&1)
is "$? $(at v-large)" "0 $large" "20 MB by an allowed tag arrive"
is "$(events | jq -r 'select(.kind=="http.request" and .http.method=="POST") | .git.refs // "-"' | tr '\n' ' ')" "- refs/tags/v-large " \
	"the question moved nothing, the push its tag"
at_most 20000000 "$(events | jq -r 'select(.kind=="http.response") | .bytes.out // 0' | sort -n | tail -n 1)" "its bytes were counted, those read before the decision among them"
for v in 1.1 2; do
	out=$(job git -c http.version=HTTP/$v -C "$TMP/clone" push $url large 2>&1)
	like "$? $out" '! \[remote rejected\] large -> large \(egret: no rule allows pushing refs/heads/large\)' "20 MB of a refused branch are refused in the same words, HTTP/$v"
	is "$(at large)" none "and not there"
done
out=$(job bash -c "for v in 0 1 2; do git -c protocol.version=\$v -C '$TMP/clone' push $url v1:refs/tags/v1.\$v main; git -c protocol.version=\$v -C '$TMP/clone' push $url v1:refs/tags/v2.\$v; done" 2>&1)
is "$(grep -c 'remote rejected. main -> main (egret: ' <<<"$out") $(at v1.0) $(at v1.1) $(at v1.2)" "3 none none none" "protocol 0, 1 and 2: refused"
is "$(at v2.0) $(at v2.1) $(at v2.2)" "$second $second $second" "protocol 0, 1 and 2: allowed"

# What git does not send: the list in pieces, a 100 to wait for, no side band, no report, other encodings, a list that cannot be read.
zero=$(printf '%040d' 0)
list() { # ref, capabilities
	local line="$zero $second $1"
	printf '%04x%s\0%s0000' $((${#line} + 5 + ${#2})) "$line" "$2"
}
list refs/heads/main report-status >"$TMP/plain"
list refs/heads/main side-band-64k >"$TMP/mute"
for n in 8 9; do
	list refs/tags/v$n report-status >"$TMP/allowed$n" && git -C "$TMP/clone" pack-objects -q --stdout --revs <<<"$second" >>"$TMP/allowed$n"
done
list 'refs/tags/v^' report-status >"$TMP/name"
printf '0009push-' >"$TMP/bad"
printf '0000' | gzip >"$TMP/gzip"
printf '002apush-cert\0report-status side-band-64k\n001ccertificate version 0.1\n0000' >"$TMP/signed"
before=$(pushed)
cat >"$TMP/posts" <<-SH
	post() { # name, file, more of curl
		curl -sS -m 20 -o $TMP/answer.\$1 -w '%{http_code} %{content_type}\n' -H 'Content-Type: application/x-git-receive-pack-request' "\${@:3}" \
			--data-binary @$TMP/\$2 $url/git-receive-pack >$TMP/status.\$1
	}
	post plain plain; post mute mute; post name name; post bad bad; post signed signed; post gzip gzip -H 'Content-Encoding: gzip'
	(head -c 60 $TMP/plain; sleep 0.3; tail -c +61 $TMP/plain) | curl -sS -m 20 -T - -X POST $url/git-receive-pack >$TMP/answer.pieces
	post expect allowed8 -H 'Expect: 100-continue'; post chunks allowed9 -H 'Transfer-Encoding: chunked' -H 'Expect:'
SH
out=$(job bash "$TMP/posts" 2>&1)
answer() { cat "$TMP/status.$1"; tr -d '\0' <"$TMP/answer.$1"; }
like "$(answer plain)" '^200 application/x-git-receive-pack-result' "without a side band: git's answer"
is "$(cat "$TMP/answer.plain")" "000eunpack ok
0045ng refs/heads/main egret: no rule allows pushing refs/heads/main
0000" "as it is written in gitprotocol-pack"
like "$(answer mute)" '^403 text/plain' "a client that takes no report gets words"
like "$(answer name)" 'unpack egret: this push cannot be judged by its refs: a name in its list is not one of a ref' "a ref that git does not know"
like "$(answer bad)" '^400 ' "no packet lines"
like "$(answer signed)" 'unpack egret: this push cannot be judged by its refs: it is signed' "signed: its refs stand elsewhere"
like "$(answer gzip)" '^415 ' "compressed: refused"
like "$(cat "$TMP/answer.pieces")" 'ng refs/heads/main egret: no rule' "a list in two pieces is one list"
like "$(answer expect)" 'unpack ok' "allowed, and asked to wait for a 100"
like "$(answer chunks)" 'unpack ok' "allowed, in chunks"
is "$(at v8) $(at v9)" "$second $second" "both arrived"
is "$(($(pushed) - before))" 2 "and nothing else reached the server"

# Fetching is another rule; the repository is the same with and without .git and is matched whole.
policy '"allow": "GIT-FETCH https://git.test/web"'
rm -rf "$TMP/copy"
t "GIT-FETCH: clone with .git" job git clone -q $url.git "$TMP/copy"
t "GIT-FETCH: fetch, protocol 0, without" job git -c protocol.version=0 -C "$TMP/copy" fetch -q $url
out=$(job git -C "$TMP/clone" push $url v2 2>&1)
like "$? $out" 'Blocked by egret: no rule allows GET git.test/web/info/refs' "GIT-FETCH: a push is refused"
like "$out" 'to allow: +\{ "allow": "GIT-PUSH https://git.test/web" \}' "with the rule that it lacks"
out=$(job env GIT_SMART_HTTP=0 git clone -q $url.git "$TMP/dumb" 2>&1)
like "$? $out" 'Blocked by egret: no rule allows GET git.test/web.git/info/refs' "the dumb protocol is refused"
git init -q --bare "$TMP/git/website.git" && git init -q --bare "$TMP/git/web.git/sub.git"
out=$(job bash -c "git ls-remote https://git.test/website; git ls-remote https://git.test/web.git/sub.git" 2>&1)
is "$(grep -c 'Blocked by egret' <<<"$out")" 2 "neighbours of the repository are not it"

# The credential goes with each request of the push, and the job has never seen it.
policy '"allow": "GIT-PUSH https://git.test/web", "refs": ["refs/tags/v*"], "credential": "pusher"'
cat >"$TMP/cred.json" <<-JSON
	{ "name": "pusher", "provider": "store", "value": "git-token", "for": "any", "hosts": ["git.test"],
	  "inject": [ { "basic": "x-access-token:{token}" } ] }
JSON
CREDENTIAL=$TMP/cred.json
t "the token goes to the store" bash -c "printf %s '$token' | '$EGRET' secret set git-token"
: >"$TMP/www/access.log"
out=$(job git -C "$TMP/clone" push $url v2 2>&1)
is "$? $(at v2)" "0 $second" "a tag arrives with the injected credential"
is "$(origin_count ' git.test (GET|POST) .*git-receive-pack.* 200 Basic '"$(printf 'x-access-token:%s' "$token" | base64 -w0)")" 2 "as Basic, with both requests"
out=$(job git -C "$TMP/clone" push $url main 2>&1)
like "$? $out" '! \[remote rejected\] main -> main \(egret: ' "and a branch is refused as before"
done_testing
