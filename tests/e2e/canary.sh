#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The canary: which walls stand is found by trial and told everywhere; one that falls under a running egretd is an event, refuses new jobs and
# those that run, and comes back; what the configuration requires; egret doctor with and without an egretd.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need bpftool jq
origins_up
daemon_config
installed web '"allow": "GET https://api.test/**"'
daemon_start || done_testing
INSTANCE=$(egret_instance "$TMP/run")
PINS=/sys/fs/bpf/egret/$INSTANCE/v2
CG=$(findmnt -nt cgroup2 -o TARGET | head -n 1)
JOB_OPTS=(--label repo=web --label event=push --user 61236)
state() { "$EGRET" status --json | jq -r "$1"; }
# Their exit status is not asked here.
doctor() { "$EGRET" doctor --config "$TMP/egret.json" 2>&1 || :; }
try_job() { daemon_job true 2>&1 || :; }
events() { stream | jq -c "select($1)"; }
told() { # what the event is, what it means: the stream comes a moment later
	WORD=$1
	t "$2" wait_for 10 '[ -n "$(events "$WORD")" ]'
}

# ---- told ----
like "$(state .walls)" '^turn sockets packets cage' "egretd says which walls stand"
LSM=$(state '.walls | split(" ") | index("lsm") // ""')
if [ -z "$LSM" ]; then
	like "$(state .walls_absent)" '(^| )lsm' "and which do not"
	isnt "$(state '.wall_lsm // ""')" '' "with the reason"
	like "$(events '.kind == "guard.absent" and .walls == "lsm"')" '"reason":"wall"' "which is an event at the start"
else
	skip "an absent wall" "the LSM wall stands here"
fi
like "$("$EGRET" status)" "walls_tried +20" "and when they were tried"
t "a job starts" daemon_job true
like "$(events '.kind == "job.start"' | jq -r .walls)" '^turn sockets packets cage.* netns$' "its start has the words"
like "$(daemon_job sh -c 'sleep 2' & "$EGRET" job list --json >/dev/null; wait_for 10 "'$EGRET' job list --json | jq -e '.[0].walls | index(\"netns\")'" && echo yes; wait)" yes "and so has the list"

# ---- doctor, which lets the running egretd try ----
before=$(state .kernel_refused)
tried=$(state .walls_tried)
out=$("$EGRET" doctor --config "$TMP/egret.json" 2>&1)
is $? 0 "doctor finds what is required"
for w in turn sockets packets cage; do like "$out" "^ok +$w +the trial was refused" "doctor: $w"; done
isnt "$(state .walls_tried)" "$tried" "the running egretd tried them for it"
is "$(state .kernel_refused)" "$before" "which nobody counts"
is "$(find "$CG/egret-$INSTANCE.slice" "$CG/egretd-$INSTANCE.slice" -name 'egret-trial')" '' "no cgroup of a trial is left"
is "$(bpftool -j map dump pinned "$PINS/egret_members" | jq length) $(bpftool -j map dump pinned "$PINS/egret_listeners" | jq length)" "0 0" "nor an entry in the tables"
like "$("$EGRET" doctor --json --config "$TMP/egret.json" | jq -r '.[] | select(.name == "turn") | [.ok, .required] | @text')" 'true,true' "in JSON too"

# ---- a wall falls ----
# Detached again and again: egretd puts links back every second, and this is about the time in between.
hammer() { spawn bash -c 'while :; do bpftool link detach pinned "$0" 2>/dev/null; sleep 0.03; done' "$PINS/link_$1"; }
unhammer() { kill $SPAWNED && wait $SPAWNED 2>/dev/null; }
loop() { # the codes that a running job gets, one a line
	daemon_job bash -c 'until [ -e "$0" ]; do curl -sS --max-time 5 -o /dev/null -w "%{http_code}\n" https://api.test/hello.txt 2>/dev/null; sleep 0.1; done' "$TMP/enough" >"$TMP/codes" 2>&1 &
	LOOP=$!
}
falls() { # the program, its wall
	hammer "$1"
	t "$1 is away: doctor says that $2 is missing" wait_for 40 "doctor | grep -Eq '^MISSING +$2 .*canary'"
	told '.kind == "guard.absent" and .walls == "'"$2"'"' "an event says that it fell"
	told '.kind == "alert" and .walls == "'"$2"'"' "and an alert"
	t "a new job is refused, in words" wait_for 40 "doctor >/dev/null; try_job | grep -q 'no job is let in while the wall \"$2\" does not stand'"
}
stands() { # its wall
	unhammer
	t "$1 stands again, and is tried" wait_for 20 "doctor | grep -Eq '^ok +$1 '"
	told '.kind == "guard.present" and .walls == "'"$1"'"' "which is an event too"
	t "new jobs run" daemon_job true
}
mkdir -p "$TMP/shared" && chmod 777 "$TMP/shared" "$TMP"
falls egret_connect4 turn
stands turn
loop
t "a running job is served" wait_for 20 "grep -q '^200' '$TMP/codes'"
falls egret_egress packets
: >"$TMP/codes"
t "the running job is refused by the walls that are left" wait_for 40 "doctor >/dev/null; grep -q '^000' '$TMP/codes'"
stands packets
: >"$TMP/codes"
t "and is served again" wait_for 20 "grep -q '^200' '$TMP/codes'"
: >"$TMP/enough"
wait $LOOP
daemon_stop

# ---- required ----
if [ -z "$LSM" ]; then
	daemon_config '"require": ["lsm"]'
	daemon_start
	like "$(daemon_job true 2>&1)" 'requires the wall "lsm", which does not stand here: .+' "require lsm: refused, with the reason"
	like "$(doctor)" '^MISSING +lsm ' "doctor: what is required is missing"
	daemon_stop
fi
daemon_config '"require": ["tc", "netns"]'
daemon_start
t "a namespace without a link needs no tc" daemon_job true
JOB_OPTS+=(--net host)
like "$(daemon_job true 2>&1)" 'requires the wall "tc".*no link of its own' "on the host's network it cannot be had"
daemon_stop
daemon_config '"require": ["netns"]'
daemon_start
like "$(daemon_job true 2>&1)" 'requires "netns"' "nor a namespace"
daemon_stop

# ---- doctor alone ----
left() { ls -d /sys/fs/bpf/egret/doctor "$CG"/egret*-doctor.slice 2>/dev/null; }
out=$("$EGRET" doctor --config "$TMP/egret.json" 2>&1)
like "$out" '^ok +turn +the trial was refused' "without an egretd doctor tries by itself"
is "$(left)" '' "and takes its own things away"
for ms in 0.05 0.12 0.2; do
	"$EGRET" doctor --config "$TMP/egret.json" >/dev/null 2>&1 &
	p=$!
	sleep $ms
	kill -TERM $p 2>/dev/null
	wait $p 2>/dev/null
	is "$(left)" '' "also when it is ended after $ms s"
done
like "$(setpriv --reuid=65534 --regid=65534 --clear-groups "$EGRET" doctor 2>&1)" 'absent +turn +cannot be tried: run as root' "without root it says that it cannot"
done_testing
