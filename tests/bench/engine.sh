#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The bounds of the data path: CPU of the proxy per unit of work, egret beside its peers in one run (sides.sh says how they are set). Samples of all
# sides are taken in turn, one round after the other; printed are the medians, and for egret the median of the rounds' own ratios, which is
# what a machine that does other work leaves true. Called by run.sh.
#
#   engine.sh [requests] [h2] [connections] [first_sight] [bulk] [idle] [flat] [rules]
#
# ROUNDS (5), MS (1500, a sample of requests), COUNT (400 connections a sample), MIB (256, a sample of bulk), IDLE (5000), GIB (1, each way of
# `flat`; the bound speaks of 10), PEERS (all that are installed).
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/bench/sides.sh"
need nginx taskset
ROUNDS=${ROUNDS:-5} MS=${MS:-1500} COUNT=${COUNT:-400} MIB=${MIB:-256} IDLE=${IDLE:-5000} GIB=${GIB:-1}
PEERS=${PEERS-nginx haproxy squid sslsplit mitmproxy}
PARTS=${*:-requests h2 connections first_sight bulk idle flat rules}

median() { sort -g | awk '{ v[NR] = $1 } END { if (NR % 2) print v[(NR + 1) / 2]; else if (NR) print (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
per_unit() { awk -v ns="$1" -v n="$2" -v unit="$3" 'BEGIN { if (n <= 0) exit 1; printf "%.4f\n", ns / unit / n }'; }
samples() { echo "$TMP/samples.$1.$2"; } # what, side: a line a round
times() { # what, side, other: the median of the rounds' own ratios
	paste "$(samples "$1" "$2")" "$(samples "$1" "$3")" 2>/dev/null | awk 'NF == 2 && $2 > 0 { printf "%.4f\n", $1 / $2 }' | median
}
report() { # what, unit, [bound] [against]: a line a side
	local s first=egret f least most
	[ -s "$(samples "$1" egret)" ] || first=
	for s in "${SIDES[@]}"; do
		f=$(samples "$1" "$s")
		[ -s "$f" ] || continue
		least=$(sort -g "$f" | head -n 1) most=$(sort -g "$f" | tail -n 1)
		printf '%-22s %-12s %10.2f %-14s (%.2f to %.2f, %d samples)' "$1" "$s" "$(median <"$f")" "$2" "$least" "$most" "$(wc -l <"$f")"
		[ -z "$first" ] || [ "$s" = egret ] || printf '  egret %.3fx' "$(times "$1" egret "$s")"
		[ "$s" != "${4:-}" ] || printf '  bound %s' "$3"
		echo
	done
}
# One sample each side: CPU a unit in the unit asked for (1000: us, 1e9: s).
in_turn() { # what, ns of a unit, how many units are one, arguments of load behind the side...
	local what=$1 unit=$2 of=$3 s
	shift 3
	for s in "${SIDES[@]}"; do
		[ "$s" != mitmproxy ] || [ "$what" != requests.256 ] || continue # accepts no 256 at once in time
		load "$s" "$@" || continue
		per_unit "$CPU_NS" "$UNITS" "$(awk -v u="$unit" -v of="$of" 'BEGIN { printf "%.9f", u / of }')" >>"$(samples "$what" "$s")"
		echo "$SAID" >"$TMP/said.$s"
		[ -z "${JOB_DIR[$s]:-}" ] || per_unit "$AUDIT_NS" "$UNITS" "$(awk -v u="$unit" -v of="$of" 'BEGIN { printf "%.9f", u / of }')" >>"$(samples "$what" "$s.audit")"
	done
}
audit_beside() { # what, unit
	[ -s "$(samples "$1" egret.audit)" ] && printf '%-22s %-12s %10.2f %s\n' "$1" "(audit)" "$(median <"$(samples "$1" egret.audit)")" "$2"
}

part_requests() {
	local c round
	for s in "${SIDES[@]}"; do [ "$s" = mitmproxy ] || load "$s" keep 256 1500 /1k; done # 256 connections to the origin stand
	for ((round = 0; round < ROUNDS; round++)); do
		for c in 1 32 256; do in_turn requests.$c 1000 1 keep $c "$MS" /1k; done
	done
	for c in 1 32 256; do
		report requests.$c us/request 1.0x haproxy
		audit_beside requests.$c us/request
	done
	for s in "${SIDES[@]}"; do echo "  $s spoke $(cat "$TMP/said.$s")"; done
}

h2_load() { # side: like load, by h2load
	local port=8453 address=198.51.100.1 a b out
	[ "$1" != nginx ] || port=8451
	[ "$1" != egret ] || address=$ORIGIN port=$PORT
	out=$TMP/h2.$1
	rm -f "$out" "$out".*
	printf '#!/bin/bash\nh2load -n %d -c 1 -m 32 %s https://%s:%s/1k >%s.new 2>&1\nmv %s.new %s\n' "$2" \
		"--connect-to=$address:$port" $NAME $port "$out" "$out" "$out" >"$TMP/h2.sh"
	a=$(tree_ns "${SIDE_PID[$1]}")
	client "$1" bash "$TMP/h2.sh"
	wait_for 120 "[ -e '$out' ]" || return 1
	b=$(tree_ns "${SIDE_PID[$1]}")
	grep -q 'Application protocol: h2' "$out" || return 2
	grep -q " $2 succeeded" "$out" || { fail "h2load of $1 went well" "$(tail -n 12 "$out")"; return 1; }
	CPU_NS=$((b - a)) UNITS=$2
}
part_h2() {
	local s round r
	command -v h2load >/dev/null || { echo "h2: h2load is not installed"; return; }
	for ((round = 0; round <= ROUNDS; round++)); do
		for s in nginx haproxy egret; do
			[[ " ${SIDES[*]} " == *" $s "* ]] || continue
			h2_load "$s" 15000
			r=$?
			[ $r != 2 ] || { [ $round != 0 ] || echo "h2                     $s does not offer it"; continue; }
			[ $r = 0 ] || continue
			[ $round = 0 ] || per_unit "$CPU_NS" "$UNITS" 1000 >>"$(samples h2 "$s")"
		done
	done
	report h2 us/request 1.15x haproxy
}

part_connections() {
	local round
	for s in "${SIDES[@]}"; do load "$s" keep 16 300 /1k; done # upstream connections stand
	for ((round = 0; round < ROUNDS; round++)); do in_turn connections 1000 1 new 8 "$COUNT" /1k; done
	report connections us/connection 1.1x nginx
}

# A handshake alone, of a name seen before and of one never seen: nothing of an upstream is in it.
part_first_sight() {
	local round s n=0 some=$((COUNT / 2))
	for s in egret squid mitmproxy; do
		[[ " ${SIDES[*]} " == *" $s "* ]] && load "$s" hands 4 50 - n%.cold.test 9000
	done
	for ((round = 0; round < ROUNDS; round++)); do
		for s in egret squid mitmproxy; do
			[[ " ${SIDES[*]} " == *" $s "* ]] || continue
			load "$s" hands 4 "$some" - n9000.cold.test || continue
			per_unit "$CPU_NS" "$UNITS" 1000 >>"$(samples known_name "$s")"
			load "$s" hands 4 "$some" - n%.cold.test $n || continue
			per_unit "$CPU_NS" "$UNITS" 1000 >>"$(samples new_name "$s")"
		done
		n=$((n + some))
	done
	report known_name us/handshake
	report new_name us/handshake
	for s in egret squid mitmproxy; do
		paste "$(samples new_name $s)" "$(samples known_name $s)" 2>/dev/null | awk '{ print $1 - $2 }' | median |
			awk -v s=$s '{ printf "%-22s %-12s %10.2f us more than a known one  bound 300\n", "first_sight", s, $1 }'
	done
}

part_bulk() {
	local round
	for ((round = 0; round < ROUNDS; round++)); do in_turn bulk 1e9 1073741824 get 1 "$MIB" /big; done
	report bulk s/GiB 1.05x nginx
}

part_idle() {
	local s before after held
	for s in "${SIDES[@]}"; do
		held=$IDLE
		[ "$s" != mitmproxy ] || held=$((IDLE / 10))
		load "$s" keep 64 300 /1k # what a first burst makes is not counted to connections
		before=$(tree_private "${SIDE_PID[$s]}")
		load_begin "$s" idle $held 0 /1k || continue
		[ ! -s "$STEM.ready" ] || fail "$held connections of $s stood" "$(cat "$STEM.ready")"
		sleep 2
		after=$(tree_private "${SIDE_PID[$s]}")
		load_end "$s"
		awk -v s="$s" -v a="$before" -v b="$after" -v n=$held 'BEGIN { printf "%-22s %-12s %10.2f KiB/connection (%d held, %d -> %d KiB)%s\n", "idle", s, (b - a) / n, n, a, b, s == "egret" ? "  bound 16" : "" }'
	done
}

part_flat() {
	local way path before most now
	bench_sink || { echo "flat: node is not installed"; return 1; }
	for way in get put; do
		path=/big
		[ $way = get ] || path=/sink
		load egret keep 8 300 /1k
		sleep 1.5
		before=$(tree_private "${SIDE_PID[egret]}") most=0
		load_begin egret $way 1 $((GIB * 1024)) $path || return 1
		: >"$TMP/private"
		while sleep 0.2; do tree_private "${SIDE_PID[egret]}" >>"$TMP/private"; done &
		now=$!
		LOAD_TIMEOUT=$((120 + GIB * 60)) load_go egret
		kill $now
		load_end egret
		most=$(sort -n "$TMP/private" | tail -n 1)
		awk -v way=$way -v a="$before" -v b="$most" -v n="$(wc -l <"$TMP/private")" -v gib=$GIB -v t="$TOOK" -v cpu="$CPU_NS" 'BEGIN {
			printf "%-22s %-12s %10d KiB at most, %d before, %d looks (%d GiB in %.1f s, %.2f s of CPU a GiB)  bound flat\n", "flat." way, "egret", b, a, n, gib, t, cpu / 1e9 / gib }'
	done
}

# Policies of 10 and of 10,000 rules, the one that fits written last: over as many hosts, and all over one.
rules_policy() { # name, rules, host with % for the number
	local i
	{
		printf '{ "version": 1, "name": "%s", "for": [ { "repo": "%s", "event": "push" } ], "rules": [\n' "$1" "$1"
		for ((i = 1; i < $2; i++)); do printf '{"id":"%d","allow":"READ https://%s/p%d/**"},\n' $i "${3/\%/$i}" $i; done
		printf '{"id":"last","allow":"GET https://%s:%s/1k"}\n]}\n' $NAME $PORT
	} >"$TMP/policies/$1.json"
}
part_rules() {
	local round kind all=("${SIDES[@]}")
	for kind in hosts paths; do
		SIDES=("$kind-10" "$kind-10000")
		for ((round = -1; round < ROUNDS; round++)); do
			in_turn rules.$kind 1000 1 keep 32 "$MS" /1k
			[ $round -ge 0 ] || rm -f "$TMP"/samples.rules.$kind.*
		done
		report rules.$kind us/request
		printf '%-22s %-12s %10.3f times 10 rules  bound 1.1\n' rules.$kind egret "$(times rules.$kind $kind-10000 $kind-10)"
	done
	SIDES=("${all[@]}")
}

origins_up >/dev/null
bench_origin || { cat "$TMP/bench.log"; exit 1; }
egret_daemon
installed egret "\"allow\": \"GET https://$NAME:$PORT/**\"" "\"allow\": \"PUT https://$NAME:$SINK/sink\"" "\"allow\": \"GET https://*.cold.test:$PORT/**\""
if [[ " $PARTS " == *" rules "* ]]; then
	for n in 10 10000; do rules_policy hosts-$n $n h%.rules.test; rules_policy paths-$n $n $NAME:$PORT; done
fi
daemon_start || exit 1
if [[ " $PARTS " == *" rules "* ]]; then
	for one in hosts-10 hosts-10000 paths-10 paths-10000; do egret_side $one || exit 1; done
	SIDES=()
fi
for one in $PEERS; do "side_$one"; done
egret_side egret || exit 1
for one in $PARTS; do
	echo "-- $one (load $(cut -d' ' -f1-3 /proc/loadavg))"
	"part_$one"
done
egrets_end
[ "$TESTS_FAILED" = 0 ]
