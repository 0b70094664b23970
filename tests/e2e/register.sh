#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 50 s
# A runner's job without containers: its unit's own traffic, registration out of it, the move, sockets from before, the end. The runner is a
# stand-in: a listener and a worker under an unprivileged uid in a cgroup with a unit's name, as systemd makes it.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
origins_up
need setpriv
UID_RUNNER=61234
daemon_config "\"managed\": [ { \"unit\": \"ci.runner.*.service\", \"registrar\": $UID_RUNNER, \"unregistered\": \"policy:runner\" } ]"
installed web '"allow": "GET https://api.test/**"'
installed runner '"allow": "GET https://files.test/**"'
SLICE=$(findmnt -nt cgroup2 -o TARGET | head -n 1)/egret-$(egret_instance "$TMP/run").slice
UNIT=$SLICE/ci.runner.one.service
mkdir -p "$TMP/world"
echo f >"$TMP/www/files.test/f"
chmod 777 "$TMP/world"
daemon_start || done_testing
mkdir "$UNIT"
at_exit 'echo 1 >"$UNIT/cgroup.kill"; wait_for 5 "grep -q \"populated 0\" $UNIT/cgroup.events"; rmdir "$UNIT"/j-* "$UNIT"'
jobs_json() { "$EGRET" job list --json; }
t "the unit is a job under its own policy" wait_for 10 "jobs_json | jq -e '.[] | select(.state==\"running\" and .facts.unit==\"ci.runner.one.service\")'"

# ---- the stand-in runner ----
cat >"$TMP/world/worker.sh" <<'WORKER'
# The worker: does what its orders say, one file a step.
cd "$1"; trap "" PIPE
# The variables are what a hook would have set; before the registration a drop-in names the unit's own.
code() { curl -sS --max-time 20 -o /dev/null -w '%{http_code}' "$1" 2>curl.err; }
export CURL_CA_BUNDLE=$2/units/ci.runner.one.service/bundle.pem
step() { until [ -e "order.$1" ]; do sleep 0.03; done; }
step before
code https://files.test/f >before.files
code https://api.test/hello.txt >before.api
# A connection from before, to the one place that the unit's policy lets it reach.
exec 8<>/dev/tcp/files.test/443 && echo open >before.socket
sleep 1000 &
echo $! >child.pid
: >did.before
step register
"$EGRET" job register --provider generic --worker parent --label repo=web --label event=push --json >registered.json 2>registered.err
echo $? >registered.status
"$EGRET" job register --provider generic --worker parent --label repo=web --label event=push >again.out 2>&1
echo $? >again.status
cat /proc/self/cgroup | grep ^0 >cgroup.after
export CURL_CA_BUNDLE=$(jq -r .trust_dir registered.json)/bundle.pem
{ printf 'GET /hello.txt HTTP/1.0\r\nHost: files.test\r\n\r\n' >&8; } 2>/dev/null
timeout 3 head -c 4 <&8 >after.socket 2>/dev/null
code https://files.test/f >after.files
code https://api.test/hello.txt >after.api
: >did.register
step end
"$EGRET" job end >end.out 2>&1
echo $? >end.status
export CURL_CA_BUNDLE=$2/units/ci.runner.one.service/bundle.pem
code https://files.test/f >end.files
cat /proc/self/cgroup | grep ^0 >cgroup.end
# Whoever had its job is no runner: not itself, not what it starts, not an orphan of its own.
"$EGRET" job register --provider generic --worker $$ --label repo=prod --label event=push >more.out 2>&1
echo $? >more.status
bash -c '"$EGRET" job register --provider generic --worker $$ --label repo=prod --label event=push' >child.out 2>&1
echo $? >child.status
(setsid bash -c 'until [ -e orphan.go ]; do sleep 0.03; done
	"$EGRET" job register --provider generic --worker $$ --label repo=prod --label event=push >orphan.out 2>&1
	echo $? >orphan.new; mv orphan.new orphan.status' &)
: >orphan.go # its parent has ended
until [ -e orphan.status ]; do sleep 0.03; done
: >did.end
step exit
WORKER
cat >"$TMP/world/listener.sh" <<'LISTENER'
bash "$1/worker.sh" "$1" "$2" &
echo $! >"$1/worker.pid"
wait
sleep 1000
LISTENER
export EGRET
UNIT_BOUND=("${BOUND[@]}")
start_runner() {
	rm -f "$TMP"/world/order.* "$TMP"/world/did.*
	# shellcheck disable=SC2016
	spawn in_host "${UNIT_BOUND[@]}" bash -c 'echo $$ >"$0/cgroup.procs"; exec setpriv --reuid '$UID_RUNNER' --regid '$UID_RUNNER' --clear-groups bash "$1/listener.sh" "$1" "$2"' \
		"$UNIT" "$TMP/world" "$TMP/run"
	RUNNER=$SPAWNED
}
order() {
	: >"$TMP/world/order.$1"
	wait_for "${2:-40}" "[ -e '$TMP/world/did.$1' ]" || fail "the worker did: $1" "$(ls "$TMP/world")"
}
saw() { cat "$TMP/world/$1" 2>/dev/null; }
start_runner
order before
is "$(saw before.files)" 200 "before registration: what the unit's policy allows"
is "$(saw before.api)" 403 "and nothing else"
is "$(saw before.socket)" open "a connection stands"
order register
is "$(saw registered.status)" 0 "the registrar registers" || diag "$(saw registered.err)"
name=$(jq -r .id "$TMP/world/registered.json")
like "$name" '^j-' "and gets the job's name"
isnt "$(saw again.status)" 0 "a second registration from inside is refused"
like "$(saw again.out)" "$name already" "in words"
like "$(saw cgroup.after)" "/ci.runner.one.service/$name" "the worker is in a fresh cgroup below its unit"
like "$(cat "/proc/$(saw child.pid)/cgroup")" "$name" "and so is what it started before"
unlike "$(cat "/proc/$RUNNER/cgroup")" "$name" "the listener is not"
is "$(saw after.socket)" '' "the connection from before is dead"
is "$(saw after.files)" 403 "the unit's policy is not the job's"
is "$(saw after.api)" 200 "the job's is"
is "$(jobs_json | jq -r ".[] | select(.id==\"$name\") | .members | length")" 1 "one line in the list, one member"
is "$(jobs_json | jq -r ".[] | select(.id==\"$name\") | .assurance")" runner "facts said by the runner"
child=$(saw child.pid)
order end
is "$(saw end.status)" 0 "the job ends by its hook"
t "the worker lives on" kill -0 "$(saw worker.pid)"
t "what it left behind is killed" wait_for 5 "! kill -0 $child"
like "$(saw cgroup.end)" '/ci.runner.one.service$' "the worker is back in its unit"
is "$(saw end.files)" 200 "under the unit's policy"
like "$(saw more.status) $(saw more.out)" '^[1-9].*registered once' "it registers no other job with other facts"
like "$(saw child.status) $(saw child.out)" '^[1-9].*registered once' "nor does what it starts"
like "$(saw orphan.status) $(saw orphan.out)" '^[1-9].*does not descend' "nor an orphan of it"
t "the list has it no more" wait_for 10 "! jobs_json | grep -q $name"
t "its cgroup is gone" wait_for 5 "[ ! -e '$UNIT/$name' ]"

# ---- egretd is killed in the middle; the worker's death ends the job ----
echo 1 >"$UNIT/cgroup.kill"
wait_for 5 "grep -q 'populated 0' '$UNIT/cgroup.events'"
rmdir "$UNIT"
t "a unit that is gone is no job" wait_for 5 "[ \"\$(jobs_json | jq length)\" = 0 ]"
mkdir "$UNIT"
wait_for 10 "jobs_json | jq -e '.[] | select(.state==\"running\")' >/dev/null"
start_runner
order before
order register
name=$(jq -r .id "$TMP/world/registered.json")
kill -9 "$DAEMON"
wait "$DAEMON" 2>/dev/null
daemon_start
is "$(jobs_json | jq -r "[.[] | select(.state==\"running\")] | length")" 2 "another egretd takes up the job and the unit"
is "$(jobs_json | jq -r ".[] | select(.id==\"$name\") | .members[0] | .kind + \" \" + .state")" "worker served" "with its members"
# shellcheck disable=SC2016
is "$(in_host "${BOUND[@]}" bash -c 'echo $$ >"$0/cgroup.procs"; curl -sS --cacert "$1" --max-time 20 -o /dev/null -w "%{http_code}" https://api.test/hello.txt' "$UNIT/$name" "$TMP/run/jobs/$name/bundle.pem")" 200 "which are served"
kill -9 "$(saw worker.pid)"
t "the worker's death ends the job" wait_for 10 "! jobs_json | grep -q $name"
like "$(stream | jq -r 'select(.kind=="job.end") | .kind' | head -n 1)" job.end "with an event"

# ---- who may not ----
# shellcheck disable=SC2016
as_runner() { in_host "${BOUND[@]}" bash -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$UNIT" "$@"; }
like "$(as_runner setpriv --reuid 61235 --clear-groups "$EGRET" job register --worker parent --label repo=web 2>&1)" 'not the registrar' "another uid of the unit is no registrar"
like "$(in_host setpriv --reuid $UID_RUNNER --clear-groups "$EGRET" job register --worker parent --label repo=web 2>&1)" 'no managed unit' "nor is the registrar outside of its unit"
like "$(as_runner setpriv --reuid $UID_RUNNER --clear-groups "$EGRET" job register --worker "$DAEMON" --label repo=web 2>&1)" 'managed unit|ancestor' "nor for a process that is not its own"
# ---- a unit that is held until an administrator attaches it ----
daemon_stop
daemon_config "\"managed\": [ { \"unit\": \"held.service\", \"unregistered\": \"hold\" } ]"
daemon_start
HELD=$SLICE/held.service
mkdir "$HELD"
at_exit 'echo 1 >"$HELD/cgroup.kill"; wait_for 5 "grep -q \"populated 0\" $HELD/cgroup.events"; rmdir "$HELD"'
# shellcheck disable=SC2016
spawn in_host "${BOUND[@]}" bash -c 'sleep 1; echo $$ >"$0/cgroup.procs"; exec sh -c "until [ -e \"$1\" ]; do sleep 0.1; done
	curl -sS --max-time 20 --cacert \"$1\" -o /dev/null -w \"%{http_code}\" https://api.test/hello.txt >\"$2\"; exec sleep 1000"' \
	"$HELD" "$TMP/held.pem" "$TMP/held.out"
held=$SPAWNED
t "what a held unit starts is stopped" wait_for 20 "grep -q '^State:.*T' /proc/$held/status"
held_job=$("$EGRET" attach --cgroup "$HELD" --label repo=web --label event=push 2>"$TMP/held.err")
like "$held_job" '^j-' "it is attached" || diag "$(cat "$TMP/held.err")"
like "$(stream | jq -r "select(.kind==\"admin.job\" and .message==\"attach held.service to $held_job\") | \"\(.process.uid) \(.process.comm)\"")" '^0 egret$' "with an event: who did it, and by what"
cp "$TMP/run/jobs/$held_job/bundle.pem" "$TMP/held.pem"
t "and goes on" wait_for 60 "[ \"\$(cat '$TMP/held.out')\" = 200 ]"
is "$("$EGRET" job show --json "$held_job" | jq -r '.members[0] | .kind + " " + .id')" 'cgroup held.service' "as a member of its job"

# ---- what an attached process brought with it ----
PLAIN=$SLICE/plain
mkdir "$PLAIN"
at_exit 'echo 1 >"$PLAIN/cgroup.kill"; wait_for 5 "grep -q \"populated 0\" $PLAIN/cgroup.events"; rmdir "$PLAIN"'
cat >"$TMP/world/brought.sh" <<'BROUGHT'
trap "" PIPE
cd "$1"
ask() { printf 'GET / HTTP/1.0\r\n\r\n' >&8 && timeout 3 head -c 4 <&8; }
exec 8<>/dev/tcp/198.51.100.10/443
exec 9<>/dev/tcp/198.51.100.10/443
{ exec 7<&8 8<&9; ask; } >brought.before 2>/dev/null # one is used now, the other later
exec 8<&7
: >brought.ready
until [ -e brought.go ]; do sleep 0.03; done
ask >brought.after 2>/dev/null
: >brought.done
sleep 1000
BROUGHT
rm -f "$TMP"/world/brought.{ready,go,done}
spawn in_host "${BOUND[@]}" bash "$TMP/world/brought.sh" "$TMP/world"
brought=$SPAWNED
t "a process outside has connections" wait_for 10 "[ -e '$TMP/world/brought.ready' ]"
is "$(saw brought.before)" HTTP "which work"
echo "$brought" >"$PLAIN/cgroup.procs"
like "$("$EGRET" attach --cgroup "$PLAIN" --label repo=web --label event=push 2>&1)" '^j-' "it is moved into a cgroup below the slice, and that is attached"
: >"$TMP/world/brought.go"
wait_for 10 "[ -e '$TMP/world/brought.done' ]"
is "$(saw brought.after)" '' "what it brought with it is dead"

daemon_config "\"managed\": [ { \"unit\": \"ci.runner.*.service\", \"registrar\": $UID_RUNNER } ]"
like "$("$EGRET" doctor --config "$TMP/egret.json")" "jobs of ci\.runner\.\*\.service \(uid $UID_RUNNER\) are confined" "doctor says what its jobs would be"
echo '{ "managed": [ { "unit": "ci.runner.*.service", "registrar": "root" } ] }' >"$TMP/rootrunner.json"
like "$("$EGRET" doctor --config "$TMP/rootrunner.json")" 'cooperative: their user runs as root' "and why not"

# ---- a unit that leaves its processes the capabilities for packet sockets ----
if "$EGRET" status --json | jq -e '.walls | split(" ") | index("lsm")' >/dev/null; then
	skip "a unit without a bounding set is refused" "the LSM wall stands here"
else
	daemon_stop
	daemon_start
	rm -f "$TMP"/world/{before.*,registered.*}
	[ -d "$UNIT" ] || mkdir "$UNIT"
	UNIT_BOUND=(env)
	start_runner
	order before
	order register
	isnt "$(saw registered.status)" 0 "a worker whose unit has no bounding set is not registered"
	like "$(saw registered.err)" "process $(saw worker.pid) could open packet sockets.*CapabilityBoundingSet=~CAP_NET_RAW CAP_NET_ADMIN CAP_SYS_ADMIN" "it is said what to do"
	t "the worker lives" kill -0 "$(saw worker.pid)"
	is "$(jobs_json | jq length)" 0 "no job of it is left"
	echo 1 >"$UNIT/cgroup.kill"
	wait_for 5 "grep -q 'populated 0' '$UNIT/cgroup.events'"
	rmdir "$UNIT" && mkdir "$UNIT"
	UNIT_BOUND=(setpriv --no-new-privs)
	start_runner
	order before
	order register
	is "$(saw registered.status)" 0 "with no_new_privs it is" || diag "$(saw registered.err)"
	# An administrator attaches what runs on the host's network.
	mkdir "$SLICE/plain2"
	at_exit 'echo 1 >"$SLICE/plain2/cgroup.kill"; wait_for 5 "grep -q \"populated 0\" $SLICE/plain2/cgroup.events"; rmdir "$SLICE/plain2"'
	# shellcheck disable=SC2016
	spawn in_host bash -c 'echo $$ >"$0/cgroup.procs"; exec sleep 1000' "$SLICE/plain2"
	wait_for 5 "grep -q $SPAWNED '$SLICE/plain2/cgroup.procs'"
	like "$("$EGRET" attach --cgroup "$SLICE/plain2" --label repo=web --label event=push 2>&1)" "must not be able to open packet sockets.*process $SPAWNED" "what could is not attached on the host's network"
	t "and lives" kill -0 $SPAWNED
	# The same of a unit that has a policy of its own: it is refused as a whole.
	daemon_stop
	daemon_config "\"managed\": [ { \"unit\": \"loose.service\", \"unregistered\": \"policy:runner\" } ]"
	daemon_start
	mkdir "$SLICE/loose.service"
	at_exit 'echo 1 >"$SLICE/loose.service/cgroup.kill"; wait_for 5 "grep -q \"populated 0\" $SLICE/loose.service/cgroup.events"; rmdir "$SLICE/loose.service"'
	t "an empty unit is a job" wait_for 10 "jobs_json | jq -e '.[] | select(.state==\"running\" and .facts.unit==\"loose.service\")'"
	# shellcheck disable=SC2016
	spawn in_host bash -c 'echo $$ >"$0/cgroup.procs"; exec sleep 1000' "$SLICE/loose.service"
	t "and none with a process that could" wait_for 15 "[ \"\$(jobs_json | jq length)\" = 0 ]"
	like "$(grep loose.service "$TMP/egretd.log")" "loose.service is refused: process $SPAWNED could open packet sockets" "it is said why"
	kill -9 $SPAWNED
	t "when that has ended it is one again" wait_for 10 "jobs_json | jq -e '.[] | select(.state==\"running\" and .facts.unit==\"loose.service\")'"
fi
daemon_stop
done_testing
