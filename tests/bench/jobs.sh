#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Registering a job while many run: from `egret job register` to its answer (the proxy is ready), for each of JOBS (200) jobs that all stay. Bound: 100 ms
# for the last ones. The time of the client's own start is in it. Called by run.sh.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
JOBS=${JOBS:-200}
origins_up >/dev/null
daemon_config '"managed": [ { "engine": "docker" } ]'
installed bench '"allow": "GET https://api.test/**"'
daemon_start || exit 1
cat >"$TMP/register.sh" <<'SH'
us() { echo "${EPOCHREALTIME/./}"; }
for ((i = 0; i < $2; i++)); do
	s=$(us)
	"$1" job register --provider generic --worker none --label repo=bench --label event=push --label run_id=$i >/dev/null || exit 1
	echo $(($(us) - s))
done
SH
in_host bash "$TMP/register.sh" "$EGRET" "$JOBS" >"$TMP/times" || { tail -n 5 "$TMP/egretd.log"; exit 1; }
of() { sort -n | awk '{ v[NR] = $1 } END { printf "median %.1f ms, most %.1f", v[int((NR + 1) / 2)] / 1000, v[NR] / 1000 }'; }
echo "register to ready: jobs 1 to 10: $(head -n 10 "$TMP/times" | of); the last 10 of $JOBS: $(tail -n 10 "$TMP/times" | of); all: $(of <"$TMP/times")"
start=$(now_ms)
"$EGRET" job list --json | jq -r '.[].id' | while read -r j; do "$EGRET" job end "$j" >/dev/null; done
wait_for 60 "[ -z \"\$(egret_pids egret-proxy)\" ]"
echo "ending all $JOBS: $(($(now_ms) - start)) ms"
daemon_stop
