#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 20 s
# timeout: 150
# P6 by chance: each round something dies, stops or runs out - a process in any state, descriptors, memory, disk, bpffs, pins, links, egretd
# itself - while two jobs ask and connect without pause: one of `egret run`, one attached in a namespace of its own. Whatever happens, no byte
# goes where no rule allows, counted by nft at the outside; each request in the origin's log has its record; numbers have no gap; the jobs
# are served again. 20 rounds here; ROUNDS=1000 in `make soak`. SEED=N repeats a run.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need nft jq bpftool prlimit
ROUNDS=${ROUNDS:-20}
SEED=${SEED:-$((EPOCHSECONDS % 32768))}
RANDOM=$SEED
diag "SEED=$SEED ROUNDS=$ROUNDS"
origins_up

# A mount namespace of the test's own: its bpffs can be unmounted, its state folder is small.
mkdir -p "$TMP/state" "$TMP/run"
unshare -m --propagation private sleep infinity &
PIDS+=("$!")
HOSTMNT=/proc/$!/ns/mnt
wait_for 5 "[ \"\$(readlink $HOSTMNT)\" != \"\$(readlink /proc/self/ns/mnt)\" ]" || { fail "a mount namespace of its own"; done_testing; }
in_host bash -c 'while umount -l /sys/fs/bpf; do :; done' 2>/dev/null
in_host mount -t tmpfs -o "size=$((16 + ROUNDS / 4))m" tmpfs "$TMP/state"
# A line that a full disk or a kill has torn stays (egret-audit(8)), and is no event.
stream() { in_host bash -c "cat '$TMP'/state/events*.ndjson" | jq -cR 'fromjson? // empty'; }
unexplained() { stream | grep -c '"reason":"unexplained"'; }

in_origin nft -f - <<-NFT
	table inet seen {
	  counter forbidden { }
	  counter datagrams { }
	  chain in { type filter hook input priority 0; ip daddr { $EVIL, $BAD } counter name "forbidden"; ip saddr 198.51.100.1 meta l4proto udp counter name "datagrams"; }
	}
NFT
leaked() { in_origin nft -j list counters table inet seen | jq '[.nftables[].counter // empty | .packets] | add'; }
in_host bash -c "exec 3<>/dev/tcp/$EVIL/443; echo x >/dev/udp/$EVIL/9" 2>/dev/null
t "what leaves is counted: from the host it is" wait_for 3 '[ "$(leaked)" -ge 2 ]'
in_origin nft reset counters table inet seen >/dev/null

daemon_config
installed chaos '"allow": "GET https://api.test/**"'
daemon_start || done_testing
inst=$(egret_instance "$TMP/run")
CGROOT=$(findmnt -nt cgroup2 -o TARGET | head -n 1)
SLICE=/egret-$inst.slice

# The jobs: each request has a number of its own; connects to what is not allowed are timed.
cat >"$TMP/loop.sh" <<'SH'
#!/bin/bash
n=0
(while [ -e "$1/pause.$2" ]; do
	a=$EPOCHREALTIME r=ok
	{ exec 3<>/dev/tcp/198.51.100.20/443; } 2>/dev/null || r=refused
	b=$EPOCHREALTIME
	exec 3>&- 
	echo "${a/./} $((${b/./} - ${a/./})) $r" >>"$1/storm.$2"
	sleep 0.005
done) &
while [ -e "$1/pause.$2" ]; do
	n=$((n + 1)) a=$EPOCHREALTIME
	code=$(curl -sk --max-time 6 -o /dev/null -w '%{http_code}' "https://api.test/r/$2-$$-$n")
	echo "${a/./} $code" >>"$1/codes.$2"
	sleep 0.02
done
wait
SH
chmod 755 "$TMP/loop.sh"; chmod 777 "$TMP"
JOB_OPTS=(--label repo=chaos --label event=push)
run_job() { # starts it anew when it is over
	[ -z "${RUN_PID:-}" ] || ! kill -0 "$RUN_PID" 2>/dev/null || return 0
	: >"$TMP/pause.run"
	JOB_TIMEOUT=$((ROUNDS * 30 + 100)) daemon_job "$TMP/loop.sh" "$TMP" run >>"$TMP/job.out" 2>&1 &
	RUN_PID=$!
}
attach_job() {
	local cg=$SLICE/x/1
	[ -z "${ATT_PID:-}" ] || ! kill -0 "$ATT_PID" 2>/dev/null || return 0
	mkdir -p "$CGROOT$cg"
	: >"$TMP/pause.att"
	in_host unshare -n bash -c 'echo $$ >"$0/cgroup.procs"; ip link set lo up; until [ -e "$1/attached" ]; do sleep 0.05; done; exec "$1/loop.sh" "$1" att' "$CGROOT$cg" "$TMP" &
	ATT_PID=$!
	wait_for 5 "[ -s '$CGROOT$cg/cgroup.procs' ]"
	in_host "$EGRET" attach --cgroup x/1 --label repo=chaos --label event=push >"$TMP/attach.out" 2>&1 || fail "the second job is attached" "$(cat "$TMP/attach.out")"
	touch "$TMP/attached"
}
since() { awk -v t="$2" '$1 > t { print $2 }' "$TMP/codes.$1" 2>/dev/null; }
served() { since "$1" "$2" | grep -Eqx '200|404'; } # 404 is the origin's
# egretd: not its short-lived children that try the walls.
pick() { local all=($(if [ "$1" = egretd ]; then echo "$DAEMON"; else egret_pids "$1"; fi)); [ ${#all[@]} -gt 0 ] && echo "${all[RANDOM % ${#all[@]}]}"; }
run_job; attach_job
t "both jobs are served" wait_for 30 "served run 0 && served att 0" || done_testing

PROGRAMS=(egretd egret-proxy egret-proxy egret-broker egret-audit)
daemon_up() { kill -0 "$DAEMON" 2>/dev/null || daemon_start; }
of_run() { # name: processes of the first job's, whose namespace is its own
	local p
	for p in $(cat "$CGROOT$SLICE"/j-*/cgroup.procs "$CGROOT$SLICE"/j-*/*/cgroup.procs); do [ "$(cat "/proc/$p/comm")" = "$1" ] && echo "$p"; done
}
pins() { in_host bash -c "find /sys/fs/bpf/egret/$inst -type f -name '$1'"; }
ends() { kill -9 $pid && { [ "$p" != egretd ] || wait "$DAEMON"; }; }
one_round() { # sets WHAT, FROM: since when the jobs must be served
	local p=${PROGRAMS[RANDOM % ${#PROGRAMS[@]}]} pid n
	pid=$(pick "$p")
	case $((RANDOM % 14)) in
	0 | 1 | 2) WHAT="kill -9 $p" && ends ;;
	3) WHAT="stop and go on $p" && kill -STOP $pid && sleep 0.4 && kill -CONT $pid ;;
	4)
		WHAT="no descriptors for $p" n=$(find "/proc/$pid/fd" -mindepth 1 2>/dev/null | wc -l)
		prlimit --pid "$pid" --nofile=$n:65536 2>/dev/null && sleep 0.4 && prlimit --pid "$pid" --nofile=65536:65536 2>/dev/null
		;;
	5)
		WHAT="no memory for $p" n=$(awk '/^VmSize/ { print $2 * 1024 }' "/proc/$pid/status" 2>/dev/null)
		prlimit --pid "$pid" --as=${n:-100000000}:unlimited 2>/dev/null && sleep 0.4 && prlimit --pid "$pid" --as=unlimited:unlimited 2>/dev/null
		;;
	6) WHAT="disk full" && in_host bash -c "head -c 400M /dev/zero >'$TMP/state/fill' 2>/dev/null; sleep 0.6; rm -f '$TMP/state/fill'" ;;
	7) WHAT="bpffs unmounted" && in_host umount -l /sys/fs/bpf && wait_for 5 '[ -n "$(pins "link_*")" ]' ;;
	8) WHAT="pins removed" && in_host bash -c "find /sys/fs/bpf/egret/$inst -type f -delete" && wait_for 5 '[ -n "$(pins "link_*")" ]' ;;
	9)
		n=$(pins 'link_*' | shuf -n 1 --random-source=<(yes $RANDOM))
		WHAT="detached ${n##*/}" && in_host bpftool link detach pinned "$n" && sleep 1.2
		;;
	10)
		WHAT="the job starts while $p dies"
		rm -f "$TMP/pause.run"
		wait_for 10 "! kill -0 $RUN_PID"
		run_job
		sleep "0.$((RANDOM % 4))"
		pid=$(pick "$p")
		[ -z "$pid" ] || ends
		;;
	11)
		WHAT="the job ends while $p dies"
		rm -f "$TMP/pause.run"
		sleep "0.0$((RANDOM % 9))"
		ends
		daemon_up
		wait_for 20 "! kill -0 $RUN_PID"
		;;
	12) WHAT="kill -9 egret-init" && kill -9 $(of_run egret-init) ;;
	13) WHAT="kill -9 the job's command" && kill -9 $(of_run loop.sh) ;;
	esac 2>/dev/null
	FROM=${EPOCHREALTIME/./}
}

bad=0
: >"$TMP/back"
for ((i = 1; i <= ROUNDS; i++)); do
	one_round
	daemon_up
	[[ $WHAT != *egretd* ]] || FROM=${EPOCHREALTIME/./}
	if ! wait_for 20 'run_job; served run $FROM && served att $FROM'; then
		bad=$((bad + 1))
		diag "round $i: $WHAT: not served again: run $(since run "$FROM" | sort | uniq -c | tr '\n' ' ') att $(since att "$FROM" | sort | uniq -c | tr '\n' ' ')"
		kill -0 "$ATT_PID" 2>/dev/null || break
	fi
	echo "$(((${EPOCHREALTIME/./} - FROM) / 1000)) $WHAT" >>"$TMP/back"
	[ "$(leaked)" = 0 ] || { fail "round $i: $WHAT: something left"; break; }
done
diag "$(sort -k2 "$TMP/back" | cut -d" " -f2- | uniq -c)"
rm -f "$TMP"/pause.*
wait_for 20 "! kill -0 $RUN_PID"; wait_for 10 "! kill -0 $ATT_PID"
is "$bad" 0 "the jobs were served again after each of $ROUNDS rounds"
diag "ms until both jobs were served again: $(sort -n "$TMP/back" | awk '{ v[NR] = $1; w = $0 } END { print "median " v[int((NR + 1) / 2)] ", worst " w }')"
diag "worst by what died: $(awk '$2 == "kill" { k = $4; if ($1 > w[k]) w[k] = $1 } END { for (k in w) printf "%s %d ms; ", k, w[k] }' "$TMP/back")"
diag "connects to what is not allowed: $(cat "$TMP"/storm.* | awk '{ n++; if ($2 > 100000) s++; if ($2 > w) w = $2; if ($3 == "refused") r++ } END { print n ", refused at once " r + 0 ", longer than 100 ms " s + 0 ", longest " int(w / 1000) " ms" }')"
is "$(leaked)" 0 "no packet to a forbidden host, no datagram"
sleep 2
origin_log | awk '$1 == "api.test" && $4 ~ /^\/r\// { print $4 }' | sort -u >"$TMP/asked"
stream | jq -r 'select(.kind == "http.request" and .verdict == "allow") | .http.url' | sed -n 's|^https://api.test\(:443\)*||p' | sort -u >"$TMP/recorded"
is "$(comm -23 "$TMP/asked" "$TMP/recorded" | wc -l)" 0 "each of $(wc -l <"$TMP/asked") requests at the origin has its record" || diag "$(comm -23 "$TMP/asked" "$TMP/recorded" | head)"
is "$(stream | jq -r .seq 2>/dev/null | awk 'NR > 1 && $1 != last + 1 { bad++ } { last = $1 } END { print bad + 0 }')" 0 "numbers have no gap"
daemon_stop
done_testing
