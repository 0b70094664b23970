#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel program is taken away and cannot be put back, because somebody sits in its place: the job is frozen, none is started, and both go on
# when the place is free. And: connections of a job whose cgroup is killed are cut within a second.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need bpftool jq nft ss
origins_up
daemon_config
installed standing '"allow": "GET https://api.test/**"' '"allow": "tcp://api.test:8081"'
daemon_start || done_testing
inst=$(egret_instance "$TMP/run")
SLICE=$(findmnt -nt cgroup2 -o TARGET | head -n 1)/egret-$inst.slice
PINS=$(dirname "$(find "/sys/fs/bpf/egret/$inst" -name link_egret_connect4)")
cat >"$TMP/tick.sh" <<'SH'
#!/bin/bash
while [ -e "$1/pause" ]; do echo "${EPOCHREALTIME/./}" >>"$1/ticks"; sleep 0.05; done
SH
chmod 755 "$TMP/tick.sh"; chmod 777 "$TMP"
: >"$TMP/pause"
JOB_OPTS=(--label repo=standing --label event=push)
daemon_job "$TMP/tick.sh" "$TMP" >"$TMP/job.out" 2>&1 &
running=$!
ticks() { wc -l <"$TMP/ticks"; }
t "the job runs" wait_for 20 '[ "$(ticks)" -gt 3 ]'

# The same program, alone in its place: what is attached so lets nobody in beside it.
id=$(bpftool -j link show pinned "$PINS/link_egret_connect4" | jq .prog_id)
# egretd puts it back each second: until we are the faster.
taken() { bpftool link detach pinned "$PINS/link_egret_connect4" && bpftool cgroup attach "$SLICE" connect4 id "$id" >/dev/null 2>&1; }
t "another sits in the place of the program" wait_for 20 taken
at_exit "bpftool cgroup detach '$SLICE' connect4 id $id"
t "guard.absent within 5 s" wait_for 5 "stream | grep -q '\"kind\":\"guard.absent\".*link_egret_connect4'"
t "the job is frozen" wait_for 3 "n=\$(ticks); sleep 0.5; [ \$(ticks) = \$n ]"
like "$(daemon_job true 2>&1)" 'gone and cannot be put back' "no job is started"
bpftool cgroup detach "$SLICE" connect4 id "$id"
n=$(ticks)
t "it goes on when the place is free" wait_for 5 "[ \$(ticks) -gt $n ]"
t "jobs are started again" wait_for 5 "[ \"\$(daemon_job curl -sS --max-time 10 https://api.test/hello.txt 2>/dev/null)\" = 'hello from api' ]"

# egretd dies while the job is frozen: the next one lets it go on.
t "another sits there once more" wait_for 20 taken
t "the job is frozen again" wait_for 5 "n=\$(ticks); sleep 0.5; [ \$(ticks) = \$n ]"
kill -9 "$DAEMON"
wait "$DAEMON" 2>/dev/null
bpftool cgroup detach "$SLICE" connect4 id "$id"
n=$(ticks)
daemon_start
t "it goes on with the next egretd" wait_for 10 "[ \$(ticks) -gt $n ]"
t "and that one starts jobs" wait_for 5 "[ \"\$(daemon_job curl -sS --max-time 10 https://api.test/hello.txt 2>/dev/null)\" = 'hello from api' ]"
rm -f "$TMP/pause"
t "and it ends by itself" wait_for 10 "! kill -0 $running"

# A stream that never ends, through a tunnel to a server that only listens.
spawn in_origin python3 -c "
import socket
s = socket.create_server(('$GOOD', 8081)); c = []
while True: c.append(s.accept()[0])"
wait_port in_host $GOOD 8081
daemon_job bash -c 'exec 3<>/dev/tcp/api.test/8081; echo x >&3; sleep 60' >/dev/null 2>&1 &
up() { in_origin ss -Htn state established 'sport = :8081' | wc -l; }
t "a connection of a job stands at the origin" wait_for 10 '[ "$(up)" = 1 ]'
cg=$(find "$SLICE" -name 'j-*' -type d | head -n 1)
start=$(now_ms)
echo 1 >"$cg/cgroup.kill"
t "its cgroup is killed: the connection is cut" wait_for 5 '[ "$(up)" = 0 ]'
at_most $(($(now_ms) - start)) 1000 "ms until it was"

# Egretd is killed, the pins are removed before the next one comes: tables, programs and the proxies that read the old ones are made anew. A start
# that fails in between (something else is pinned in a link's place) ends no job.
rm -f "$TMP/codes"
: >"$TMP/pause"
# shellcheck disable=SC2016
daemon_job bash -c 'while [ -e "$1/pause" ]; do curl -s -o /dev/null --max-time 5 -w "%{http_code}\n" https://api.test/hello.txt >>"$1/codes"; sleep 0.02; done' - "$TMP" >/dev/null 2>&1 &
running=$!
serves() { rm -f "$TMP/codes"; wait_for "$1" "grep -q 200 $TMP/codes"; }
t "a job asks" serves 10
bare() { # egretd is killed and its pins are removed
	kill -9 "$DAEMON"
	wait "$DAEMON" 2>/dev/null
	rm -rf "/sys/fs/bpf/egret/$inst"
}
bare
daemon_start
t "pins removed while no egretd ran: the next one serves the job again" serves 5
bare
mkdir -p "$PINS" && bpftool map create "$PINS/link_egret_connect4" type array key 4 value 4 entries 1 name in_the_way
isnt "$(in_host timeout 20 "$EGRETD" --config "$TMP/egret.json" >"$TMP/second" 2>&1; echo $?)" 0 "a start fails"
rm -rf "/sys/fs/bpf/egret/$inst"
daemon_start
t "the one after it serves the job again" serves 5 || diag "$(cat "$TMP/second")" "$(tail -n 5 "$TMP/egretd.log")"
rm -f "$TMP/pause"
t "and that one ends by itself" wait_for 10 "! kill -0 $running"

# The broker keeps the links too (egretd/park.c): without pins and without egretd the walls stand as long as it lives. A job of the host's network
# tries all the time; who counts is outside.
in_origin nft "add table inet seen; add counter inet seen out; add chain inet seen in { type filter hook input priority 0; }; add rule inet seen in ip daddr $EVIL counter name out"
out() { in_origin nft -j list counter inet seen out | jq '.nftables[].counter // empty | .packets'; }
JOB_OPTS+=(--net host)
: >"$TMP/try"
# A connection that is begun while another egretd's programs take the place of these is no one's: its packets are dropped until it gives up.
# shellcheck disable=SC2016
daemon_job bash -c 'while [ -e "$1/try" ]; do timeout 1 bash -c "exec 3<>/dev/tcp/$2/443" 2>/dev/null; echo >>"$1/tries"; sleep 0.02; done' - "$TMP" "$EVIL" >/dev/null 2>&1 &
running=$!
tries() { wc -l <"$TMP/tries"; }
more() { n=$(tries) && wait_for 20 "[ \$(tries) -gt $((n + 20)) ]"; }
t "a job of the host's network tries to get out" wait_for 20 "[ -s $TMP/tries ]"
bare
t "egretd is killed, its pins are removed; it tries on" more
is "$(out)" 0 "and nothing gets out"
daemon_start
t "the next egretd has its own links; it tries on" more
is "$(out)" 0 "and nothing gets out"
bare
kill -9 $(egret_pids egret-broker)
t "with the broker killed as well they would be gone: it gets out" wait_for 10 '[ "$(out)" -gt 0 ]'
daemon_start
t "a job that nobody parked is ended" wait_for 10 "! kill -0 $running"
rm -f "$TMP/try"
daemon_stop
done_testing
