#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Containers where this machine's own cgroups are: with hybrid ones (version 1 beside version 2) the cgroup of version 2 counts, and what is
# not below the slice there does not start. Real runc bundles through egret-runc; the engine is this script.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/images.sh"
need runc busybox jq
RUNC=$BUILD/bin/egret-runc
origins_up
SLICE=/egret-$(egret_instance "$TMP/run").slice
daemon_config '"managed": [ { "engine": "containerd", "adopt": "sole" } ]'
installed web '"allow": "GET https://api.test/**"'
daemon_start || done_testing
CG=$(findmnt -nt cgroup2 -o TARGET | head -n 1)
mkdir -p "$TMP/b/rootfs/etc/ssl/certs" "$TMP/b/rootfs/proc" "$TMP/b/rootfs/dev" "$TMP/b/rootfs/sys" "$TMP/b/rootfs/run"
mkdir -p "$IMAGES"
image_busybox "$TMP/b/rootfs"
image_client "$TMP/b/rootfs/bin/fetch" || skip_all "no static client"
cp /etc/ssl/certs/ca-certificates.crt "$TMP/b/rootfs/etc/ssl/certs/"
echo "nameserver 127.0.0.53" >"$TMP/b/rootfs/etc/resolv.conf"
spec() { # script
	(cd "$TMP/b" && rm -f config.json && runc spec)
	jq --arg cg "${PARENT:-$SLICE/c}/$1" --arg s "$2" '.process.terminal = false | .process.args = ["sh", "-c", $s] | del(.process.rlimits) | .linux.cgroupsPath = $cg
		| .root.readonly = false | .linux.resources = {} ' "$TMP/b/config.json" >"$TMP/b/new" && mv "$TMP/b/new" "$TMP/b/config.json"
}
IDS=()
at_exit 'rmdir /sys/fs/cgroup/*/egret-hy$$ /sys/fs/cgroup/*/egret-hy$$/* 2>/dev/null'
at_exit 'for c in "${IDS[@]}"; do wrapped delete --force "$c" || runc delete --force "$c"; done'
wrapped() { in_host "$RUNC" --egret-run-dir="$TMP/run" --egret-engine=containerd "$@"; }
v2_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
sites='fetch https://api.test/hello.txt https://evil.test/ 2>&1 | tr "\n" "."'

id=egret-hy-$$-0
IDS+=("$id")
spec "$id" "$sites"
out=$(wrapped run -b "$TMP/b" "$id" 2>&1 </dev/null)
unlike "$out" 'hello from api' "no job: nothing is reached"
host_net() { jq '.linux.namespaces |= map(select(.type != "network"))' "$TMP/b/config.json" >"$TMP/b/new" && mv "$TMP/b/new" "$TMP/b/config.json"; }
id=egret-hy-$$-n
IDS+=("$id")
spec "$id" "cat /proc/self/cgroup | grep ^0:; $sites"
host_net
out=$(wrapped run -b "$TMP/b" "$id" 2>&1 </dev/null)
like "$out" "^0::$SLICE/" "nor on the host's network: it has a cgroup below the slice"
unlike "$out" 'hello from api' "which is refused"
unlike "$(origin_log)" 'hello' "and nothing arrived"
id=egret-hy-$$-o
IDS+=("$id")
PARENT=/egret-hy$$ spec "$id" "$sites"
host_net
out=$(wrapped run -b "$TMP/b" "$id" 2>&1 </dev/null)
isnt $? 0 "a cgroup outside the slice: it does not start"
like "$out" 'outside' "and it is said"
unlike "$(origin_log)" 'hello' "nothing arrived"

JOB=$(in_host "$EGRET" job register --provider generic --worker none --label repo=web --label event=push)
like "$JOB" '^j-' "a job"
id=egret-hy-$$-1
IDS+=("$id")
spec "$id" "$sites"
out=$(wrapped run -b "$TMP/b" "$id" 2>&1 </dev/null)
like "$out" '200 hello from api.403 Blocked by egret' "a container: allowed, and refused in words"

id=egret-hy-$$-2
IDS+=("$id")
spec "$id" 'sleep 1000'
wrapped run -d -b "$TMP/b" "$id" >"$TMP/out" 2>&1 </dev/null || diag "$(cat "$TMP/out")"
pid=$(runc state "$id" | jq .pid)
like "$(v2_of "$pid")" "^$SLICE/" "its cgroup of version 2 is below the slice"
is "$("$EGRET" job show --json "$JOB" | jq -r '.members[] | "\(.kind) \(.state) \(.trust)"')" 'container served full' "it is a member"
out=$(wrapped exec "$id" sh -c "cat /proc/self/cgroup; $sites" 2>&1 </dev/null)
like "$out" '200 hello from api.403 Blocked by egret' "a process that is executed in it is served too"
wrapped exec -d "$id" sleep 999 >"$TMP/out" 2>&1 </dev/null
other=$(for p in $(ip netns pids "$HOSTNS") $(pgrep -x sleep); do tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null | grep -q '^sleep 999' && echo "$p"; done | head -n 1)
like "$(v2_of "$other")" "^$SLICE/" "and is in the same cgroup"
"$EGRET" job end "$JOB"
t "the job's end kills it" wait_for 10 "! kill -0 $pid"
daemon_stop
done_testing
