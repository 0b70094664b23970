#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 32 s
# not quick
# timeout: 200
# egret attach: a container that docker started with plain runc and a bare cgroup, into a job and as jobs of their own; each
# mistake is said in words.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
HOST_MANAGED=$(host_managed '"unregistered": "deny"')
host_up
installed web '"allow": "READ https://api.test/**"' '"allow": "READ https://files.test/**"'
kill -HUP "$DAEMON"
HOST_RUNTIME=runc host_docker
images_into docker debian || done_testing
D=egret-test/debian:1
attach() { in_host "$EGRET" attach "$@" 2>&1; }
fetch() { docker exec "$1" curl -sS --max-time 20 "$2" 2>&1; }
id_of() { docker inspect -f '{{.Id}}' "$1"; }

# ---- mistakes, before anything is attached ----
docker run -d --name one $D sleep 600 >/dev/null
docker run -d --name two $D sleep 600 >/dev/null
ONE=$(id_of one) TWO=$(id_of two)
like "$(attach --container "${ONE:0:11}" --label repo=web)" '12 to 64 digits' "too few digits"
like "$(attach --container one --label repo=web)" '12 to 64 digits' "a name is no id"
like "$(attach --container 0123456789ab --label repo=web)" 'no container with this id' "an id that is not there"
mkdir -p "$CGROOT$SLICE/docker/${ONE:0:20}$(printf '0%.0s' {1..44})"
like "$(attach --container "${ONE:0:12}" --label repo=web)" 'several containers' "digits of more than one"
rmdir "$CGROOT$SLICE/docker/${ONE:0:20}$(printf '0%.0s' {1..44})"
like "$(attach --container "${ONE:0:12}" --job j-0123456789ab)" 'no such job' "a job that is not there"
like "$(attach --container "${ONE:0:12}" --label repo=nobodys)" 'no installed policy' "labels that no policy is for"
like "$(attach --container "${ONE:0:12}" --policy-name none)" 'not among the installed' "a policy that is not installed"
like "$(attach --cgroup "docker/../docker" --label repo=web)" '--cgroup: give a path below' "a path with .."
like "$(attach --cgroup /system.slice/x --label repo=web)" 'no process runs|below' "a path outside the slice"
mkdir "$CGROOT$SLICE/empty"
like "$(attach --cgroup empty --label repo=web)" 'no process runs in empty' "an empty cgroup"
rmdir "$CGROOT$SLICE/empty"
like "$(in_host setpriv --reuid 61234 --clear-groups "$EGRET" attach --container "${ONE:0:12}" --label repo=web 2>&1)" 'only root' "not root"
# shellcheck disable=SC2016
like "$(in_host bash -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "/sys/fs/cgroup$SLICE/docker/$TWO" "$EGRET" attach --container "${ONE:0:12}" --label repo=web 2>&1)" 'only root, outside jobs' "root from inside the slice"
is "$(job_names)" '' "nothing became a job by all that"

# ---- a job of its own ----
like "$(fetch one $ALLOWED)" 'curl: \(' "before: refused"
JOB=$(attach --container "${ONE:0:12}" --label repo=web --label event=push)
like "$JOB" '^j-[0-9a-f]+$' "a container becomes a job of its own"
like "$(fetch one $ALLOWED)" 'hello from api' "served, and it trusts"
like "$(fetch one $REFUSED)" 'no rule allows' "refused in words"
like "$(job_show "$JOB")" 'trust: files only' "job show: trust: files only"
like "$(attach --container "${ONE:0:12}" --label repo=web --label event=push)" "it is of job $JOB already" "it is one already"

# ---- into that job: another container, a bare cgroup ----
is "$(attach --container "$TWO" --job "$JOB")" "$JOB" "another container joins the job"
like "$(fetch two $ALLOWED)" 'hello from api' "served"
mkdir -p "$CGROOT$SLICE/tools/build"
# shellcheck disable=SC2016
spawn in_host unshare -n bash -c 'echo $$ >"$0/cgroup.procs" || exit 9; ip link set lo up; until [ -e "$1.go" ]; do sleep 0.05; done
	curl -sS --max-time 20 --cacert "$2" https://api.test/hello.txt >"$1.out" 2>&1; : >"$1.done"; sleep 600' "/sys/fs/cgroup$SLICE/tools/build" "$TMP/cg" "$TMP/run/jobs/$JOB/bundle.pem"
wait_for 10 "grep -q . '$CGROOT$SLICE/tools/build/cgroup.procs'"
is "$(attach --cgroup tools/build --job "$JOB")" "$JOB" "a bare cgroup joins it, by its path below the slice"
touch "$TMP/cg.go"
wait_for 30 "[ -e '$TMP/cg.done' ]"
is "$(cat "$TMP/cg.out")" 'hello from api' "served, in a network namespace of its own"
is "$(job_show "$JOB" --json | jq -r '[.members[].kind] | sort | join(" ")')" 'cgroup container container' "three members"
like "$(attach --cgroup "/sys/fs/cgroup$SLICE/tools/build" --job "$JOB")" 'already' "the same cgroup by its whole path: already"
in_host "$EGRET" job end "$JOB" >/dev/null
t "the job is over" wait_for 15 "[ -z \"\$(job_names)\" ]"
is "$(docker inspect -f '{{.State.Running}}' one two | sort -u)" true "what was only attached is not killed"
like "$(fetch two $ALLOWED)" 'curl: \(' "and is refused again"
t "the cgroup's process lives" grep -q . "$CGROOT$SLICE/tools/build/cgroup.procs"

# ---- a bare cgroup as a job of its own ----
JOB=$(attach --cgroup "$SLICE/tools/build" --label repo=web --label event=push --json | jq -r .id)
like "$JOB" '^j-' "a cgroup becomes a job of its own, by its path from the root"
is "$(job_show "$JOB" --json | jq -r '.facts.repo + " " + .policy')" 'web web' "with the labels' policy"
kill -9 $(cat "$CGROOT$SLICE/tools/build/cgroup.procs") 2>/dev/null
t "its end is the job's, after the linger time" wait_for 40 "[ -z \"\$(job_names)\" ]"
cgroup_sweep "$SLICE/tools"
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
