#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Break-glass: jobs of one repository are judged in mode audit for a time said before, jobs that run and jobs that begin; it is an event, stands in
# the status, ends by itself, and ends too when egretd is killed and nobody is there to end it.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
origins_up
daemon_config
installed acme/web '"allow": "GET https://files.test/**"'
installed acme/other '"allow": "GET https://files.test/**"'
daemon_start || exit 1
of() { # repo: the status of what its policy refuses
	JOB_OPTS=(--label "repo=$1" --label event=push)
	daemon_job curl -s -o /dev/null -w '%{http_code}' --max-time 20 https://api.test/hello.txt
}
glass() { in_host "$EGRET" override audit "$@" 2>&1; }

is "$(of acme/web)" 403 "refused by its policy"
is "$(glass --repo acme/web --ttl 25h --reason x; echo $?)" "egret override: an override names a repository, a time of 1s to 24h and a reason of one line, 256 letters at most
1" "a time without a near end is none"
is "$(glass --repo acme/web --reason x >/dev/null; echo $?)" 2 "nor is none at all"
# A job that runs meanwhile.
JOB_OPTS=(--label repo=acme/web --label event=push)
daemon_job bash -c "for i in 1 2 3; do while [ ! -e '$TMP/go.'\$i ]; do sleep 0.05; done
	curl -s -o /dev/null -w '%{http_code}\n' --max-time 20 https://api.test/hello.txt >'$TMP/code.'\$i; touch '$TMP/done.'\$i; done" &
job_pid=$!
go() { touch "$TMP/go.$1"; wait_for 20 "[ -e '$TMP/done.$1' ]" && cat "$TMP/code.$1"; }
is "$(go 1)" 403 "the job that runs is refused"
t "egret override" glass --repo acme/web --ttl 6s --reason "the mirror moved"
begun=$(date +%s%N)
is "$(go 2)" 200 "now it is not"
is "$(of acme/web)" 200 "nor is one that begins"
is "$(of acme/other)" 403 "another repository's job is"
like "$(in_host "$EGRET" status 2>&1)" 'acme/web audit until' "egret status says so"
t "it has ended by itself" wait_for 10 "! '$EGRET' status 2>/dev/null | grep -q 'acme/web audit until'"
t "not before its time" test $(($(date +%s%N) - begun)) -ge 4500000000
is "$(go 3)" 403 "the job that ran is refused again"
wait "$job_pid"
is "$(of acme/web)" 403 "and one that begins"
stream() { cat "$TMP"/state/events*.ndjson; }
is "$(stream | grep admin.override | grep -c 'has begun.*the mirror moved')" 1 "its begin is an event, with the reason"
is "$(stream | grep admin.override | grep -c 'has ended')" 1 "and its end"
like "$(stream | grep admin.override | head -n 1)" '"uid":0' "and who"
like "$(stream | grep http.request)" '"verdict":"would_deny"' "what was let go is would_deny"

# egretd is killed: what runs has its end, and a new egretd goes on with it. Killed again, nobody is left to end it: the end stands in what the
# proxy has, and the egretd after that says that it has ended.
rm -f "$TMP"/go.* "$TMP"/done.* "$TMP"/code.*
# Who asks for this job writes down when it starts an egretd.
mkdir "$TMP/client"
cp "$EGRET" "$TMP/client/egret"
printf '#!/bin/sh\necho "$@" >>"%s/client/started"\nexec "%s" "$@"\n' "$TMP" "$EGRETD" >"$TMP/client/egretd"
chmod 755 "$TMP/client/egretd"
EGRET="$TMP/client/egret" daemon_job bash -c "for i in 1 2; do while [ ! -e '$TMP/go.'\$i ]; do sleep 0.05; done
	curl -s -o /dev/null -w '%{http_code}\n' --max-time 20 https://api.test/hello.txt >'$TMP/code.'\$i; touch '$TMP/done.'\$i; done; exit 7" >/dev/null 2>&1 &
job_pid=$!
t "a job runs" wait_for 20 "'$EGRET' job list 2>/dev/null | grep -q j-"
begun=$(date +%s%N)
like "$(glass --repo acme/web --ttl 15s --reason again)" 'acme|this repository, as the runner says, unsigned, .*any job of a runner that says so is, too' "it says whose word it takes"
is "$(go 1)" 200 "let go"
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
daemon_start || done_testing
like "$(in_host "$EGRET" status 2>&1)" 'acme/web audit until .* by uid 0, as the runner says, unsigned: again' "a new egretd knows of it"
is "$(of acme/web)" 200 "a job that begins has it"
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
is "$(stat -c %a "$TMP/state/overrides")" 600 "what is in force is root's own file"
while [ $(($(date +%s%N) - begun)) -lt 15200000000 ]; do sleep 0.1; done # the time itself is what is tested
is "$(go 2)" 403 "egretd is dead, and it has ended all the same"
wait "$job_pid"
is $? 7 "the job ends with its command's status, two egretd later"
is "$(cat "$TMP/client/started" 2>/dev/null)" "" "and who asked for it starts none of its own: a standing one is its keeper's to start"
# This configuration has an issuer: a repository is for the CI server to say.
daemon_config '"identity": [ { "issuer": "https://issuer.test" } ]'
daemon_start || done_testing
is "$(stream | grep admin.override | grep again | sed 's/.*mode audit \([a-z ,]*\) for jobs.*/\1/' | tr '\n' ';')" \
	"has begun;goes on after a start of egretd;has ended, while no egretd ran,;" "each is an event, its end once"
is "$(in_host "$EGRET" status 2>&1 | grep -c 'audit until')" 0 "none is in force"
like "$(glass --repo acme/web --ttl 5m --reason strict)" 'as its CI server signed, are judged in mode audit$' "with an issuer of identity: for jobs that it signed"
is "$(of acme/web)" 403 "a label does not take it"
glass --repo acme/web --ttl 5m --reason loose --assurance runner >/dev/null
is "$(of acme/web)" 200 "but where the administrator says so"
printf x >>"$TMP/state/overrides"
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
daemon_start || done_testing
is "$(of acme/web)" 403 "a damaged file is no override"
like "$(grep overrides "$TMP/egretd.log")" 'overrides: it is damaged: no override is in force' "and that is told"
daemon_stop
done_testing
