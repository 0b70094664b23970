#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The sanitizers' build in its jails: every process of egret is of this build, a job is served, and all of them end without a finding.
# Run by the suite `asan` with BUILD=build/asan; the other scripts of that suite are those of tests/e2e.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
origins_up
daemon_config
installed web '"allow": "GET https://api.test/**"'
daemon_start || done_testing
: >"$TMP/pause"
JOB_OPTS=(--label repo=web --label event=push)
daemon_job bash -c "curl -sS --max-time 20 https://api.test/hello.txt >'$TMP/got'; touch '$TMP/here'; while [ -e '$TMP/pause' ]; do sleep 0.1; done" 2>"$TMP/err" &
running=$!
wait_for 30 "[ -e '$TMP/here' ]"
is "$(cat "$TMP/got")" 'hello from api' "a job is served"
for program in egretd egret-broker egret-audit egret-proxy egret; do
	pid=$(egret_pids $program | head -n 1)
	is "$(readlink "/proc/${pid:-none}/exe")" "$BUILD/bin/$program" "$program is of this build"
	like "$(nm -D "$BUILD/bin/$program" 2>/dev/null | grep -c __asan_init)" '^[1-9]' "$program has the sanitizer in it"
done
rm -f "$TMP/pause"
wait $running
is $? 0 "the job ends with 0"
daemon_stop
is $? 0 "egretd ends with 0, its memory accounted for"
unlike "$(cat "$TMP/egretd.log" "$TMP/err")" 'Sanitizer|runtime error' "no finding of a sanitizer"
unlike "$(stream)" '"kind":"(proxy|broker|audit)\.died"|"reason":"[a-z_]*died' "no process died"
done_testing
