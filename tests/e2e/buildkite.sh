#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# timeout: 200
# Buildkite's hooks `environment` and `pre-exit`. The agent is a stand-in: one program called buildkite-agent that starts itself anew as the job's
# bootstrap, which runs the agent's environment hook in its own shell, takes over what that exports, runs the command and, whatever became of it, pre-exit;
# the same program answers `oidc request-token` from a stand-in of the server (oidc_standin.py) and keeps what is annotated. egretd and the hooks are real.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
need setpriv jq python3 curl
EXTRA_HOSTS=([oidc.test]=198.51.100.53)
origins_up
AGENT_UID=65534
daemon_config "\"managed\": [ { \"unit\": \"buildkite-agent*.service\", \"registrar\": $AGENT_UID, \"unregistered\": \"policy:agent\" } ],
	\"identity\": [ { \"issuer\": \"https://oidc.test\", \"kind\": \"buildkite\" } ]"
pki_leaf outside oidc DNS:oidc.test
openssl genrsa -out "$TMP/sign.key" 2048 2>/dev/null
echo '{ "organization_slug": "acme", "organization_id": "o-1", "pipeline_slug": "web", "pipeline_id": "p-1", "build_number": 7, "build_branch": "main", "build_commit": "0a1b",
	"build_source": "webhook", "step_key": "test", "job_id": "0190-aa", "agent_id": "a-1", "runner_environment": "self-hosted" }' >"$TMP/claims.json"
spawn in_origin python3 "$ROOT/tests/e2e/oidc_standin.py" 198.51.100.53 "$TMP/oidc.pem" "$TMP/oidc.key" https://oidc.test "$TMP/claims.json" "$TMP/sign.key"
wait_port in_host 198.51.100.53 443
pol() { printf '{ "version": 1, "name": "%s", "mode": "enforce", "for": [ %s ], "rules": [ %s ] }\n' "$1" "$2" "$3" >"$TMP/policies/$1.json"; }
pol web '{ "provider": "buildkite", "workflow": "web", "assurance": "signed", "event": "*" }, { "provider": "buildkite", "workflow": "web", "assurance": "signed" }' '{ "id": "api", "allow": "GET https://api.test/**" }'
pol agent '{ "repo_id": "0" }' '{ "id": "oidc", "allow": "tls://oidc.test:443" }'
daemon_start || done_testing
UNIT=$("$EGRET" status --json | jq -r .jobs_cgroup)/buildkite-agent@1.service
mkdir "$UNIT"
at_exit 'echo 1 >"$UNIT/cgroup.kill"; wait_for 5 "grep -q \"populated 0\" $UNIT/cgroup.events"; rmdir "$UNIT"/j-* "$UNIT"'
wait_for 10 "'$EGRET' job list --json | jq -e '.[] | select(.state == \"running\")' >/dev/null"

# ---- the stand-in: a program of its own, as its name and what /proc says of it count ----
A=$TMP/agent
mkdir -p "$A/hooks" "$TMP/prefix/bin"
ln -s "$EGRET" "$TMP/prefix/bin/egret"
for h in environment pre-exit; do sed "s|@PREFIX@|$TMP/prefix|g" "$ROOT/deploy/hooks/buildkite/$h" >"$A/hooks/$h"; done
chmod 755 "$A/hooks"/*
cat >"$A/agent.c" <<'C'
/* buildkite-agent of the test: start JOB... | bootstrap JOB | oidc request-token --audience A | annotate ... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static int sh(const char *what, const char *arg)
{
	pid_t pid = fork();
	int status = -1;
	if (pid == 0) {
		execl("/bin/bash", "bash", getenv("STANDIN"), what, arg, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
int main(int argc, char **argv)
{
	if (!strcmp(argv[1], "start")) {
		char job[4096];
		while (fgets(job, sizeof(job), stdin)) {
			pid_t pid = fork();
			job[strcspn(job, "\n")] = 0;
			if (pid == 0) {
				execl(getenv("AGENT"), "buildkite-agent", "bootstrap", job, (char *)NULL);
				_exit(127);
			}
			waitpid(pid, NULL, 0);
		}
		return 0;
	}
	if (!strcmp(argv[1], "bootstrap"))
		return sh("bootstrap", argv[2]);
	return sh(argv[1], argc > 4 ? argv[4] : "");
}
C
gcc -O1 -o "$A/buildkite-agent" "$A/agent.c" || done_testing
cat >"$A/standin.sh" <<'STANDIN'
case $1 in
oidc) curl -sSf --max-time 10 --cacert "$OUTSIDE" -H "Authorization: bearer $BUILDKITE_AGENT_ACCESS_TOKEN" "https://oidc.test/token?audience=$2" | jq -r .value; exit "${PIPESTATUS[0]}" ;;
annotate) cat >"$JOB_DIR/annotation"; exit ;;
esac
export JOB_DIR=$2
result=0
set -a
. "$JOB_DIR/env"
set +a
# The hook's exports are taken over, as the real bootstrap does by comparing.
bash -c '. "$A/hooks/environment"; status=$?; env | grep -v ^JAVA >"$JOB_DIR/exported"; exit $status' >"$JOB_DIR/environment" 2>&1 || result=1
if [ $result = 0 ]; then
	# shellcheck disable=SC2046
	env -i $(grep -E '^[A-Za-z_0-9]+=[^ ]*$' "$JOB_DIR/exported") bash -e "$JOB_DIR/command" >"$JOB_DIR/out" 2>&1 || result=1
fi
env $(grep '^EGRET' "$JOB_DIR/exported") bash "$A/hooks/pre-exit" >"$JOB_DIR/pre-exit" 2>&1 || result=1
grep ^0 /proc/self/cgroup >"$JOB_DIR/cgroup_after"
echo $result >"$JOB_DIR/result.new"; mv "$JOB_DIR/result.new" "$JOB_DIR/result"
STANDIN
mkfifo "$A/queue"
mkdir "$A/jobs" "$A/tmp"
chown -R $AGENT_UID "$A/jobs" "$A/tmp" "$A/queue"
spawn in_host env TMPDIR="$A/tmp" A="$A" AGENT="$A/buildkite-agent" STANDIN="$A/standin.sh" OUTSIDE="$TMP/outside.pem" PATH="$A:$PATH" bash -c "echo \$\$ >'$UNIT/cgroup.procs' || exit 9
	exec setpriv --reuid=$AGENT_UID --regid=$AGENT_UID --clear-groups --no-new-privs '$A/buildkite-agent' start <'$A/queue'"
AGENT=$SPAWNED
exec 7>"$A/queue"
N=0
job() { # lines of its environment; its command at standard input
	N=$((N + 1)) J=$A/jobs/$N
	mkdir -p "$J"
	cat >"$J/command"
	printf '%s\n' BUILDKITE=true BUILDKITE_ORGANIZATION_SLUG=acme BUILDKITE_PIPELINE_SLUG=web BUILDKITE_REPO=https://git.test/acme/web.git BUILDKITE_BRANCH=main \
		BUILDKITE_COMMIT=0a1b BUILDKITE_JOB_ID=0190-aa BUILDKITE_SOURCE=webhook BUILDKITE_PULL_REQUEST=false BUILDKITE_AGENT_NAME=linux-1 BUILDKITE_BIN_PATH="$A" \
		BUILDKITE_AGENT_ACCESS_TOKEN=ask "$@" >"$J/env"
	chown -R $AGENT_UID "$J"
	echo "$J" >&7
	wait_for 60 "[ -e '$J/result' ]" || fail "the job of the stand-in ended" "$(tail -n 5 "$J"/* "$TMP/egretd.log" 2>&1)"
}
said() { cat "$J/$1" 2>/dev/null; }

job <<C
curl -sS --max-time 20 https://api.test/hello.txt
curl -sS --max-time 20 -o /dev/null -w '%{http_code}\n' https://evil.test/
'$EGRET' job show --json
grep ^0 /proc/self/cgroup
sleep 300 </dev/null >/dev/null 2>&1 & echo "left \$!"
C
is "$(said result)" 0 "a job with its hooks" || diag "$(said environment; said pre-exit)"
like "$(said environment)" 'egret: this job is j-' "environment says the job"
like "$(said out)" '^hello from api' "its command: allowed, trusted by what the hook exports"
like "$(said out)" '^403' "and refused"
shown=$(sed -n '/^{/,/^}/p' "$J/out")
is "$(jq -r '"\(.policy) \(.assurance) \(.facts.workflow) \(.members[0].kind)"' <<<"$shown")" 'web signed web worker' "the agent's token, asked of the agent that runs it, signs its facts"
like "$(said out)" '/buildkite-agent@1.service/j-' "the bootstrap and all below it are the job"
unlike "$(cat "/proc/$AGENT/cgroup")" '/j-' "the agent is not"
like "$(said pre-exit)" 'evil\.test' "pre-exit says what was refused"
like "$(said annotation)" 'evil\.test' "and annotates the build"
LEFT=$(sed -n 's/^left //p' "$J/out")
t "what it left running is killed" wait_for 5 "! kill -0 $LEFT"
unlike "$(said cgroup_after)" '/j-' "the bootstrap is back in its unit, to report"
t "the job is over" wait_for 10 "! '$EGRET' job list --json | grep -q '\"kind\":\"worker\"'"
is "$(ls "$A/tmp" | wc -l)" 0 "no folder of trust is left"
job BUILDKITE_AGENT_ACCESS_TOKEN=wrong <<<'echo ran'
is "$(said result)" 1 "a token that cannot be had: the job fails"
like "$(said environment)" 'identity token cannot be had' "and says why"
is "$(said out)" '' "nothing of it ran"
unlike "$(stream; cat "$TMP/egretd.log" "$A"/jobs/*/*environment "$A"/jobs/*/out)" 'eyJ' "no token is in a log"
daemon_stop
job <<<'echo ran'
is "$(said result)" 1 "no egretd: the job fails"
is "$(said out)" '' "and does not run"
exec 7>&-
done_testing
