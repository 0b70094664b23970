#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 19 s
# timeout: 170
# Jobs that come and go leave nothing behind: ENTRIES in the kernel's maps, pins, network namespaces, descriptors and memory of egretd, processes, cgroups.
# Three kinds: registered and ended, an attached cgroup with a network namespace of its own, and (when docker is there) a container by egret-runc.
# JOBS one after another and ATONCE at once: 60 and 20 here, 2,000 and 200 in `make soak`. CONTAINERS: how many of the jobs have one.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
JOBS=${JOBS_COUNT:-60} ATONCE=${ATONCE:-20} CONTAINERS=${CONTAINERS:-6}
need bpftool dockerd
HOST_MANAGED=$(host_managed '"adopt": "sole"')
host_up
installed web '"allow": "GET https://api.test/**"'
kill -HUP "$DAEMON"
host_docker
images_into docker alpine || done_testing
inst=$(egret_instance "$TMP/run")
pins=/sys/fs/bpf/egret/$inst
egret() { in_host "$EGRET" "$@"; }

entries() { # of every map that jobs fill, by name
	local f
	for f in $(find "$pins" -type f | sort); do
		[ "${f##*/}" != egret_heard ] || continue # a cache: what is looked up no more goes when there is no room
		[[ "$(bpftool -j map show pinned "$f" 2>/dev/null | jq -r .type)" =~ ^(hash|lru_hash|lpm_trie)$ ]] || continue
		echo "${f##*/} $(bpftool -j map dump pinned "$f" 2>/dev/null | jq length)"
	done
}
# What is there, a line each. Memory is looked at by itself.
standing() {
	entries
	echo "pins $(find "$pins" | wc -l)"
	echo "descriptors $(find "/proc/$DAEMON/fd" -mindepth 1 | wc -l)"
	echo "namespaces $(ls -l /proc/[0-9]*/ns/net 2>/dev/null | sed 's/.*-> //' | sort -u | wc -l) of all processes"
	echo "cgroups $(find "$CGROOT$SLICE" "$CGROOT/egretd-$inst.slice" -mindepth 1 -type d | sed "s|$CGROOT||" | grep -v '/docker$' | sort | tr '\n' ' ')"
	echo "processes $(egret_pids egret-proxy | wc -l) $(egret_pids egret-mount | wc -l) $(egret_pids egret-compile | wc -l)"
	echo "files $(find "$TMP/run" | sort | tr '\n' ' ')"
}
memory() { awk '/^Private_/ { s += $2 } END { print s }' "/proc/$DAEMON/smaps_rollup"; }
settled() { # file to compare with: the same, within some seconds
	wait_for 20 "standing >'$TMP/now'; ours '$TMP/now' '$1'"
}
settled_once() { standing >"$TMP/now" && ours "$TMP/now" "$TMP/before"; }
# Namespaces of others on this machine come and go: only ours count, so the line is left out when nothing else differs.
ours() { diff <(grep -v '^namespaces' "$1") <(grep -v '^namespaces' "$2") >"$TMP/diff"; }

attached() { # number: a process in a namespace and cgroup of its own becomes a job, asks, ends
	local cg=$SLICE/x/$1 p
	mkdir -p "$CGROOT$cg"
	nsenter --mount="$HOSTMNT" unshare -n bash -c 'echo $$ >"/sys/fs/cgroup$0/cgroup.procs"; ip link set lo up; exec sleep 600' "$cg" &
	p=$!
	wait_for 5 "grep -q $p '$CGROOT$cg/cgroup.procs' && [ \"\$(cat /proc/$p/comm)\" = sleep ]"
	j=$(egret attach --cgroup "x/$1" --label repo=web --label event=push) || { echo "attach $1: $j"; return 1; }
	case $((10#${1//[!0-9]/} % 10)) in 0) nsenter -t $p -n bash -c 'echo $$ >"'"$CGROOT$cg"'/cgroup.procs"; exec curl -sk --max-time 10 -o /dev/null https://api.test/hello.txt' ;; esac
	egret job end "$j" || { echo "end $1"; return 1; }
	kill -9 $p # what an admin attached goes on without its job, refused
	wait $p 2>/dev/null
	wait_for 5 "rmdir '$CGROOT$cg' || [ ! -e '$CGROOT$cg' ]"
}
registered() { # number
	local j
	j=$(host_register web --label "run_id=$1")
	case $j in j-*) ;; *) echo "register $1: $j"; return 1 ;; esac
	if [ "${2:-}" = container ]; then docker run --rm egret-test/alpine:1 fetch https://api.test/hello.txt | grep -q '^200' || echo "container of $1 was not served"; fi
	egret job end "$j" || echo "end $1"
}
every=$((2 * (JOBS / (2 * CONTAINERS))))
one() { if [ $(($1 % 2)) = 0 ]; then registered "$1" "$([ $(($1 % (every + 2 * !every))) != 0 ] || echo container)"; else attached "$1"; fi; }

# Warm: one of each kind, so that lazily made things stand.
registered 0 container; attached 1
mkdir -p "$CGROOT$SLICE/x"
sleep 1
# Twice the same: not in the middle of a trial.
wait_for 20 "standing >'$TMP/before'; settled_once"
before=$(memory)
like "$(cat "$TMP/before")" '^egret_cgroups [0-9]+' "the kernel's maps can be counted"
start=$(now_ms)
for ((i = 2; i < JOBS + 2; i++)); do one $i; done >"$TMP/said" 2>&1
diag "$JOBS jobs one after another: $(($(now_ms) - start)) ms"
is "$(cat "$TMP/said")" "" "$JOBS jobs one after another, each ran and ended"
t "nothing is left of them" settled "$TMP/before" || diag "$(cat "$TMP/diff")"
middle=$(memory)
at_most $((middle - before)) $((1024 + JOBS / 4)) "kB of private memory more in egretd"

# At once.
start=$(now_ms)
for ((i = 0; i < ATONCE; i++)); do host_register web --label "run_id=$i" & done >"$TMP/names" 2>&1
wait_for 120 "[ \"\$(grep -c '^j-' '$TMP/names')\" = $ATONCE ]"
is "$(grep -c '^j-' "$TMP/names")" "$ATONCE" "$ATONCE jobs at once are all ready" || diag "$(grep -v '^j-' "$TMP/names" | sort | uniq -c | head)"
diag "all ready after $(($(now_ms) - start)) ms"
is "$(egret job list --json | jq length)" "$ATONCE" "egret job list shows them all"
while read -r j; do egret job end "$j"; done <"$TMP/names"
t "nothing is left of those" settled "$TMP/before" || diag "$(cat "$TMP/diff")"
diag "memory of egretd: $before kB, after $JOBS jobs $middle, after $ATONCE at once $(memory)"
t "no job runs" bash -c "[ -z '$(job_names)' ]"
rmdir "$CGROOT$SLICE/x"
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
