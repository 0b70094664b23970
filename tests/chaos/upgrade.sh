#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 65 s
# timeout: 400
# An upgrade in place under jobs that work: 20 long streams, 220 requests a second on old and on new connections, a runner's
# registered worker, callers of the control socket. No request fails, no stream breaks, one event sequence. Then the same across two
# versions of the kernel's tables; what must be refused; new binaries that are no good; either egretd killed or stopped at each step.
# UPGRADES=100 (make soak): as many in a row, and the rate must have been held: 200 a second at least.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need jq bpftool setpriv
UPGRADES=${UPGRADES:-5}
for one in points abi3; do
	[ -x "$BUILD/$one/bin/egretd" ] || { echo "not ok 1 - build/$one/bin/egretd is not built: make upgrade-build"; echo 1..1; exit 1; }
done
# Streams that last as long as the test does: what came is compared with what lies there.
NGINX_OWN=files.test
NGINX_EXTRA=$(server files.test "$GOOD:443 ssl" good "limit_rate 24k;")
origins_up
head -c 100000000 /dev/urandom >"$TMP/www/files.test/long"

# egretd runs from a tree of the test's own, where a new version is a new file.
mkdir -p "$TMP/tree"
for one in "$BUILD"/bin/egret-*; do cp "$one" "$TMP/tree/"; done
put() { # file, name: as a package manager does
	cp "$1" "$TMP/tree/.new" && chmod 755 "$TMP/tree/.new" && mv "$TMP/tree/.new" "$TMP/tree/$2"
}
put "$BUILD/bin/egretd" egretd
EGRETD=$TMP/tree/egretd
at_exit 'put "$BUILD/abi3/bin/egretd" egretd' # what sweeps up knows the newest tables
export EGRET_TEST_POINT=$TMP/point
UID_RUNNER=61237
daemon_config "\"managed\": [ { \"unit\": \"ci.runner.*.service\", \"registrar\": $UID_RUNNER } ]"
installed load '"allow": "GET https://api.test/**"' '"allow": "GET https://files.test/**"'
installed web '"allow": "GET https://api.test/**"'
daemon_start || done_testing
PINS=/sys/fs/bpf/egret/$(egret_instance "$TMP/run")
serving() { # not the short-lived children that try the walls
	local p
	for p in $(egret_pids egretd); do
		[ "$(cat "/proc/$(awk '/^PPid/ { print $2 }' "/proc/$p/status")/comm")" = egretd ] || { echo "$p"; return; }
	done 2>/dev/null
}
serves() { "$EGRET" status >/dev/null 2>&1; }

# ---- the load ----

: >"$TMP/go"
cat >"$TMP/load.sh" <<'SH'
#!/bin/bash
# Streams end by a signal; requests are begun until the file `go` is gone, a line for each.
cd "$1" || exit 1
./paced https://api.test/hello.txt 180 40 . >paced.said 2>>errors &
paced=$!
for i in {1..20}; do (curl -sS -o "stream.$i" https://files.test/long 2>>errors; echo "$i: $?" >>streams.ended) & done
wait $paced
kill $(jobs -p) && pkill -P "$(jobs -p | paste -sd,)" 2>/dev/null
wait
exit 7
SH
chmod 755 "$TMP/load.sh"
mkdir "$TMP/out" && chmod 777 "$TMP/out" && : >"$TMP/out/go"
cp "$BUILD/tests/e2e/paced" "$TMP/out/"
paced() { cat "$TMP"/out/codes.kept "$TMP"/out/codes.new | wc -l; }
JOB_OPTS=(--label repo=load --label event=push)
JOB_TIMEOUT=$((900 + 15 * UPGRADES)) daemon_job "$TMP/load.sh" "$TMP/out" >"$TMP/job.out" 2>&1 &
load_pid=$!
t "the load runs" wait_for 60 "[ \$(ls -1 $TMP/out/stream.* | wc -l) = 20 ] && grep -q 200 $TMP/out/codes.new"

# A worker that registers itself and then asks.
UNIT=$(findmnt -nt cgroup2 -o TARGET | head -n 1)/egret-$(egret_instance "$TMP/run").slice/ci.runner.one.service
mkdir "$UNIT"
at_exit 'echo 1 >"$UNIT/cgroup.kill"; wait_for 5 "grep -q \"populated 0\" $UNIT/cgroup.events"; rmdir "$UNIT"/j-* "$UNIT"'
cat >"$TMP/worker.sh" <<'SH'
cd "$1"
"$EGRET" job register --provider generic --worker parent --label repo=web --label event=push --json >registered.json 2>registered.err || exit 1
export CURL_CA_BUNDLE=$(jq -r .trust_dir registered.json)/bundle.pem
while [ -e go ]; do curl -s --max-time 20 -o /dev/null -w '%{http_code}\n' https://api.test/hello.txt >>codes.worker; done
: >did.worker
sleep 1000
SH
export EGRET
# shellcheck disable=SC2016
spawn in_host "${BOUND[@]}" bash -c 'echo $$ >"$0/cgroup.procs"; exec setpriv --reuid '$UID_RUNNER' --regid '$UID_RUNNER' --clear-groups bash -c "bash $1 $2; :"' \
	"$UNIT" "$TMP/worker.sh" "$TMP/out"
t "a worker is registered and asks" wait_for 20 "grep -q 200 $TMP/out/codes.worker" || diag "$(cat "$TMP/out/registered.err")"

# Callers: what they ask during an upgrade waits, and is answered.
callers() {
	local n=0 bad=0
	while [ -e "$TMP/go" ]; do
		n=$((n + 1))
		"$EGRET" status >"$TMP/caller.out" 2>&1 || { bad=$((bad + 1)); cat "$TMP/caller.out" >>"$TMP/caller.err"; }
		sleep 0.02
	done
	echo "$n $bad" >"$TMP/callers"
}
starters() { # jobs that begin and end meanwhile
	local n=0 bad=0
	while [ -e "$TMP/go" ]; do
		n=$((n + 1))
		[ "$(daemon_job curl -s --max-time 20 -o /dev/null -w '%{http_code}' https://api.test/hello.txt 2>>"$TMP/starter.err")" = 200 ] || bad=$((bad + 1))
	done
	echo "$n $bad" >"$TMP/starters"
}
callers &
callers_pid=$!
starters &
starters_pid=$!
PIDS+=("$callers_pid" "$starters_pid")

progs() { # the programs of the links, by name of the pin; a tracing link takes no other program, and is made anew
	bpftool -jf link show | jq -r --arg in "$1/link_egret_" '.[] | select(.type == "cgroup") | "\(.pinned[]? | select(startswith($in))) \(.prog_id)"' | sort
}
upgrade() { "$EGRET" upgrade 2>&1; }
took_over() { # what, the one before
	local pid
	pid=$(serving)
	isnt "$pid" "$1" "$2: another egretd serves"
}
goes_on() { # what, a word of the answer, [command instead of egret upgrade]
	local pid before said folder
	pid=$(serving) folder=$(ls "$PINS")
	before=$(progs "$PINS/$folder")
	said=$(upgrade) && fail "$1: the upgrade fails" "$said" || like "$said" "$2" "$1: the answer says why"
	is "$(serving) $(ls "$PINS") $(progs "$PINS/$folder" | md5sum)" "$pid $folder $(md5sum <<<"$before")" "$1: the same egretd serves with its own programs"
	t "$1: it answers" serves
}
failed_requests() { cat "$TMP"/out/codes.* | grep -vc '^200$'; }

# ---- one after the other ----

slow=0 first=$(paced) begun=$(now_ms)
for ((i = 1; i <= UPGRADES; i++)); do
	pid=$(serving)
	before=$(progs "$PINS/v2")
	[ $i != 2 ] || { put "$BUILD/bin/egret-audit" egret-audit; put "$BUILD/bin/egret-broker" egret-broker; services=$(egret_pids egret-audit; egret_pids egret-broker); }
	at=$(now_ms)
	said=$(upgrade) || { fail "upgrade $i" "$said"$'\n'"$(tail -n 5 "$TMP/egretd.log")"; break; }
	took=$(($(now_ms) - at))
	[ $took -le $slow ] || slow=$took
	[ "$(serving)" != "$pid" ] || { fail "upgrade $i: another egretd serves"; break; }
	[ "$(progs "$PINS/v2")" != "$before" ] || { fail "upgrade $i: the links have other programs"; break; }
	if [ $i = 2 ]; then
		t "replaced on disk: audit and broker are started anew" wait_for 20 "! grep -qx '${services%%$'\n'*}' <(egret_pids egret-audit) && ! grep -qx '${services##*$'\n'}' <(egret_pids egret-broker) && serves"
	fi
done
is "$((i - 1))" "$UPGRADES" "$UPGRADES upgrades, the slowest in $slow ms"
is "$(failed_requests)" 0 "no request failed"
took=$(($(now_ms) - begun)) served=$(($(paced) - first))
diag "$UPGRADES upgrades in $took ms: $served paced requests served meanwhile, $((served * 1000 / took)) a second of 220; worker's $(wc -l <"$TMP/out/codes.worker")"
[ "$UPGRADES" -lt 100 ] || t "at least 200 requests a second were served meanwhile" [ $((served * 1000 / took)) -ge 200 ]
# From here on with places to be killed at, and less patience.
put "$BUILD/points/bin/egretd" egretd
pid=$(serving)
kill -USR1 "$pid"
t "SIGUSR1 is an upgrade too" wait_for 60 "[ -n \"\$(serving)\" ] && [ \"\$(serving)\" != $pid ] && serves"

# ---- the next version of the tables ----

put "$BUILD/abi3/bin/egretd" egretd
for at in new-loaded new-adopted new-attached new-serving; do
	echo "$at kill" >"$EGRET_TEST_POINT"
	goes_on "tables of another shape, killed at $at" "status 137|died while"
done
rm "$EGRET_TEST_POINT"
is "$(failed_requests)" 0 "no request failed"
pid=$(serving)
like "$(upgrade)" serves "to tables of another shape" || diag "$(tail -n 5 "$TMP/egretd.log")"
took_over "$pid" "tables of another shape"
t "their folder is the only one" wait_for 5 "[ \"\$(ls $PINS)\" = v3 ]"
is "$(progs "$PINS/v3" | wc -l)" "$(wc -l <<<"$before")" "with every link"
is "$(failed_requests)" 0 "no request failed"
pid=$(serving)
like "$(upgrade)" serves "and again, within that version"
took_over "$pid" "again"
rm "$TMP/go"
wait "$callers_pid" "$starters_pid"
is "$(cut -d' ' -f2 "$TMP/callers")" 0 "every caller was answered ($(cut -d' ' -f1 "$TMP/callers"))" || diag "$(head -n 5 "$TMP/caller.err")"
is "$(cut -d' ' -f2 "$TMP/starters")" 0 "every job that was begun did its work ($(cut -d' ' -f1 "$TMP/starters"))" || diag "$(head -n 5 "$TMP/starter.err")"

# ---- what is refused, and goes on ----

put "$BUILD/points/bin/egretd" egretd
goes_on "an older version" "newer egret"
kill -9 "$(serving)"
said=$(in_host timeout 20 "$EGRETD" --config "$TMP/egret.json" 2>&1)
is "$? $(ls "$PINS")" "1 v3" "started over the newer folder it ends"
like "$said" "newer egret.*start that version again" "in a sentence"
put "$BUILD/abi3/bin/egretd" egretd
daemon_start
t "the newer one takes the jobs up" wait_for 10 "[ \$('$EGRET' job list --json | jq '[.[] | select(.state==\"running\")] | length') = 2 ]"
printf '#!/bin/sh\nexit 3\n' >"$TMP/bad"
put "$TMP/bad" egretd
goes_on "a binary that ends" "status 3"
printf '#!/bin/sh\nexec sleep 1000\n' >"$TMP/bad"
put "$TMP/bad" egretd
goes_on "a binary that hangs" "in time"
rm "$TMP/tree/egretd"
goes_on "no binary" "status 127"
put "$BUILD/abi3/bin/egretd" egretd
cp "$TMP/egret.json" "$TMP/egret.good"
echo '{ "state_dir": 7 }' >"$TMP/egret.json"
goes_on "a broken configuration" "state_dir"
jq ".state_dir = \"$TMP/state2\"" "$TMP/egret.good" >"$TMP/egret.json"
goes_on "another state_dir" "needs a restart"
cp "$TMP/egret.good" "$TMP/egret.json"

# ---- killed at each step ----

for at in new-started new-go new-attached; do
	echo "$at kill" >"$EGRET_TEST_POINT"
	goes_on "killed at $at" "status 137|died while"
done
for at in new-loaded new-attached; do
	echo "$at stop" >"$EGRET_TEST_POINT"
	goes_on "stopped at $at" "in time"
done
is "$(failed_requests)" 0 "no request failed"
for at in old-parked old-gone old-serving old-leaving new-yours; do
	echo "$at kill" >"$EGRET_TEST_POINT"
	pid=$(serving)
	said=$(upgrade)
	# What the CLI was answered can come before the point.
	if [ $at = old-leaving ]; then
		t "killed at $at: the new one serves" wait_for 10 "serves && [ \"\$(serving)\" != $pid ]"
		: >"$EGRET_TEST_POINT"
		continue
	fi
	t "killed at $at: no egretd is left" wait_for 20 "[ -z \"\$(serving)\" ]"
	: >"$EGRET_TEST_POINT"
	daemon_start
	t "killed at $at: started again it knows its jobs" wait_for 10 "[ \$('$EGRET' job list --json | jq '[.[] | select(.state==\"running\")] | length') = 2 ]"
done
is "$(failed_requests)" 0 "no request failed"

# ---- the end ----

for i in {1..20}; do stat -c %s "$TMP/out/stream.$i"; done >"$TMP/sizes"
t "all streams go on" wait_for 10 "[ \$(paste -d' ' $TMP/sizes <(for i in {1..20}; do stat -c %s $TMP/out/stream.\$i; done) | awk '\$2 > \$1' | wc -l) = 20 ]"
is "$(cat "$TMP/out/streams.ended" 2>/dev/null)" '' "none has ended"
sleep 0.5 # requests after the last step
rm "$TMP/out/go"
wait "$load_pid"
is "$?" 7 "the job's command ends by itself, and its status comes" || diag "$(tail -n 3 "$TMP/job.out")"
t "the worker did its work" wait_for 20 "[ -e $TMP/out/did.worker ]"
diag "$(cat "$TMP/out/paced.said")"
is "$(failed_requests)" 0 "of $(cat "$TMP"/out/codes.* | wc -l) requests none failed" || diag "$(sort "$TMP/out/errors" | uniq -c | head -n 5)"
for i in {1..20}; do cmp -n "$(stat -c %s "$TMP/out/stream.$i")" "$TMP/out/stream.$i" "$TMP/www/files.test/long" || echo "$i"; done >"$TMP/differ" 2>&1
is "$(cat "$TMP/differ")" '' "what the streams brought is what lies there ($(du -sk --apparent-size "$TMP/out" | cut -f1) KiB)"
kill -TERM "$(serving)"
t "egretd ends" wait_for 20 "[ -z \"\$(serving)\" ]"
stream >"$TMP/stream"
is "$(jq -r .seq "$TMP/stream" | awk 'NR > 1 && $1 != was + 1 { print was " then " $1 } { was = $1 }' | head -n 3)" '' "one sequence without a gap ($(wc -l <"$TMP/stream") events)"
is "$(jq -r 'select(.kind=="lost" or .kind=="alert") | .message' "$TMP/stream" | head -n 3)" '' "nothing was lost"
asked=$(origin_count '^api\.test ') records=$(jq -c 'select(.kind=="http.request" and .verdict=="allow" and (.http.url | contains("//api.test")))' "$TMP/stream" | wc -l)
is "$asked" "$records" "the origin was asked as often as the log allows"
done_testing
