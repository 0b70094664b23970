#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who has a secret in memory: a value of the store, an OAuth client's secret, the token that is minted with it, a file's value. While a job
# uses them only those processes that send them; after the job's end nobody. Not in any environment, argument, log or event, and who holds one leaves no
# core dump.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
[ -z "${EGRET_ASAN:-}" ] || skip_all "the sanitizer's shadow memory is terabytes to read"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
NAMES+=' id.test' NGINX_OWN=id.test
minted=tok-$(openssl rand -hex 20) client=client-$(openssl rand -hex 20) stored=stored-$(openssl rand -hex 20) filed=filed-$(openssl rand -hex 20)
NGINX_EXTRA="server { listen $GOOD:443 ssl; server_name id.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key; access_log off;
	location = /token { default_type application/json; return 200 '{\"access_token\":\"$minted\",\"token_type\":\"Bearer\",\"expires_in\":600}'; }
	location = /revoke { return 200 ''; } }"
origins_up
daemon_config
installed memory '"allow": "GET https://api.test/hello.txt", "credential": "minted"' '"allow": "GET https://api.test/echo", "credential": "stored"' \
	'"allow": "GET https://files.test/**", "credential": "filed"'
cred() { # name, host, members
	printf '{ "name": "%s", "for": "any", "tier": "any", "hosts": ["%s"], "inject": { "header": "Authorization", "format": "Bearer {token}" }, %s }' "$@" >"$TMP/credentials/$1.json"
}
cred minted api.test '"provider": "oauth2", "token_url": "https://id.test/token", "revoke_url": "https://id.test/revoke", "grant": "client_credentials", "client_id": "egret", "client_secret": "store:client"'
cred stored api.test '"provider": "store", "value": "store:value"'
cred filed files.test "\"provider\": \"file\", \"path\": \"$TMP/value\""
printf %s "$filed" >"$TMP/value" && chmod 600 "$TMP/value"
echo f >"$TMP/www/files.test/f"
printf %s "$client" | "$EGRET" secret set client
printf %s "$stored" | "$EGRET" secret set value
daemon_start || done_testing
JOB_OPTS=(--label repo=memory --label event=push)
: >"$TMP/pause"
daemon_job bash -c "for u in https://api.test/hello.txt https://api.test/echo https://files.test/f; do curl -sS --max-time 20 -o /dev/null -w '%{http_code} ' \$u >>'$TMP/codes'; done
	touch '$TMP/here'; while [ -e '$TMP/pause' ]; do sleep 0.05; done" >"$TMP/job.out" 2>&1 &
running=$!
t "the job came to its pause" wait_for 30 "[ -e '$TMP/here' ]"
is "$(cat "$TMP/codes")" '200 200 200 ' "it was served with all three"
is "$(origin_log | cut -d' ' -f6- | grep -c "$minted\|$stored\|$filed")" 3 "the origins had each value"

whose() { # value: names of the processes below this host's namespace, and of the job, that have it
	local p
	for p in $(ip netns pids "$HOSTNS") $(grep -lzF "EGRET_RUN_DIR=$TMP/run" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3) $(egret_pids egret-provider); do
		[ "$p" != $$ ] && [ "$(cat "/proc/$p/comm" 2>/dev/null)" != nginx ] || continue
		printf %s "$1" | "$(helper scan)" "$p" >/dev/null 2>&1
		[ $? != 1 ] || cat "/proc/$p/comm" 2>/dev/null # 2: it has ended
	done | sort -u | tr '\n' ' '
}
# The search finds what is there.
planted=planted-$(openssl rand -hex 20)
printf %s "$planted" >"$TMP/planted"
spawn in_host python3 -c "import sys, time; v = open('$TMP/planted').read(); open('$TMP/holds', 'w'); time.sleep(120)"
t "a process that holds a planted value is there" wait_for 10 "[ -e '$TMP/holds' ]"
is "$(whose "$planted")" 'python3 ' "the search finds it, and there alone"
kill "$SPAWNED"
unlike "$(whose "$client")" 'egretd|proxy|audit|init|compile|bash|sleep|curl' "the client's secret: nobody but the broker and who asks the provider"
unlike "$(whose "$minted")" 'egretd|audit|init|compile|bash|sleep|curl' "the minted token: nobody but broker, provider's process and proxy"
like "$(whose "$minted")" 'egret-(broker|proxy)' "who uses it has it"
unlike "$(whose "$stored")" 'egretd|audit|provider|init|compile|bash|sleep|curl' "the store's value: nobody but broker and proxy"
unlike "$(whose "$filed")" 'egretd|audit|provider|init|compile|bash|sleep|curl' "the file's value: the same; egretd opens the file and does not read it"
for name in egret-broker egret-provider egret-proxy egret-audit; do
	for p in $(egret_pids $name); do
		is "$(stat -c %u "/proc/$p/environ") $(awk '/Max core file size/ { print $5 }' "/proc/$p/limits")" '0 0' "$name: not dumpable, and no core file"
	done
done
printf '%s\n' "$minted" "$client" "$stored" "$filed" >"$TMP/all" # no argument of grep
in_files() { grep -rlaFf "$TMP/all" "$TMP/state" "$TMP/run" "$TMP/egretd.log" "$TMP/job.out" 2>/dev/null; }
is "$(in_files)" '' "no file of egret's, no log, no event has one in the clear"
in_proc() { grep -laFf "$TMP/all" /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; }
is "$(in_proc)" '' "no environment, no argument"
rm "$TMP/pause"
wait "$running"
t "after the job: the minted token is nobody's" wait_for 10 "[ -z \"\$(whose '$minted')\" ]"
for v in stored filed; do t "nor the value $v" wait_for 10 "[ -z \"\$(whose '${!v}')\" ]"; done
t "nor, when the provider's process has been idle, the client's secret" wait_for 50 "[ -z \"\$(whose '$client')\" ]"
is "$(in_files)" '' "nor in any file"
daemon_stop
done_testing
