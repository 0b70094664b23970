#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The last wall in real jobs: what egret_egress and egret_ingress take a packet by the kernel's own run-time statistics, all packets of the job
# counted, first ones and handshakes too, and beside them a program that answers at once. bench_packets takes the flows one by one; here packets come
# singly, to CPUs that did much else meanwhile. Called by run.sh. ROUNDS (5).
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need node npm bpftool clang
ROUNDS=${ROUNDS:-5}
origins_up >/dev/null
node "$ROOT/tests/bench/registry.js" "$TMP/www/npm.test" "$TMP/project" 100 || exit 1
head -c 64M /dev/urandom >"$TMP/www/api.test/64m"
daemon_config
installed wall '"allow": "GET https://api.test/**"' '"allow": "GET https://npm.test/**"'
JOB_OPTS=(--label repo=wall --label event=push)
STATS=$(sysctl -n kernel.bpf_stats_enabled)
at_exit 'sysctl -qw kernel.bpf_stats_enabled="$STATS"'
daemon_start || exit 1
sysctl -qw kernel.bpf_stats_enabled=1
cat >"$TMP/work.sh" <<'SH'
#!/bin/bash
set -e
case $1 in
names) for ((i = 0; i < 200; i++)); do getent ahosts api.test >/dev/null; done ;;
curl) for ((i = 0; i < 40; i++)); do curl -sSf -o /dev/null https://api.test/hello.txt; done ;;
download) curl -sSf -o /dev/null https://api.test/64m ;;
npm) mkdir -p "$3" && cp "$2"/* "$3" && cd "$3" && HOME=$3 npm ci --silent --no-audit --no-fund --ignore-scripts --registry https://npm.test/ --cache "$3/cache" ;;
esac
SH
chmod 755 "$TMP/work.sh"
PINS=$(echo "/sys/fs/bpf/egret/$(egret_instance "$TMP/run")"/v*)
NOTHING=/sys/fs/bpf/egret-nothing-$$
at_exit 'rm -rf "$NOTHING"'
clang -O2 -target bpf -x c -c -o "$TMP/nothing.o" - <<'C' || exit 1
__attribute__((section("cgroup_skb/egress"))) int nothing_out(void *skb) { return 1; }
__attribute__((section("cgroup_skb/ingress"))) int nothing_in(void *skb) { return 1; }
C
bpftool prog loadall "$TMP/nothing.o" "$NOTHING" || exit 1
SLICE=$(findmnt -nt cgroup2 -o TARGET | head -n 1)/egret-$(egret_instance "$TMP/run").slice
bpftool cgroup attach "$SLICE" egress pinned "$NOTHING/nothing_out" multi && bpftool cgroup attach "$SLICE" ingress pinned "$NOTHING/nothing_in" multi || exit 1
count() { # program: its "ns runs" so far
	local how=(pinned "$NOTHING/$1")
	[ -e "${how[1]}" ] || how=(id "$(bpftool -j link show pinned "$PINS/link_$1" | jq .prog_id)")
	bpftool -j prog show "${how[@]}" | jq -r '"\(.run_time_ns // 0) \(.run_cnt // 0)"'
}
ALL='egret_egress nothing_out egret_ingress nothing_in'
declare -A was
for ((round = 0; round < ROUNDS; round++)); do
	for kind in names curl download npm; do
		for p in $ALL; do was[$p]=$(count $p); done
		daemon_job "$TMP/work.sh" "$kind" "$TMP/project" "$TMP/one.$round" >"$TMP/words" 2>&1 || { fail "$kind: the job ran" "$(tail -n 5 "$TMP/words")"; exit 1; }
		rm -rf "$TMP/one.$round"
		for p in $ALL; do echo "$kind $p ${was[$p]} $(count $p)" >>"$TMP/counts"; done
	done
done
awk '{ ns = $5 - $3; n = $6 - $4; print $1, $2, n, ns / n; print "all", $2, n, ns / n }' "$TMP/counts" | sort -k1,2 -k4g |
	awk '{ k = $1 " " $2; if (!(k in c)) order[++kinds] = k; v[k, ++c[k]] = $4; n[k] += $3; ns[k] += $3 * $4 }
		END { for (i = 1; i <= kinds; i++) { k = order[i]; split(k, w, " ");
			printf "%-10s %-14s %6.1f ns a packet (jobs: %.1f to %.1f), %d packets\n", w[1], w[2], ns[k] / n[k], v[k, 1], v[k, c[k]], n[k] } }'
daemon_stop
[ "$TESTS_FAILED" = 0 ]
