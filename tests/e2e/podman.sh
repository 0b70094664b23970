#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# timeout: 200
# podman with egret-runc as its runtime: joined, trusted, executed in. And with egret-runc in its hooks.d alone: joined and refused in the same way,
# with bundles over the known files and no variables (trust: files only).
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
need podman
HOST_MANAGED='{ "engine": "podman", "adopt": "sole" }'
host_up
installed web '"allow": "READ https://api.test/**"'
kill -HUP "$DAEMON"
PODMAN_PARENT=$SLICE/podman
podman info >/dev/null 2>&1 || skip_all "podman does not run here"
images_into podman static alpine debian || done_testing
A=egret-test/alpine:1 D=egret-test/debian:1
mkdir -p "$TMP/hooks.d"
printf '{"version":"1.0.0","hook":{"path":"%s","args":["egret-runc","hook","--egret-run-dir=%s","--egret-engine=podman"]},"when":{"always":true},"stages":["createRuntime"]}\n' \
	"$EGRET_RUNC" "$TMP/run" >"$TMP/hooks.d/egret.json"
PODMAN_ARGS=(--hooks-dir "$TMP/hooks.d")
like "$(podman_run --rm $A fetch $ALLOWED 2>&1)" 'error' "no job runs: refused"
JOB=$(host_register web)
like "$JOB" '^j-' "a job is registered" || done_testing
# By the hook alone.
like "$(podman_run --rm $A fetch -c /etc/ssl/cert.pem $ALLOWED 2>&1)" '200 hello from api' "hooks.d: served by the job's proxy, whose CA lies in the known files"
podman_run -d --name hooked $A sleep 300 >/dev/null
t "with files only" wait_for 10 "job_show '$JOB' | grep -q 'trust: files only'"
like "$(podman_run --rm $A fetch http://evil.test/ 2>&1)" '403 Blocked by egret' "hooks.d: refused in words"

# By the runtime.
PODMAN_ARGS=()
PODMAN_RUNTIME=$(runc_beside podman)
for net in podman none host; do
	like "$(podman_run --rm --network $net $A fetch $ALLOWED $REFUSED 2>&1 | tr '\n' '.')" '200 hello from api.403 Blocked by egret' "network $net: allowed, and refused in words"
done
like "$(podman_run --rm $D curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "Debian-like: curl"
like "$(podman_run --rm $D curl -sS --max-time 20 $REFUSED 2>&1)" 'no rule allows' "and refused in words"
podman_run -d --name long $D sleep 300 >/dev/null
like "$(podman exec long curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "podman exec"
like "$(PODMAN_PARENT=/egret-rig$$ podman_run --rm $A true 2>&1)" 'egret' "a cgroup outside the slice: refused, in words"
cgroup_sweep "/egret-rig$$"
job_end "$JOB"
podman rm -af >/dev/null 2>&1
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
