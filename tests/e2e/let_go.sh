#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 29 s
# A container that is held when egretd is killed is stopped by nobody any more: the next egretd lets it go. The container is a stand-in: a process
# in a mount namespace of its own and a cgroup with a container's name.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
origins_up
mkdir -p "$TMP/docker/containers"
daemon_config "\"managed\": [ { \"engine\": \"docker\", \"root\": \"$TMP/docker\", \"unregistered\": \"hold\" } ]"
SLICE=$(findmnt -nt cgroup2 -o TARGET | head -n 1)/egret-$(egret_instance "$TMP/run").slice
CONTAINER=$SLICE/docker/$(printf 'a%.0s' $(seq 64))
installed web '"allow": "GET https://api.test/**"'
daemon_start || done_testing
mkdir -p "$CONTAINER"
at_exit 'echo 1 >"$SLICE/docker/cgroup.kill"; wait_for 5 "grep -q \"populated 0\" $SLICE/docker/cgroup.events"; rmdir "$CONTAINER" "$SLICE/docker"'
# shellcheck disable=SC2016
spawn unshare -m "${BOUND[@]}" bash -c 'echo $$ >"$0/cgroup.procs"; exec bash -c "echo ran >$1; exec sleep 1000"' "$CONTAINER" "$TMP/ran"
held() { [ "$(cut -d' ' -f3 "/proc/$SPAWNED/stat")" = T ]; }
if ! wait_for 10 held; then
	[ -e "$TMP/ran" ] && skip_all "this kernel holds nobody"
	fail "it is held" "$(cat "/proc/$SPAWNED/stat")"
fi
t "held: nothing of it has run" [ ! -e "$TMP/ran" ]
kill -9 "$DAEMON"
wait "$DAEMON" 2>/dev/null
t "egretd is killed: it stands still" held
daemon_start
t "the next egretd lets it go" wait_for 10 "[ -e '$TMP/ran' ]"

# Its network namespace is of its own making: whatever addresses it gives itself are no member's.
OTHER=$SLICE/docker/$(printf 'b%.0s' $(seq 64))
mkdir "$OTHER"
at_exit 'rmdir "$OTHER"'
# shellcheck disable=SC2016
spawn bash -c 'echo $$ >"$0/cgroup.procs"; exec unshare -Urnm sleep 1000' "$OTHER"
wait_for 10 held
like "$("$EGRET" attach --cgroup "docker/${OTHER##*/}" --label repo=web --label event=push 2>&1)" 'network namespace' "a namespace of its own making is not served"
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
