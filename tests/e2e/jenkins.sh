#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A static agent of Jenkins: the wrapper makes one job of the agent's program, for as long as it lives. The agent is a stand-in: a shell that runs a
# build after the other, its channel the standard input and output. egretd and the wrapper are real.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
need setpriv jq
origins_up
AGENT_UID=65534
daemon_config "\"managed\": [ { \"unit\": \"jenkins-agent*.service\", \"registrar\": $AGENT_UID } ]"
printf '{ "version": 1, "name": "linux", "mode": "enforce", "for": [ { "provider": "jenkins", "runner": "linux-7", "event": "unknown" } ], "rules": [ { "id": "api", "allow": "GET https://api.test/**" } ] }\n' >"$TMP/policies/linux.json"
daemon_start || done_testing
UNIT=$("$EGRET" status --json | jq -r .jobs_cgroup)/jenkins-agent-linux-7.service
mkdir "$UNIT"
at_exit 'echo 1 >"$UNIT/cgroup.kill"; wait_for 5 "grep -q \"populated 0\" $UNIT/cgroup.events"; rmdir "$UNIT"/j-* "$UNIT"'
mkdir -p "$TMP/prefix/bin" "$TMP/tmp"
chown $AGENT_UID "$TMP/tmp"
ln -s "$EGRET" "$TMP/prefix/bin/egret"
sed "s|@PREFIX@|$TMP/prefix|g" "$ROOT/deploy/hooks/jenkins/agent.sh" >"$TMP/agent.sh"
chmod 755 "$TMP/agent.sh"
cat >"$TMP/program" <<'PROGRAM'
echo ready
while read -r build; do bash -c "$build" 2>&1 </dev/null; echo "done $?"; done
PROGRAM
agent() { # the name; its channel in $IN and $OUT
	coproc AGENT { in_host env TMPDIR="$TMP/tmp" bash -c 'echo $$ >"$0/cgroup.procs" || exit 9; exec setpriv --reuid='$AGENT_UID' --regid='$AGENT_UID' --clear-groups --no-new-privs "$@"' \
		"$UNIT" "$TMP/agent.sh" "$1" bash "$TMP/program" 2>"$TMP/err"; }
	PIDS+=("$AGENT_PID")
	exec 5>&"${AGENT[1]}" 6<&"${AGENT[0]}"
	eval "exec ${AGENT[1]}>&- ${AGENT[0]}<&-"
	read -r -t 30 line <&6 || line=
}
build() { # what it says until it is done
	local line
	echo "$1" >&5
	while read -r -t 40 line <&6; do
		echo "$line"
		case $line in done\ *) break ;; esac
	done
}
agent linux-7
is "$line" ready "the agent's channel has nothing of egret in it" || diag "$(cat "$TMP/err")"
JOB=$("$EGRET" job list --json | jq -r '.[] | select(.facts.provider == "jenkins") | .id')
like "$JOB" '^j-' "the agent is a job"
is "$("$EGRET" job show "$JOB" --json | jq -r '"\(.policy) \(.facts.runner) \(.assurance) \(.members[0].kind)"')" 'linux linux-7 runner worker' "of its name, with its policy"
like "$(build 'curl -sS --max-time 20 https://api.test/hello.txt')" 'hello from api' "a build: allowed, trusted by the variables"
like "$(build 'curl -sS --max-time 20 -o /dev/null -w "%{http_code}\n" https://evil.test/')" '^403' "and refused"
like "$(build "JOB_NAME=evil GIT_URL=https://git.test/evil '$EGRET' job register --provider jenkins --worker parent")" 'already' "a build registers nothing"
like "$(build "grep ^0 /proc/self/cgroup")" "/$JOB\$" "builds are the agent's job, all of them"
exec 5>&-
t "the agent's end is the job's" wait_for 15 "! '$EGRET' job list --json | grep -q '$JOB'"
exec 6<&-
agent linux-8
is "$line" '' "an agent that no policy is for does not start"
like "$(cat "$TMP/err")" 'no installed policy' "and says why"
daemon_stop
done_testing
