#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# 100,000 requests through one proxy leave no growth in memory and no descriptor behind: what it holds after the first 2,000, when pools,
# caches and the allocator are warm, is what it holds at the end. Besides keep-alive requests each round has connections of one request
# and refused requests, and the origin hangs up after each 1,000, so that upstream connections come and go. REQUESTS=N for another count.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need h2load
# What the heap keeps of the largest burst of handshakes (20 at once; measured: 280 kB after 100,000 requests and after 250,000, none of it
# by keep-alive requests). A loss of 6 bytes a request would pass it.
TOLERANCE_KB=512
WARM=2000
total=${REQUESTS:-$([ -n "${EGRET_QUICK:-}" ] && echo 10000 || echo 100000)}
ORIGIN_KEEPALIVE=1000
origins_up
# At rest nothing is pooled: what is open then is the proxy's own.
config '"limits": { "upstream_idle_ms": 500 }'
policy '"allow": "GET https://api.test/hello.txt"'
# A round of N: N by 8 clients that keep their connections, N/50 connections of one request, N/50 refusals.
cat >"$TMP/load.sh" <<'SH'
#!/bin/bash
round() { # N, log
	h2load --h1 -n "$1" -c 8 https://api.test/hello.txt >"$2.keep" 2>&1
	for _ in $(seq $(($1 / 1000))); do
		h2load --h1 -n 20 -c 20 https://api.test/hello.txt
		h2load --h1 -n 20 -c 2 https://api.test/refused
	done >"$2.rest" 2>&1
}
round "$1" "$3/warm"
touch "$3/warmed"; until [ -e "$3/go" ]; do sleep 0.05; done
round "$2" "$3/load"
touch "$3/loaded"; until [ -e "$3/end" ]; do sleep 0.05; done
SH
chmod 755 "$TMP/load.sh"
JOB_TIMEOUT=110 job "$TMP/load.sh" "$WARM" "$total" "$TMP" >"$TMP/job.out" 2>&1 &
running=$!
PIDS+=("$running")
memory() { awk '/^Private_/ { s += $2 } END { print s }' "/proc/$1/smaps_rollup"; }
descriptors() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }
answers() { sed -n "s|^status codes: .*\b\([0-9][0-9]*\) $1.*|\1|p" "$2" | awk '{ s += $1 } END { print s + 0 }'; }
settled() { # descriptors at rest: the least seen in two seconds
	local least=100000 now
	for _ in $(seq 20); do
		now=$(descriptors "$1")
		[ "$now" -ge "$least" ] || least=$now
		sleep 0.1
	done
	echo "$least"
}
t "the first $WARM requests" wait_for 30 "[ -e '$TMP/warmed' ]" || diag "$(tail -n 5 "$TMP/job.out")"
proxy=$(egret_pids egret-proxy | head -n 1)
if [ -z "$proxy" ]; then
	fail "the proxy is found"
	done_testing
fi
fds=$(settled "$proxy") before=$(memory "$proxy")
start=$(now_ms)
touch "$TMP/go"
t "$total requests more" wait_for 90 "[ -e '$TMP/loaded' ]"
took=$(($(now_ms) - start))
like "$(cat "$TMP/load.keep")" "requests: $total total, $total started, $total done, $total succeeded, 0 failed" "all were answered with 200"
is "$(answers 2xx "$TMP/load.rest")" $((total / 50)) "so were those with a connection of their own"
is "$(answers 4xx "$TMP/load.rest")" $((total / 50)) "and what no rule allows was refused"
after_fds=$(settled "$proxy") after=$(memory "$proxy")
diag "$took ms; private memory $before kB, then $after kB; descriptors $fds, then $after_fds"
at_most $((after - before)) $TOLERANCE_KB "kB of private memory more than after the first $WARM"
at_most "$after_fds" "$fds" "descriptors: no more than after the first $WARM"
touch "$TMP/end"
wait $running
is $? 0 "the job ends well"
is "$(origin_count '^api\.test .* 200 ')" $((total + total / 50 + WARM + WARM / 50)) "the origin answered each once"
done_testing
