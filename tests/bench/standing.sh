#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a job costs a standing egretd: from the question to the running command (bench_register), and the private memory of a proxy that
# idles. Bounds: median under 30 ms, p99 under 100 ms; under 6 MiB. Called by run.sh. JOBS (100).
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
JOBS=${JOBS:-100}
IDLE=8
origins_up >/dev/null
daemon_config
installed bench '"allow": "GET https://api.test/**"'
daemon_start || exit 1
ask() { in_host "$BUILD/tests/bench/bench_register" "$TMP/run/control.sock" "$1" repo=bench event=push; }
ask 5 >/dev/null || exit 1 # page cache
for round in 1 2 3; do
	out=$(ask "$JOBS") || exit 1
	echo "register to ready, round $round, us: $out"
done

# Each has served one request, then nothing.
JOB_OPTS=(--label repo=bench --label event=push)
for ((i = 0; i < IDLE; i++)); do
	daemon_job bash -c "curl -sS -o /dev/null https://api.test/hello.txt; until [ -e '$TMP/end' ]; do sleep 0.1; done" >"$TMP/job.$i" 2>&1 &
	PIDS+=("$!")
done
wait_for 30 "[ \"\$(origin_count '^api.test .* 200 ')\" = $IDLE ]" || { cat "$TMP"/job.*; exit 1; }
sleep 2
for p in $(egret_pids egret-proxy); do awk '/^Private_/ { s += $2 } END { print s }' "/proc/$p/smaps_rollup"; done | sort -n |
	awk '{ v[NR] = $1 } END { printf "private memory of an idle proxy, KiB: median %d, least %d, most %d, of %d\n", v[int((NR + 1) / 2)], v[1], v[NR], NR }'
touch "$TMP/end"
wait_for 20 "[ -z \"\$(egret_pids egret-proxy)\" ]"
daemon_stop
