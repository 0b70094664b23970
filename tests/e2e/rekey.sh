#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# egret secret rekey: another store key while a job runs. The job is served all the time, what is sealed opens by the new key alone, and
# whoever is killed in between - the broker, egretd - the change is finished by who comes next.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need jq
origins_up
token=tok-$(openssl rand -hex 20)
daemon_config
installed rekeyed '"allow": "GET https://api.test/**", "credential": "key"'
printf '{ "name": "key", "provider": "store", "value": "key-token", "for": "any", "tier": "any", "hosts": ["api.test"], "inject": [ { "header": "Authorization", "format": "Bearer {token}" } ] }' \
	>"$TMP/credentials/key.json"
store=$TMP/state/store key=$TMP/state/keys/store.key

# ---- no daemon ----
printf %s "$token" | "$EGRET" secret set key-token || fail "the secret is stored"
for i in 1 2 3; do printf "value %s" "$i" | "$EGRET" secret set "s$i"; done
cp "$key" "$TMP/key.first"
cp "$store/key-token.sealed" "$TMP/sealed.first"
is "$("$EGRET" secret rekey --json | jq -c .)" '{"ok":true,"sealed":4}' "no daemon: four files are sealed anew"
t "the key is another" bash -c "! cmp -s '$key' '$TMP/key.first'"
is "$(stat -c '%a %u' "$key")" '400 0' "root's alone"
t "nothing of the change is left" test ! -e "$key.new"
t "the file is another" bash -c "! cmp -s '$store/key-token.sealed' '$TMP/sealed.first'"

# ---- a running job ----
daemon_start || done_testing
for i in $(seq 4 60); do printf 'value %s' "$i" | "$EGRET" secret set "s$i"; done
cat >"$TMP/loop.sh" <<'SH'
while [ -e "$1/pause" ]; do
	start=$EPOCHREALTIME
	echo "${start/./} $(curl -s --max-time 8 -o /dev/null -w '%{http_code}' "https://api.test/hello.txt?$start")" >>"$1/codes"
	sleep 0.1
done
SH
: >"$TMP/pause"
JOB_OPTS=(--label repo=rekeyed --label event=push)
daemon_job bash "$TMP/loop.sh" "$TMP" >"$TMP/job.out" 2>&1 &
job_pid=$!
t "the job is served" wait_for 30 "grep -q ' 200' '$TMP/codes'"
served() { wait_for 20 "awk -v t=$1 '\$1 > t { print \$2 }' '$TMP/codes' | grep -qx 200"; }
since() { awk -v t="$1" '$1 > t { print $2 }' "$TMP/codes" | sort -u | tr '\n' ' '; }
now() { echo "${EPOCHREALTIME/./}"; }
cp "$key" "$TMP/key.second"
begun=$(now)
like "$("$EGRET" secret rekey 2>&1)" '^61 files were sealed under the new key' "while it runs: all files"
t "the key is another" bash -c "! cmp -s '$key' '$TMP/key.second'"
t "the job is served" served "$(now)"
is "$(since "$begun")" '200 ' "and was all the time"
is "$("$EGRET" secret list --json | jq '[.[] | select(.size > 0)] | length')" 61 "no secret is lost"
is "$(stream | jq -r 'select(.kind == "admin.secret" and .message == "rekey") | "\(.process.uid) \(.process.comm)"')" '0 egret' "event: who asked, and by what"
is "$(stream | jq -r 'select(.kind == "admin.secret") | .message' | grep -c '^rekeyed')" 1 "event: it is done"

# ---- the CA that egretd keeps of the job opens by the new key: in the next broker, and after egretd died too ----
kill -9 "$(egret_pids egret-broker)"
t "the next broker is there" wait_for 10 "[ -n \"\$(egret_pids egret-broker)\" ]"
kill -9 "$(egret_pids egret-proxy)"
t "broker and proxy killed: the job is served again, by the CA that it trusts" served "$(now)"
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
daemon_start || done_testing
kill -9 "$(egret_pids egret-broker)"
t "egretd started anew, and then another broker" wait_for 10 "[ -n \"\$(egret_pids egret-broker)\" ]"
kill -9 "$(egret_pids egret-proxy)" 2>/dev/null
t "egretd killed too: the same" served "$(now)"
t "the job lives" kill -0 "$job_pid"

# ---- killed in between ----
for who in broker egretd; do
	cp "$key" "$TMP/key.before"
	"$EGRET" secret rekey >"$TMP/out" 2>&1 &
	asked=$!
	wait_for 10 "[ -e '$key.new' ]" || fail "$who: a new key lies beside the old"
	[ $who != broker ] || kill -9 "$(egret_pids egret-broker)"
	[ $who != egretd ] || { kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null; daemon_start || done_testing; }
	wait "$asked"
	t "$who killed in between: the change is finished by itself" wait_for 20 "[ ! -e '$key.new' ]"
	t "the key is another" bash -c "! cmp -s '$key' '$TMP/key.before'"
	kill -9 "$(egret_pids egret-proxy)" 2>/dev/null
	t "the job is served with its credential" served "$(now)"
	is "$("$EGRET" secret list --json | jq '[.[] | select(.size > 0)] | length')" 61 "no secret is lost"
done
like "$(grep -h "Bearer $token" "$TMP/www/access.log" | tail -n 1)" "Bearer $token" "the origin has the token"
rm "$TMP/pause"
wait "$job_pid"
is $? 0 "the job ends by itself"

# ---- the keys before open nothing: the check can fail ----
daemon_stop
cp "$key" "$TMP/key.last"
rm "$key" && cp -p "$TMP/key.second" "$key"
daemon_start || done_testing
daemon_job curl -sS -o /dev/null -w '%{http_code}' https://api.test/hello.txt >"$TMP/out" 2>&1
unlike "$(cat "$TMP/out")" '200' "by an earlier key nothing opens"
daemon_stop
rm "$key" && cp -p "$TMP/key.last" "$key"
daemon_start || done_testing
is "$(daemon_job curl -sS -o /dev/null -w '%{http_code}' https://api.test/hello.txt 2>&1)" 200 "by the last one it does"
daemon_stop
done_testing
