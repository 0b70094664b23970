#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 50 s
# not quick
# timeout: 400
# GitLab's docker executor on a host without any hook: the labels that the runner writes on its containers open the job, which lasts from the first
# container to some time after the last. The runner is a stand-in (gitlab_runner.sh); dockerd, runc, egretd and the kernel's programs are real.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
. "$ROOT/tests/e2e/gitlab_runner.sh"
need git fcgiwrap
NGINX_EXTRA="
server { listen $GOOD:443 ssl; server_name git.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key;
  location / { fastcgi_pass unix:$TMP/fcgi.sock; fastcgi_param SCRIPT_FILENAME $(git --exec-path)/git-http-backend; fastcgi_param GIT_PROJECT_ROOT $TMP/git;
    fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param PATH_INFO \$uri; fastcgi_param QUERY_STRING \$query_string;
    fastcgi_param REQUEST_METHOD \$request_method; fastcgi_param CONTENT_TYPE \$content_type; fastcgi_param GIT_PROTOCOL \$http_git_protocol; } }"
NGINX_OWN=git.test
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t.test GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t.test \
	GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
mkdir -p "$TMP/git" && git init -q --bare -b main "$TMP/git/web.git" && git init -q -b main "$TMP/seed" && echo cloned >"$TMP/seed/file" &&
	git -C "$TMP/seed" add . && git -C "$TMP/seed" commit -qm one && git -C "$TMP/seed" push -q "$TMP/git/web.git" main
spawn fcgiwrap -s "unix:$TMP/fcgi.sock" >/dev/null 2>&1
wait_for 5 "[ -S '$TMP/fcgi.sock' ]" && chmod 666 "$TMP/fcgi.sock"

LINGER=8000
HOST_MANAGED="{ \"engine\": \"docker\", \"root\": \"$TMP/docker/data\", \"jobs\": \"gitlab\", \"unregistered\": \"deny\" },
	{ \"unit\": \"$GITLAB_UNIT\", \"unregistered\": \"policy:gitlab-runner\" }"
host_up "\"limits\": { \"job_linger_ms\": $LINGER }"
mkdir -m 777 "$TMP/flags"
policy_for() { # name, for, rules
	printf '{ "version": 1, "name": "%s", "mode": "enforce", "for": [ %s ], "rules": [ %s ] }\n' "$1" "$2" "$3" >"$TMP/policies/$1.json"
}
policy_for web-main '{ "repo_id": "501", "ref": "main", "event": "unknown" }' '{ "id": "api", "allow": "READ https://api.test/**" }, { "id": "git", "allow": "GIT-FETCH https://git.test/web.git" },
	{ "id": "store", "allow": "PUT https://api.test/upload/**" }, { "id": "services", "allow": "services" }'
policy_for web-other '{ "repo_id": "501", "ref": "feature", "event": "unknown" }' '{ "id": "api", "allow": "READ https://api.test/**" }'
policy_for tools '{ "repo_id": "502", "event": "unknown" }' '{ "id": "files", "allow": "READ https://files.test/**" }, { "id": "services", "allow": "services" }'
policy_for gitlab-runner '{ "repo_id": "0" }' '{ "id": "gitlab", "allow": "tls://gitlab.test:443" }'
echo 'hello from files' >"$TMP/www/files.test/hello.txt"
kill -HUP "$DAEMON"
host_docker
images_into docker alpine debian redis || done_testing
gitlab_runner_make "$TMP/runner"

flag() { : >"$TMP/flags/$1"; }
seen() { wait_for "${2:-60}" "[ -e '$TMP/flags/$1' ]" || fail "the job came to: $1" "$(tail -n 15 "$TMP"/out.*; tail -n 10 "$TMP/egretd.log")"; }
jobs_of() { in_host "$EGRET" job list --json | jq -c '.[] | select(.facts.provider == "gitlab")'; } # not the runner's own unit
names() { jobs_of | jq -r .id; }
start() { # name, then as gitlab_job without the folder; in $JOB_PID
	local out=$TMP/out.$1
	shift
	(gitlab_job "$TMP/runner" "$@" >"$out" 2>&1) &
	JOB_PID=$!
}

# ---- one job: a service, clone, script, after_script, artifacts ----
cat >"$TMP/job.a" <<'JOB'
prepare || { echo "prepare failed"; exit 1; }
service redis egret-test/redis:1 6379
stage predefined 'git clone -q https://git.test/web.git web; echo "clone: $(cat web/file)"; echo "ca: $(sha256sum </run/egret/ca.pem)"
curl -sS --max-time 20 https://evil.test/ | sed "s/^/clone refused: /"'
touch "$FLAGS/a.cloned"; wait_file "$FLAGS/a.on"
stage build 'echo "build: $(cat web/file)"; echo "ca: $(sha256sum </run/egret/ca.pem)"; fetch https://api.test/hello.txt https://evil.test/ | sed "s/^/build: /"
printf "PING\r\n" | timeout 10 nc redis 6379 | sed "s/^/redis: /"; echo "job: $EGRET_JOB"'
stage build 'echo "after: $(fetch https://api.test/hello.txt)"; echo "ca: $(sha256sum </run/egret/ca.pem)"; echo "job: $EGRET_JOB"'
stage predefined 'echo artifact >a; curl -sS --max-time 20 -T a -o /dev/null -w "artifact: %{http_code}\n" https://api.test/upload/a; echo "ca: $(sha256sum </run/egret/ca.pem)"'
touch "$FLAGS/a.there"; wait_file "$FLAGS/a.end"
JOB
start a 11 501 main "$TMP/job.a"
seen a.cloned || done_testing
A=$(names)
is "$(wc -l <<<"$A")" 1 "the first container opened one job"
is "$(jobs_of | jq -r '.facts | "\(.repo) \(.repo_id) \(.ref) \(.job_id) \(.run_id) \(.runner)"')" 'acme/web-501 501 main 11 911 t1abcdef' "its facts are the labels'"
is "$(jobs_of | jq -r '"\(.policy) \(.assurance)"')" 'web-main runner' "they choose the policy, and are the runner's word"
is "$(jobs_of | jq -r '[.members[].kind] | join(" ")')" container "the helper has ended: the service alone is a member"
kill -9 "$DAEMON"
wait "$DAEMON" 2>/dev/null
daemon_start
flag a.on
seen a.there || done_testing
out=$(cat "$TMP/out.a")
unlike "$out" 'failed|WARNING' "every container of the job starts" || tail "$TMP/egretd.log" | sed 's/^/# /'
like "$out" '^clone: cloned' "helper: git clone, allowed and trusted"
like "$out" '^clone refused: .*Blocked by egret' "helper: refused in words"
like "$out" '^build: 200 hello from api' "build: allowed, after egretd was killed between two stages"
like "$out" '^build: 403 Blocked by egret' "build: refused in words"
like "$out" '^redis: \+PONG' "build: the service by its name"
like "$out" '^after: 200 hello' "after_script, in the build container started again"
like "$out" '^artifact: 20[14]' "artifacts, by the helper started again"
is "$(grep '^ca:' <<<"$out" | sort | uniq -c | awk '{ print $1 }')" 4 "the same CA in all of them"
is "$(grep '^job:' <<<"$out" | sort -u)" "job: $A" "and the same job"
is "$(names)" "$A" "still one line in egret job list"
flag a.end
wait $JOB_PID
start=$(now_ms)
t "without a container the job is still there" test "$(names)" = "$A"
t "and ends by itself" wait_for 30 "[ -z \"\$(names)\" ]"
took=$(($(now_ms) - start))
is "$((took > LINGER / 4 && took < LINGER + 8000))" 1 "in the time that limits.job_linger_ms gives ($took ms)"
is "$(stream | jq -r "select(.kind==\"http.request\" and .job.id==\"$A\") | .host" 2>/dev/null | sort -u | wc -l | awk '{ print ($1 >= 1) }')" 1 "its requests are recorded under it"
rm -f "$TMP/flags"/*

# ---- no service: nothing runs between two stages, and egretd is started anew just there ----
cat >"$TMP/job.b" <<'JOB'
prepare || { echo "prepare failed"; exit 1; }
stage predefined 'echo "ca: $(sha256sum </run/egret/ca.pem)"'
touch "$FLAGS/b.between"; wait_file "$FLAGS/b.on"
stage build 'echo "ca: $(sha256sum </run/egret/ca.pem)"; fetch https://api.test/hello.txt https://files.test/hello.txt'
JOB
start b 12 501 feature "$TMP/job.b"
seen b.between
B=$(names)
is "$(jobs_of | jq -r '"\(.policy) \(.members | length)"')" 'web-other 0' "another ref, another policy; between two stages it has no member"
kill -9 "$DAEMON"
wait "$DAEMON" 2>/dev/null
daemon_start
is "$(names)" "$B" "the next egretd takes up a job without members"
flag b.on
wait $JOB_PID
out=$(cat "$TMP/out.b")
is "$(grep '^ca:' <<<"$out" | sort | uniq -c | awk '{ print $1 }')" 2 "the CA is the same before and after" || diag "$out"
like "$out" '^200 hello from api' "what that ref's policy allows"
like "$out" '^403 Blocked by egret' "and nothing else"
t "it ends by itself too" wait_for 30 "[ -z \"\$(names)\" ]"
rm -f "$TMP/flags"/*

# ---- two at once, with different policies; labels of one told by the other's containers ----
cat >"$TMP/job.two" <<'JOB'
prepare || { echo "prepare failed"; exit 1; }
service redis egret-test/redis:1 6379
stage build 'fetch https://api.test/hello.txt https://files.test/hello.txt'
touch "$FLAGS/$JOB_ID.there"; wait_file "$FLAGS/end"
JOB
start c 21 501 main "$TMP/job.two"; one=$JOB_PID
start d 22 502 main "$TMP/job.two"; two=$JOB_PID
seen 21.there && seen 22.there
is "$(names | wc -l)" 2 "two jobs at once are two"
like "$(tr '\n' '.' <"$TMP/out.c")" '200 hello from api.403 Blocked' "the first has its policy"
like "$(tr '\n' '.' <"$TMP/out.d")" '403 Blocked by egret.*200 hello from files' "the second its own"
c21=$(docker ps -q --filter label=com.gitlab.gitlab-runner.job.id=21 --filter label=com.gitlab.gitlab-runner.type=service)
net21=$(docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}' "$c21")
ip21=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$c21")
c22=$(docker ps -q --filter label=com.gitlab.gitlab-runner.job.id=22 --filter label=com.gitlab.gitlab-runner.type=service)
unlike "$(docker exec "$c22" sh -c "echo PING | timeout 5 redis-cli -h $ip21 ping" 2>&1)" 'PONG' "the service of one is not reached from the other"
fetch() { docker run --rm "$@" 2>&1; }
G=com.gitlab.gitlab-runner
unlike "$(fetch --network "$net21" egret-test/alpine:1 fetch $ALLOWED)" '200' "a container without labels is nobody's"
unlike "$(fetch --label $G.job.id=21 --label abcdef= egret-test/alpine:1 fetch $ALLOWED)" '200' "one with the marks of two runners is nobody's"
printf 'FROM egret-test/alpine:1\nLABEL %s.job.id=21 %s.managed=true %s.type=build %s.project.id=501 %s.job.ref=main\n' $G $G $G $G $G >"$TMP/claims"
docker build -q -t egret-test/claims:1 - <"$TMP/claims" >/dev/null || docker images
unlike "$(fetch egret-test/claims:1 fetch $ALLOWED)" '200' "an image whose own LABELs name a job that runs is nobody's"
unlike "$(fetch --name runner-x --label $G.job.id=22 egret-test/claims:1 fetch $ALLOWED https://files.test/hello.txt)" '200 hello from api' "nor does it get that job's policy under another's label"
printf 'FROM egret-test/alpine:1\nLABEL %s.job.id=99 %s.managed=true %s.type=build %s.project.id=501 %s.job.ref=main\n' $G $G $G $G $G >"$TMP/claims"
docker build -q -t egret-test/opens:1 - <"$TMP/claims" >/dev/null
unlike "$(fetch egret-test/opens:1 fetch $ALLOWED)" '200' "nor do LABELs of an image open a job"
is "$(names | wc -l)" 2 "there are the two still"

fetch_as() { fetch --name runner-t1abcdef-project-501-concurrent-0-0-build --label $G.job.id=21 --label $G.managed=true --label $G.type=build egret-test/alpine:1 fetch $ALLOWED; }
like "$(fetch_as)" '200' "(labels and name as the runner gives them are the job's)"

# ---- a job that got the engine's socket copies the other's labels ----
cat >"$TMP/job.sock" <<'JOB'
prepare || { echo "prepare failed"; exit 1; }
make build build -i -v "$NAME:/builds" -v /run/docker.sock:/var/run/docker.sock "$IMAGE" sh -c 'sleep 300'
docker start "$C" >/dev/null
touch "$FLAGS/sock.there"; wait_file "$FLAGS/sock.end"
JOB
start s 23 502 main "$TMP/job.sock"; three=$JOB_PID
seen sock.there
like "$(job_show "$(jobs_of | jq -r 'select(.facts.job_id=="23") | .id')")" "because .*an engine's socket" "a job with the engine's socket is cooperative, and egret says why"
unlike "$(fetch_as)" '200' "labels copied from another job are void then"
like "$(docker exec "$c22" true 2>&1; jobs_of | jq -r 'select(.facts.job_id=="21") | .state')" running "the other goes on"
flag sock.end
flag end
wait $one $two $three
t "all of them end" wait_for 40 "[ -z \"\$(names)\" ]"
docker_down >/dev/null
is "$(find "$CGROOT$SLICE/docker" -mindepth 1 -type d 2>/dev/null | wc -l)" 0 "no cgroup of a container is left"
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
