#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A standing egretd: jobs by its policies, reload, what its tools say, and a clean end.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
origins_up
daemon_config
installed web '"allow": "GET https://api.test/**"'
installed other '"allow": "GET https://files.test/**"'
daemon_start || done_testing
code=(curl -sS --max-time 20 -o /dev/null -w '%{http_code} ')
JOB_OPTS=(--label repo=web --label event=push)

is "$(daemon_job "${code[@]}" https://api.test/hello.txt 2>"$TMP/err")" '200 ' "a job by the installed policy that its label names"
unlike "$(cat "$TMP/err")" '^(egretd|egret-)' "no message of the daemon in the job's output"
is "$(daemon_job "${code[@]}" https://files.test/)" '403 ' "and by no other"
JOB_OPTS=(--label repo=nobody --label event=push)
isnt "$(daemon_job true 2>"$TMP/err"; echo $?)" 0 "no policy for a job: refused"
like "$(cat "$TMP/err")" 'polic' "and it is said"
JOB_OPTS=(--label repo=web --label event=push)

t "egret status" "$EGRET" status
like "$("$EGRET" status)" 'egretd|running|version' "egret status says what runs"
t "egret status --json is JSON" bash -c "'$EGRET' status --json | jq -e ."
t "egret doctor" bash -c "'$EGRET' doctor; [ \$? -le 1 ]"
like "$("$EGRET" doctor 2>&1)" 'cgroup2' "egret doctor speaks of cgroup2"

# A job that waits, seen from outside, and a reload under it.
: >"$TMP/pause"
daemon_job bash -c "n=0; while [ -e '$TMP/pause' ]; do n=\$((n+1)); curl -sS --max-time 20 -o /dev/null -w '%{http_code}\n' https://files.test/f >>'$TMP/codes'; touch '$TMP/here'; sleep 0.1; done" &
running=$!
wait_for 20 "[ -e '$TMP/here' ]"
name=$("$EGRET" job list 2>/dev/null | grep -oE 'j-[0-9a-f]+' | head -n 1)
like "$name" '^j-' "egret job list names the job"
like "$("$EGRET" job show "$name" 2>&1)" 'web' "egret job show says its policy"
t "egret job list --json is JSON" bash -c "'$EGRET' job list --json | jq -e ."
is "$(sort -u "$TMP/codes")" 403 "before the reload: refused"
installed web '"allow": "GET https://api.test/**"' '"allow": "GET https://files.test/**"'
echo f >"$TMP/www/files.test/f"
kill -HUP "$DAEMON"
t "SIGHUP: the running job is judged by the new policy" wait_for 15 "tail -n 1 '$TMP/codes' | grep -q 200"
unlike "$(cat "$TMP/egretd.log")" 'passes TLS unopened' "with no word about what its programs trust"
installed web '"allow": "GET https://api.test/**"' '"allow": "GET https://files.test/**"' '"allow": "tls://git.test:443"'
kill -HUP "$DAEMON"
t "a policy that begins to pass TLS unopened: a warning, since the job's programs trust its CA alone" wait_for 10 "grep -q 'job $name: its new policy passes TLS unopened' '$TMP/egretd.log'"
is "$(daemon_job sh -c 'echo "$CURL_CA_BUNDLE"')" /run/egret/bundle.pem "a new job trusts all roots"
echo '{ "version": 1, "name": "web", "rules": [ { "id": "x", "alow": "GET https://api.test/" } ] }' >"$TMP/policies/web.json"
kill -HUP "$DAEMON"
t "a broken file is reported with its place" wait_for 10 "grep -Eq 'web\.json:1:[0-9]+' '$TMP/egretd.log'"
sleep 0.5
is "$(tail -n 1 "$TMP/codes")" 200 "and changes nothing"
installed web '"allow": "GET https://api.test/**"'
t "egret job end" "$EGRET" job end "$name"
wait_for 10 "! kill -0 $running" || fail "the ended job's egret run ends"
wait $running
isnt $? 0 "its exit status says that it was ended"
rm -f "$TMP/pause"

# Events and their tools.
kill -HUP "$DAEMON"
daemon_job curl -sS --max-time 20 -o /dev/null https://evil.test/gone
seq=$(stream | jq -r 'select(.kind=="http.request" and .verdict=="deny" and .http.host=="evil.test" or (.http.url // "" | contains("evil.test/gone"))) | .seq' | tail -n 1)
like "$seq" '^[0-9]+$' "the refusal is in events.ndjson with its number"
like "$("$EGRET" why "$seq" 2>&1)" '"allow": "GET https://evil\.test/gone"' "egret why gives the line to add"
like "$("$EGRET" summary --format markdown 2>&1)" '\|' "egret summary prints a table"
like "$("$EGRET" events --last 3 -o json 2>&1 | tail -n 1)" '^\{.*\}$' "egret events --last"
is "$("$EGRET" events --verdict deny --host evil.test -o json 2>/dev/null | jq -r '.dest.host // .http.host' | sort -u)" evil.test "egret events filters by host"
is "$(stream | jq -r .seq | awk 'NR > 1 && $1 != last + 1 { bad++ } { last = $1 } END { print bad + 0 }')" 0 "numbers in the stream have no gap"
is "$(stream | jq -r .schema | sort -u)" egret.event/1 "every line has the schema"

# What changes while a job is being made is that job's too: the broker stands still until it has changed.
meanwhile() { # shell command: what the job's two requests got
	local broker job
	broker=$(egret_pids egret-broker)
	kill -STOP "$broker"
	daemon_job "${code[@]}" https://api.test/hello.txt https://files.test/f -o /dev/null >"$TMP/out" 2>"$TMP/err" &
	job=$!
	wait_for 20 "'$EGRET' job list --json | jq -e 'any(.[]; .state == \"starting\")' >/dev/null" || fail "a job is being made"
	eval "$1"
	kill -CONT "$broker"
	wait "$job"
	echo "$? $(cat "$TMP/out")"
}
reload() { # and its end is waited for
	local n
	n=$(grep -c 'reload: ' "$TMP/egretd.log")
	kill -HUP "$DAEMON"
	wait_for 20 "[ \$(grep -c 'reload: ' '$TMP/egretd.log') -gt $n ]" || fail "policies were read again"
}
started() { stream | jq -c 'select(.kind == "job.start") | .policy' | tail -n 1; }
is "$(meanwhile true)" '0 200 403 ' "a job that waits for the broker while it is made"
old=$(started)
is "$(meanwhile "installed web '\"allow\": \"GET https://files.test/**\"'; reload")" '0 403 200 ' "its policy changes meanwhile: it is judged by the new one"
new=$(started)
isnt "$new" "$old" "which job.start names"
is "$(meanwhile "'$EGRET' override audit --repo web --ttl 5m --reason x >/dev/null")" '0 200 200 ' "an override begins meanwhile: it is judged so"
is "$(meanwhile "'$EGRET' override audit --repo web --ttl 1s --reason x >/dev/null; wait_for 10 \"'$EGRET' status --json | jq -e '.overrides == \\\"0\\\"' >/dev/null\"")" '0 403 200 ' "it ends meanwhile: it is refused"
is "$(meanwhile "rm '$TMP/policies/web.json'; reload")" '2 ' "no policy is for it any more: it does not begin"
like "$(cat "$TMP/err")" '^egret run: no installed policy is for this job' "and who asked is told why"
installed web '"allow": "GET https://api.test/**"'
reload

# Two daemons on one run_dir, and the end.
isnt "$(in_host timeout 20 "$EGRETD" --config "$TMP/egret.json" >"$TMP/second.log" 2>&1; echo $?)" 0 "a second egretd on the same run_dir is refused"
is "$(wc -l <"$TMP/second.log")" 1 "in one sentence"
daemon_stop
is $? 0 "SIGTERM ends egretd with 0"
t "no process of egret is left" wait_for 5 "[ -z \"\$(ip netns pids '$HOSTNS')\" ]"
is "$(daemon_job "${code[@]}" https://api.test/hello.txt 2>/dev/null)" '200 ' "without a daemon, egret run starts its own on the same state"
done_testing
