#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# 100,000 requests through one proxy leave no growth in memory and no descriptor behind. REQUESTS=N for another count.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need h2load
n=${REQUESTS:-$([ -n "${EGRET_QUICK:-}" ] && echo 10000 || echo 100000)}
origins_up
policy '"allow": "GET https://api.test/**"'
cat >"$TMP/load.sh" <<'SH'
#!/bin/bash
h2load --h1 -n "$1" -c 8 https://api.test/hello.txt >"$3/warm" 2>&1
touch "$3/warmed"; until [ -e "$3/go" ]; do sleep 0.05; done
h2load --h1 -n "$2" -c 8 https://api.test/hello.txt >"$3/load" 2>&1
touch "$3/loaded"; until [ -e "$3/end" ]; do sleep 0.05; done
SH
chmod 755 "$TMP/load.sh"
JOB_TIMEOUT=280 job "$TMP/load.sh" $((n / 10)) "$n" "$TMP" >"$TMP/job.out" 2>&1 &
running=$!
memory() { awk '/^(Private_Clean|Private_Dirty|Private_Hugetlb):/ { s += $2 } END { print s }' "/proc/$1/smaps_rollup"; }
descriptors() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }
t "warm" wait_for 60 "[ -e '$TMP/warmed' ]" || diag "$(tail -n 5 "$TMP/job.out")"
proxy=$(egret_pids egret-proxy | head -n 1)
if [ -z "$proxy" ]; then
	fail "the proxy is found"
	done_testing
fi
sleep 1.5
before=$(memory "$proxy") fds=$(descriptors "$proxy")
start=$(now_ms)
touch "$TMP/go"
t "$n requests" wait_for 240 "[ -e '$TMP/loaded' ]"
took=$(($(now_ms) - start))
like "$(cat "$TMP/load")" "requests: $n total, $n started, $n done, $n succeeded, 0 failed" "all were answered with 200"
sleep 1.5
diag "$n requests in $took ms, $((n * 1000 / (took + 1))) a second; private memory $before kB, then $(memory "$proxy") kB; descriptors $fds, then $(descriptors "$proxy")"
at_most $(($(memory "$proxy") - before)) 1024 "private memory grew by at most 1 MiB, in kB"
at_most $(($(descriptors "$proxy") - fds)) 0 "descriptors more than before"
touch "$TMP/end"
wait $running
is $? 0 "the job ends well"
is "$(origin_count '^api\.test .* 200 ')" $((n + n / 10)) "the origin answered each once"
done_testing
