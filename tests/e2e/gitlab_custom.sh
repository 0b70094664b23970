#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 34 s
# not quick
# timeout: 200
# The hooks of GitLab's custom executor: one job over all stages, whose scripts run as another user. The runner is a stand-in: as root in its unit it
# calls config_exec, prepare_exec, run_exec for each stage and cleanup_exec, with a job response and scripts that only root can read, waiting for each
# until its output is closed, as the real one does. CUSTOM_ENV_* holds what the job's own `variables:` say. egretd, its kernel programs and the hooks are real.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
need setpriv jq setsid
origins_up
USER_NAME=nobody
USER_UID=$(id -u $USER_NAME)
daemon_config "\"managed\": [ { \"unit\": \"gitlab-runner.service\", \"registrar\": \"$USER_NAME\", \"unregistered\": \"policy:gitlab-runner\" } ]"
pol() { printf '{ "version": 1, "name": "%s", "mode": "enforce", "for": [ %s ], "rules": [ %s ] }\n' "$1" "$2" "$3" >"$TMP/policies/$1.json"; }
pol web '{ "provider": "gitlab", "repo_id": "42", "ref": "main", "event": "unknown" }' '{ "id": "api", "allow": "READ https://api.test/**" }'
pol other '{ "provider": "gitlab", "repo_id": "43", "event": "unknown" }' '{ "id": "files", "allow": "READ https://files.test/**" }'
pol gitlab-runner '{ "repo_id": "0" }' '{ "id": "gitlab", "allow": "tls://gitlab.test:443" }'
echo files >"$TMP/www/files.test/hello.txt"
daemon_start || done_testing
UNIT=$("$EGRET" status --json | jq -r .jobs_cgroup)/gitlab-runner.service
mkdir "$UNIT"
at_exit 'echo 1 >"$UNIT/cgroup.kill"; wait_for 5 "grep -q \"populated 0\" $UNIT/cgroup.events"; rmdir "$UNIT"/j-* "$UNIT"'
wait_for 10 "'$EGRET' job list --json | jq -e '.[] | select(.state == \"running\")' >/dev/null"
mkdir -p "$TMP/prefix/bin" "$TMP/hooks" "$TMP/builds" "$TMP/temp"
ln -s "$EGRET" "$TMP/prefix/bin/egret"
for h in common config prepare run cleanup; do sed "s|@PREFIX@|$TMP/prefix|g" "$ROOT/deploy/hooks/gitlab/$h.sh" >"$TMP/hooks/$h.sh"; done
chmod 755 "$TMP/hooks"/*
chmod 777 "$TMP/www"

# ---- the stand-in: JOB RESULT-FOLDER; its stages are files NN-STAGE in JOB ----
cat >"$TMP/runner" <<'RUNNER'
job=$1 out=$2 hooks=$3 builds=$4 user=$5
mkdir -p "$out"
temp=$(mktemp -d "$TEMP/custom-executorXXXXXXXX")
install -m 600 "$job/response.json" "$temp/response.json"
call() { # name, hook, arguments: its output, until the last writer has closed it
	local name=$1 hook=$2
	shift 2
	env -i PATH="$PATH" HOME=/root LC_ALL=C EGRET_RUN_DIR="$EGRET_RUN_DIR" EGRET_STATE_DIR="$EGRET_STATE_DIR" TMPDIR="$temp" \
		JOB_RESPONSE_FILE="$temp/response.json" BUILD_FAILURE_EXIT_CODE=1 SYSTEM_FAILURE_EXIT_CODE=2 CUSTOM_ENV_CI_JOB_ID=99 \
		CUSTOM_ENV_CI_PROJECT_ID=43 CUSTOM_ENV_CI_PROJECT_PATH=evil/evil bash -c 'exec "$@"' - "$hooks/$hook.sh" "$builds" "$user" "$@" </dev/null 2>&1 | cat >"$out/$name"
	local status=${PIPESTATUS[0]}
	echo "$status" >"$out/$name.status"
	return "$status"
}
ok=yes
call config config || ok=
[ -z "$ok" ] || call prepare prepare || ok=
for s in "$job"/[0-9]*; do
	[ -n "$ok" ] || break
	install -m 700 "$s" "$temp/script"
	call "${s##*-}" run "$temp/script" "${s##*-}" || ok=
done
call cleanup cleanup
rm -rf "$temp"
echo "${ok:-failed}" >"$out/done"
RUNNER
N=0
job_new() { # project, ref
	N=$((N + 1)) J=$TMP/job$N O=$TMP/out$N
	mkdir -p "$J"
	printf '{"id":4711,"token":"glcbt-secret","job_info":{"name":"build","stage":"test","project_id":%s,"project_name":"web"},"git_info":{"repo_url":"https://gitlab-ci-token:glcbt-secret@gitlab.test/acme/web.git","ref":"%s","sha":"0a1b"}}' \
		"$1" "$2" >"$J/response.json"
}
stage() { cat >"$J/$1"; }
run() {
	spawn in_host env TEMP="$TMP/temp" "${BOUND[@]}" bash -c 'echo $$ >"$0/cgroup.procs" || exit 9; exec bash "$@"' "$UNIT" "$TMP/runner" "$J" "$O" "$TMP/hooks" "$TMP/builds" $USER_NAME
}
job_done() { wait_for 60 "[ -e '$O/done' ]" || fail "the job ended" "$(tail -n 5 "$O"/* "$TMP/egretd.log" 2>&1)"; }
said() { cat "$O/$1" 2>/dev/null; }

job_new 42 main
stage 01-prepare_script <<<'id -u; cat /proc/self/cgroup | grep ^0; echo "$EGRET_JOB"'
stage 02-get_sources <<<'mkdir -p builds && curl -sS --max-time 20 https://api.test/hello.txt; sleep 300 </dev/null >/dev/null 2>&1 & echo $! >left; echo "ca: $(sha256sum <"$SSL_CERT_FILE")"'
stage 03-build_script <<S
curl -sS --max-time 20 https://api.test/hello.txt; curl -sS --max-time 20 -o /dev/null -w '%{http_code}\n' https://evil.test/
grep ^0 /proc/self/cgroup; echo "ca: \$(sha256sum <"\$SSL_CERT_FILE")"; ls '$TMP/temp'/*/; ls -d builds
kill -0 \$(cat left) && echo "left lives"
touch '$TMP/www/here'; for i in \$(seq 300); do [ ! -e '$TMP/www/on' ] || break; sleep 0.1; done
S
stage 04-after_script <<<'curl -sS --max-time 20 https://api.test/hello.txt; echo "$EGRET_JOB"; cat left'
run
t "stages come and go" wait_for 60 "[ -e '$TMP/www/here' ] || [ -e '$O/done' ]"
JOB=$(said prepare_script | tail -n 1)
LEFT=$(cat "$TMP"/builds/custom-executor*/left 2>/dev/null)
shown=$("$EGRET" job list --json | jq -c '.[] | select(.facts.provider == "gitlab")')
is "$(wc -l <<<"$shown")" 1 "one job"
is "$(jq -r '"\(.policy) \(.facts.repo) \(.facts.repo_id) \(.facts.ref) \(.facts.run_id) \(.assurance)"' <<<"$shown")" 'web acme/web 42 main 4711 runner' "with the facts of the response, whatever the variables say"
is "$(jq -r '.members | length' <<<"$shown")" 1 "its worker is its only member"
touch "$TMP/www/on"
job_done
is "$(said done)" yes "all hooks and stages succeed" || diag "$(tail -n 4 "$O"/*)"
like "$(said config)" "\"builds_dir\": \"$TMP/builds/custom-executor[A-Za-z0-9]*/builds\"" "config says folders of the job's own"
like "$(said prepare)" 'egret: this job is j-' "prepare says the job"
is "$(said prepare_script | head -n 1)" "$USER_UID" "stages run as the user"
like "$(said prepare_script)" "/gitlab-runner.service/$JOB\$" "in the job's cgroup, below the unit's"
like "$(said build_script)" "/gitlab-runner.service/$JOB\$" "each of them"
is "$(said after_script | sed -n 2p)" "$JOB" "and the same job"
like "$(said get_sources)" 'hello from api' "get_sources: allowed, trusted by the variables"
like "$(said build_script)" '^hello from api' "build_script: allowed"
like "$(said build_script)" '^403$' "and refused"
like "$(said build_script)" 'evil\.test' "what was refused is in its log"
like "$(said build_script)" 'Permission denied' "the job response, with the token, is not the user's to read"
like "$(said build_script)" 'left lives' "what a stage left behind lives in the next"
is "$(cat "$O/get_sources" "$O/build_script" | grep -c '^ca: ')" 2 "both name a CA"
is "$(cat "$O/get_sources" "$O/build_script" | grep '^ca: ' | sort -u | wc -l)" 1 "the same"
t "after cleanup what was left is killed" wait_for 5 "! kill -0 $LEFT"
t "the job is over" wait_for 10 "! '$EGRET' job show $JOB"
t "its cgroup and folders are gone" wait_for 5 "[ ! -e '$UNIT/$JOB' ] && [ -z \"\$(ls '$TMP/builds' '$TMP/builds/.egret' | grep custom-executor)\" ]"
unlike "$(stream; cat "$TMP/egretd.log" "$O"/*)" 'glcbt-secret' "no token in a log"

# ---- another job of the same runner, that fails; one whose project has no policy; no egretd ----
job_new 43 main
stage 01-build_script <<<'curl -sS --max-time 20 https://files.test/hello.txt; curl -sS --max-time 20 -o /dev/null -w "%{http_code}\n" https://api.test/; exit 7'
run
job_done
is "$(said build_script.status)" 1 "a failing script is the build's failure, by GitLab's status"
like "$(said build_script)" '^files' "the next job has its own policy"
like "$(said build_script)" '^403' "and not the one before"
t "and it ended" wait_for 10 "[ -z \"\$('$EGRET' job list --json | jq -r '.[] | select(.facts.provider == \"gitlab\") | .id')\" ]"
job_new 44 main
stage 01-build_script <<<'echo ran'
run
job_done
is "$(said prepare.status)" 2 "a project without a policy: prepare fails as the system, nothing runs"
like "$(said prepare)" 'no installed policy' "and says why"
is "$(said cleanup.status)" 0 "its cleanup has nothing to do"
job_new 42 main
stage 01-build_script <<S
touch '$TMP/www/killed'; sleep 300
S
run
wait_for 40 "[ -e '$TMP/www/killed' ]"
JOB=$("$EGRET" job list --json | jq -r '.[] | select(.facts.provider == "gitlab") | .id')
t "an administrator ends a job" "$EGRET" job end "$JOB"
job_done
is "$(said build_script.status)" 1 "its stage fails"
is "$(said cleanup.status)" 0 "its cleanup does not"
daemon_stop
job_new 42 main
stage 01-build_script <<<'echo ran'
run
job_done
is "$(said prepare.status)" 2 "no egretd: nothing runs"
t "no stage of it did" test ! -e "$O/build_script"
done_testing
