#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A lease from its provider to its end: one a job and credential, shown, counted, revoked by hand and at the job's end, and by the next broker
# when one was killed.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
NAMES+=' id.test' NGINX_OWN=id.test
NGINX_EXTRA="server { listen $GOOD:443 ssl; server_name id.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key; access_log $TMP/www/id.log idp;
	location = /token { default_type application/json; return 200 '{\"access_token\":\"tok-\$request_id\",\"token_type\":\"Bearer\",\"expires_in\":600}'; }
	location = /wrong { default_type application/json; return 401 '{\"error\":\"invalid_client\"}'; }
	location = /revoke { proxy_pass http://$GOOD:8089; } }
	server { listen $GOOD:8089; access_log off; location / { if (-f $TMP/www/down) { return 503; } return 200 ''; } }"
NGINX_EXTRA="log_format idp '\$request_method \$request_uri \$status \$request_body'; $NGINX_EXTRA"
origins_up
config '"groups": { "audit": "65533" }'
mkdir "$TMP/bin" && cp "$EGRET" "$TMP/bin/egret"
as_uid() { # uid and group, egret's words
	(cd / && timeout -k 5 30 nsenter --net="/run/netns/$HOSTNS" setpriv --reuid="$1" --regid="$1" --clear-groups env EGRET_RUN_DIR="$TMP/run" "$TMP/bin/egret" "${@:2}")
}
policy '"allow": "GET https://api.test/**", "credential": "token"'
CREDENTIAL=$TMP/cred.json
cat >"$CREDENTIAL" <<-JSON
	{ "name": "token", "provider": "oauth2", "token_url": "https://id.test/token", "revoke_url": "https://id.test/revoke", "grant": "client_credentials",
	  "client_id": "egret", "client_secret": "store:client", "for": "any", "hosts": ["api.test"],
	  "inject": { "header": "Authorization", "format": "Bearer {token}" } }
JSON
printf '%s' "client-$(openssl rand -hex 8)" | "$EGRET" secret set client
last_auth() { origin_log | tail -n 1 | cut -d' ' -f6-; }
asked() { grep -c "^POST /$1 ${2:-200}" "$TMP/www/id.log" 2>/dev/null; }
running() { # a job that asks once, and again for each file that comes
	rm -f "$TMP"/go.* "$TMP"/done.*
	job bash -c "for i in 1 2 3 4 5; do while [ ! -e '$TMP/go.'\$i ]; do sleep 0.02; done
		[ ! -s '$TMP/go.'\$i ] || break; curl -sS --max-time 20 -o /dev/null https://api.test/hello.txt; touch '$TMP/done.'\$i; done" &
	job_pid=$!
}
go() { : >"$TMP/go.$1" && wait_for 20 "[ -e '$TMP/done.$1' ]"; }
stop() { echo end >"$TMP/go.$1" && wait "$job_pid"; }

running
go 1
token=$(last_auth)
like "$token" '^Bearer tok-' "a token that was made for the job"
go 2
is "$(last_auth)" "$token" "the next request has the same"
is "$(asked token)" 1 "its provider was asked once"
t "egret lease list counts what used it" wait_for 5 "'$EGRET' lease list --json | grep -q '\"requests\": 2'"
list=$("$EGRET" lease list)
like "$list" 'token  job j-[0-9a-f]*  live' "egret lease list names credential and job"
like "$list" 'requests to api.test' "and hosts"
unlike "$list$("$EGRET" lease list --all --json)" "${token#Bearer }" "never the value"
lease=$(sed -n 's/^\(L[0-9a-f]*\) .*/\1/p' <<<"$list")
like "$(as_uid 65533 lease list)" "^$lease " "a member of the audit group sees it"
is "$(as_uid 65533 lease list --json | grep -c "\"$lease\"")" 1 "also as a machine"
unlike "$(as_uid 65532 lease list 2>&1)" "$lease" "another uid does not"
isnt "$(as_uid 65533 lease revoke "$lease" >/dev/null 2>&1; echo $?)" 0 "and the audit group revokes nothing"
like "$("$EGRET" lease revoke "$lease")" '^1 lease: 1 with its provider' "egret lease revoke"
t "its provider hears of it" wait_for 5 '[ "$(asked revoke)" = 1 ]'
like "$("$EGRET" lease list --all)" "$lease.*revoked" "egret lease list --all says so"
is "$("$EGRET" lease revoke "$lease" >/dev/null 2>&1; echo $?)" 1 "once"
go 3
unlike "$(last_auth)" "${token#Bearer }" "a job that needs it again gets another one"
is "$(asked token)" 2 "made anew"
# The broker dies: the job goes on with what it has, and nothing is forgotten.
token=$(last_auth)
broker=$(pgrep -f "^egret-broker" -P "$(cat "$TMP/run/egretd.pid" 2>/dev/null || pgrep -f "egretd.*$TMP/egret.json" | head -n 1)" | head -n 1)
kill -9 "$broker"
t "another broker is there" wait_for 10 "'$EGRET' lease list 2>/dev/null | grep -q live"
go 4
is "$(last_auth)" "$token" "the job's lease is what it was"
stop 5
t "revoked within a second of the job's end" wait_for 1 '[ "$(asked revoke)" = 2 ]'
is "$(asked token)" 2 "no more were made"

# A provider that does not answer: reported, owed by the next egretd, and revoked as soon as it can be.
running
go 1
touch "$TMP/www/down"
stop 2
is "$(asked revoke)" 2 "its provider is down"
t "the failure is an event" wait_for 5 "cat '$TMP'/state/events*.ndjson | grep credential.fail | grep -q 'not revoked: oauth2'"
rm "$TMP/www/down"
running
t "what is owed is paid as soon as it can be" wait_for 10 '[ "$(asked revoke)" = 3 ]'
stop 1
is "$(asked token)" 3 "and nothing was made for nobody"

# By job, by credential, all of them.
running
go 1
owner=$("$EGRET" lease list --json | sed -n 's/.*"job": "\([^"]*\)", "state": "live".*/\1/p')
like "$owner" '^j-[0-9a-f]+$' "whose lease it is"
for which in "--job j-000000000000" "--credential other" "--job $owner --credential other"; do
	# shellcheck disable=SC2086
	is "$("$EGRET" lease revoke $which 2>&1; echo $?)" "egret lease: no lease that lives is meant: egret lease list shows them
1" "egret lease revoke $which: none is meant"
done
is "$("$EGRET" lease revoke --all --job "$owner" >/dev/null 2>&1; echo $?)" 2 "all, and of one job: neither"
n=$(asked revoke) i=2
for which in "--job $owner" "--credential token" "--job $owner --credential token" --all; do
	# shellcheck disable=SC2086
	is "$("$EGRET" lease revoke $which --json)" '{ "ok": true, "leases": 1, "static": 0 }' "egret lease revoke $which"
	n=$((n + 1))
	t "its provider hears of it" wait_for 5 "[ \"\$(asked revoke)\" = $n ]"
	go $i
	i=$((i + 1))
done
wait "$job_pid"
t "the last one, by the job's end" wait_for 5 "[ \"\$(asked revoke)\" = $((n + 1)) ]"

# Down, wrong, slow and with a clock of five minutes ago, side by side in one job: each in words of its own, in the answer and in the stream,
# and nothing is sent.
DIR=$(mktemp -d /usr/libexec/egret-test.XXXXXX) && chmod 755 "$DIR" || exit 1 # /tmp is everyone's to write
at_exit "rm -rf '$DIR'"
printf '#!/bin/sh\nexec /bin/sleep 30\n' >"$DIR/slow"
printf '#!/bin/sh\nprintf "{ \\"value\\": \\"stale-0123456789abcdef\\", \\"expires\\": \\"%%s\\" }" "$(/bin/date -u -d "-5 minutes" +%%FT%%TZ)"\n' >"$DIR/skewed"
chmod 755 "$DIR/slow" "$DIR/skewed"
rules=()
JOB_OPTS=()
CREDENTIAL=
for how in down wrong slow skewed; do
	case $how in
	slow) by="\"provider\": \"exec\", \"argv\": [\"$DIR/slow\"], \"timeout\": \"1s\"" ;;
	skewed) by="\"provider\": \"exec\", \"argv\": [\"$DIR/skewed\"]" ;;
	*) by="\"provider\": \"oauth2\", \"token_url\": \"https://id.test$([ $how = wrong ] || echo :445)/$how\", \"grant\": \"client_credentials\", \"client_id\": \"egret\", \"client_secret\": \"store:client\"" ;;
	esac
	printf '{ "name": "%s", %s, "for": "any", "hosts": ["api.test"], "inject": { "header": "Authorization", "format": "Bearer {token}" } }' $how "$by" >"$TMP/$how.json"
	JOB_OPTS+=(--credential "$TMP/$how.json")
	rules+=("\"allow\": \"GET https://api.test/$how\", \"credential\": \"$how\"")
done
policy "${rules[@]}"
before=$(origin_count '/(down|wrong|slow|skewed) ')
job bash -c 'for how in down wrong slow skewed; do curl -sS --max-time 30 --http1.1 -i -o "$0/said.$how" "https://api.test/$how" & done; wait' "$TMP"
stream=$(cat "$TMP"/state/events*.ndjson)
while read -r how why; do
	like "$(grep -a " credential $how " "$TMP/said.$how")" "could not get credential $how \\($why.*the request was not sent" "a provider that is $how: the answer says so"
	like "$(grep '"credential.fail"' <<<"$stream" | grep "\"name\":\"$how\"")" "$why" "and its event"
done <<-END
	down oauth2: .*[Cc]onnect.* at id.test:445/down
	wrong oauth2: 401 at id.test/wrong: invalid_client
	slow exec: .*/slow did not end within 1000 ms
	skewed exec: the value has expired already
END
is "$(origin_count '/(down|wrong|slow|skewed) ')" "$before" "nothing was sent"
done_testing
