#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1500
# egretd and its broker are killed at once while processes that ask providers are started, told and asked: none of those is left, unless it
# revokes what nobody else knows of, which takes no longer than its provider's answer. First at the one moment that
# chance does not find, before it was told whom to serve; then ROUNDS (2; 100 in make soak) by chance.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
ROUNDS=${ROUNDS:-2} SEED=${SEED:-$((EPOCHSECONDS % 32768))}
RANDOM=$SEED
diag "SEED=$SEED ROUNDS=$ROUNDS"
NAMES+=' id.test' NGINX_OWN=id.test
NGINX_EXTRA="server { listen $GOOD:443 ssl; server_name id.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key; access_log off;
	location = /token { default_type application/json; return 200 '{\"access_token\":\"minted-\$request_id\",\"token_type\":\"Bearer\",\"expires_in\":600}'; }
	location = /revoke { return 200 ''; } }"
origins_up
daemon_config
installed orphans '"allow": "GET https://api.test/**", "credential": "one"' '"allow": "GET https://files.test/**", "credential": "two"'
for n in one:api two:files; do
	printf '{ "name": "%s", "for": "any", "tier": "any", "hosts": ["%s.test"], "provider": "oauth2", "token_url": "https://id.test/token", "revoke_url": "https://id.test/revoke",
		"grant": "client_credentials", "client_id": "%s", "client_secret": "store:client", "inject": { "header": "Authorization", "format": "Bearer {token}" } }' \
		"${n%:*}" "${n#*:}" "${n%:*}" >"$TMP/credentials/${n%:*}.json"
done
echo a-secret-of-a-client | "$EGRET" secret set client
JOB_OPTS=(--label repo=orphans --label event=push)

# Behind its start, before a word.
daemon_start || done_testing
python3 "$ROOT/tests/chaos/kill_between.py" "$DAEMON" egret-provider $(egret_pids egret-broker) >"$TMP/between" 2>&1 &
tracer=$!
wait_for 10 "grep -q traced '$TMP/between'"
daemon_job curl -s --max-time 5 -o /dev/null https://api.test/hello.txt >/dev/null 2>&1 &
job=$!
wait "$tracer"
is $? 0 "egretd and broker are killed when such a process has been started" || diag "$(cat "$TMP/between")"
wait "$DAEMON" 2>/dev/null
p=$(tail -n 1 "$TMP/between")
t "it ends" wait_for 5 "[ ! -d /proc/$p ]" || { diag "$(grep . "/proc/$p/comm" "/proc/$p/wchan")"; kill -9 "$p"; }
kill -9 $(egret_pids egret-proxy) $(egret_pids egret-audit) 2>/dev/null
wait "$job"

left=0 met=0 longest=0
for ((i = 1; i <= ROUNDS; i++)); do
	daemon_start || break
	daemon_job bash -c 'curl -s --max-time 5 -o /dev/null https://api.test/hello.txt & curl -s --max-time 5 -o /dev/null https://files.test/; wait' >/dev/null 2>&1 &
	job=$!
	# From before the first is started to after the last has answered.
	wait_for 20 '[ -n "$(egret_pids $([ $((i % 4)) = 0 ] && echo egret-proxy || echo egret-provider))" ]'
	sleep "0.$(printf %03d $((RANDOM % 400)))"
	[ -z "$(egret_pids egret-provider)" ] || met=$((met + 1))
	kill -9 "$DAEMON" $(egret_pids egret-broker) 2>/dev/null
	wait "$DAEMON" 2>/dev/null
	start=$(now_ms)
	if ! wait_for "${LEFT_S:-5}" '[ -z "$(egret_pids egret-provider)" ]'; then
		left=$((left + 1))
		for p in $(egret_pids egret-provider); do
			diag "round $i: $p is left, waits in $(cat "/proc/$p/wchan"), sockets: $(ls -l "/proc/$p/fd" | sed -n 's/.* \([0-9]* -> socket.*\)/\1/p' | tr '\n' ' ')"
			kill -9 "$p"
		done
	fi
	took=$(($(now_ms) - start))
	[ $took -le $longest ] || longest=$took
	kill -9 $(egret_pids egret-proxy) $(egret_pids egret-audit) 2>/dev/null
	wait "$job" 2>/dev/null
done
is "$left" 0 "of $ROUNDS rounds ($met with such processes) none left one behind; the longest took $longest ms"
done_testing
