#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# timeout: 200
# containerd with ctr and egret-runc as its runtime: joined, refused, executed in; ids that are no digits, no seccomp, a relative root, a tmpfs over /run.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
HOST_MANAGED='{ "engine": "containerd", "adopt": "sole" }'
host_up
installed web '"allow": "READ https://api.test/**"'
kill -HUP "$DAEMON"
containerd_up
CTR_RUNTIME=$(runc_beside)
images_into ctr static alpine debian || done_testing
A=docker.io/egret-test/alpine:1 D=docker.io/egret-test/debian:1 S=docker.io/egret-test/static:1
like "$(ctr_run "$SLICE/ctr/c0" $A c0 fetch $ALLOWED 2>&1)" 'error' "no job runs: refused"
JOB=$(host_register web)
like "$JOB" '^j-' "a job is registered" || done_testing
like "$(ctr_run "$SLICE/ctr/c1" $A c1 fetch $ALLOWED $REFUSED 2>&1 | tr '\n' '.')" '200 hello from api.403 Blocked by egret' "Alpine-like: allowed, and refused in words"
like "$(ctr_run "$SLICE/ctr/c2" $S c2 /fetch $ALLOWED $REFUSED 2>&1 | tr '\n' '.')" '200 hello from api.403 Blocked by egret' "an image without any file"
like "$(ctr_run "$SLICE/ctr/c3" --net-host $A c3 fetch $ALLOWED $REFUSED 2>&1 | tr '\n' '.')" '200 hello from api.403 Blocked by egret' "in the host's network"
like "$(ctr_run "$SLICE/ctr/c4" --read-only $A c4 fetch $ALLOWED 2>&1)" '200 hello' "a read-only root"
like "$(ctr_run "$SLICE/ctr/c6" --seccomp $D c6 curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "with a seccomp profile; Debian-like: curl"
ctr run -d --cgroup "$SLICE/ctr/long" --cpu-shares 0 --runc-binary "$CTR_RUNTIME" $D long sleep 300 2>&1
like "$(ctr task exec --exec-id e1 long curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "task exec: curl, allowed"
like "$(ctr task exec --exec-id e2 long curl -sS --max-time 20 $REFUSED 2>&1)" 'no rule allows' "task exec: curl, refused in words"
like "$(ctr task exec --exec-id e3 long sh -c 'echo $EGRET_JOB' 2>&1)" "$JOB" "task exec: has the job's variables"
like "$(ctr_run "/egret-rig$$/c7" $A c7 true 2>&1)" 'egret' "a cgroup outside the slice: refused, in words"
cgroup_sweep "/egret-rig$$"
job_end "$JOB"
containerd_down
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
