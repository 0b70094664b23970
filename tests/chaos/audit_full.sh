#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 26 s
# P7: with the audit process standing still and a small ring, requests wait, then are refused with 503, and none reaches the origin
# unrecorded; when it goes on, the job is served again.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need jq
origins_up
daemon_config '"limits": { "ring_bytes": 65536, "ring_wait_ms": 500 }'
installed full '"allow": "GET https://api.test/**"'
daemon_start || done_testing
cat >"$TMP/loop.sh" <<'SH'
#!/bin/bash
url=() i=0
while [ $i -lt 50 ]; do url+=(-o /dev/null "https://api.test/hello.txt?$i"); i=$((i + 1)); done
while [ -e "$1/pause" ]; do curl -s --max-time 30 -w '%{http_code}\n' "${url[@]}" >>"$1/codes"; done
SH
chmod 755 "$TMP/loop.sh"
: >"$TMP/pause"
JOB_OPTS=(--label repo=full --label event=push)
daemon_job "$TMP/loop.sh" "$TMP" >"$TMP/job.out" 2>&1 &
running=$!
t "the job is served" wait_for 20 "grep -q 200 '$TMP/codes'"
audit=$(egret_pids egret-audit | head -n 1)
kill -STOP "$audit"
at_exit "kill -CONT $audit"
t "a full ring refuses with 503" wait_for 40 "grep -qx 503 '$TMP/codes'"
sleep 1
before=$(origin_count '^api\.test ')
sleep 2
is "$(origin_count '^api\.test ')" "$before" "and nothing goes out while it is full"
kill -CONT "$audit"
lines=$(wc -l <"$TMP/codes")
t "when it goes on, the job is served again" wait_for 20 "tail -n +$((lines + 2)) '$TMP/codes' | grep -qx 200"
rm -f "$TMP/pause"
wait_for 40 "! kill -0 $running"
sleep 1
records=$(stream | jq -c 'select(.kind=="http.request" and .verdict=="allow")' | wc -l)
asked=$(origin_count '^api\.test ')
is "$((records >= asked))" 1 "no request without a record: $asked at the origin, $records records"
is "$(stream | jq -r .seq | awk 'NR > 1 && $1 != last + 1 { bad++ } { last = $1 } END { print bad + 0 }')" 0 "numbers have no gap"
daemon_stop
done_testing
