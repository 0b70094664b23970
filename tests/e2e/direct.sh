#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Rules `direct`: a job in the host's network reaches what they name by no proxy, with its own address and port, and each is told; a job in
# a namespace of its own has no link, and there the proxy carries TCP as ever. A reload cuts what it takes away; a restart keeps what stands.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need python3 socat
origins_up
# They say who asked.
for at in $GOOD $EVIL; do
	spawn in_origin socat TCP4-LISTEN:5432,bind=$at,fork,reuseaddr SYSTEM:'echo "$SOCAT_PEERADDR $SOCAT_PEERPORT"; cat'
	spawn in_origin socat UDP4-RECVFROM:5433,bind=$at,fork,reuseaddr SYSTEM:'echo "$SOCAT_PEERADDR $SOCAT_PEERPORT"'
done
spawn in_origin socat "TCP6-LISTEN:5432,bind=[$GOOD6],fork,reuseaddr" SYSTEM:'echo "$SOCAT_PEERADDR $SOCAT_PEERPORT"; cat'
spawn in_host socat TCP4-LISTEN:5432,bind=198.51.100.1,fork,reuseaddr SYSTEM:'echo the host itself'
wait_port in_origin $GOOD 5432
wait_port in_origin $EVIL 5432
wait_port in_origin $GOOD6 5432
wait_port in_host 198.51.100.1 5432
daemon_config '"limits": { "peek_ms": 300 }'
BLOCK='"direct": "198.51.100.0/24:5432"'
rules() { installed web "$@"; }
RULES=("$BLOCK" '"direct": "[2001:db8:51::/64]:5432"' '"direct": "198.51.100.10:5433/udp"' "\"deny\": \"tcp://$EVIL:5432\"" '"allow": "GET https://api.test/**"')
rules "${RULES[@]}"
mkdir -m 777 "$TMP/flags"
daemon_start || done_testing
cat >"$TMP/ask.py" <<'PY'
# tcp|udp HOST PORT FROM-PORT [STEP...]: what the server says of who asked; at each step waits for a file, then asks again
import os, socket, sys, time
kind, host, port, own = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
six = ':' in host
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM if kind == 'udp' else socket.SOCK_STREAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.settimeout(5)
try:
    s.bind(('::' if six else '0.0.0.0', own))
    if kind == 'udp':
        s.sendto(b'x\n', (host, port))
        print(s.recvfrom(200)[0].decode().strip())
    else:
        s.connect((host, port))
        print('peer', s.getpeername()[0])
        print(s.makefile('r').readline().strip())
    for step in sys.argv[5:]:
        sys.stdout.flush()
        open(step + '.there', 'w').close()
        for _ in range(1200):
            if os.path.exists(step + '.go'): break
            time.sleep(0.05)
        s.settimeout(3)
        s.sendall(b'again\n')
        print('again', s.recv(100).decode().strip())
except OSError as e: print('refused', e.__class__.__name__)
PY
JOB_OPTS=(--net host --user nobody --label repo=web --label event=push)
host_job() { daemon_job python3 "$TMP/ask.py" "$@" 2>"$TMP/err" || diag "$(tail -n 3 "$TMP/err")"; }
told() { stream | jq -c 'select(.kind=="connect" and .reason=="direct") | [.verdict, .dest.ip, .dest.port, .dest.proto, .process.comm]'; }

is "$(in_host python3 "$TMP/ask.py" tcp $GOOD 5432 40001 | tail -n 1)" "198.51.100.1 40001" "without egret the server sees the caller's own port"
is "$(host_job tcp $GOOD 5432 40002)" "peer $GOOD"$'\n'"198.51.100.1 40002" "with the rule, in the host's network: the same"
wait_for 5 '[ "$(told | wc -l)" = 1 ]'
is "$(told)" "[\"allow\",\"$GOOD\",5432,\"tcp\",\"python3\"]" "and an event says so"
is "$(host_job tcp $GOOD6 5432 40003 | tail -n 1)" "[2001:0db8:0051:0000:0000:0000:0000:0001] 40003" "IPv6"
is "$(host_job udp $GOOD 5433 40004)" "198.51.100.1 40004" "UDP, where a rule says /udp"
wait_for 5 '[ "$(told | wc -l)" = 3 ]'
is "$(told | sed -n 3p)" "[\"allow\",\"$GOOD\",5433,\"udp\",\"python3\"]" "with an event"
like "$(host_job udp $EVIL 5433 40005)" '^refused PermissionError' "UDP to another address is refused"
is "$(host_job tcp $EVIL 5432 40006 | sed -n 2p)" 'refused ConnectionResetError' "what a deny rule names inside the block is not reached"
like "$(stream | jq -c 'select(.dest.ip=="198.51.100.20" and .dest.port==5432) | [.verdict, .reason]' | tail -n 1)" 'deny","deny_rule' "its event is the proxy's, with the rule"
is "$(host_job tcp $GOOD 443 40007 | sed -n 2p)" 'refused ConnectionResetError' "another port is the proxy's matter"
unlike "$(host_job tcp 198.51.100.1 5432 40008; told)" '198.51.100.1",5432' "an address of the host itself is never direct, whatever block holds it"

# No link: the proxy dials, from a port of its own; datagrams have nobody to carry them.
JOB_OPTS=(--user nobody --label repo=web --label event=push)
before=$(told | wc -l)
like "$(host_job tcp $GOOD 5432 40009 | tail -n 1)" '^198.51.100.1 ' "in a namespace of its own the same rule leads through the proxy"
unlike "$(host_job tcp $GOOD 5432 40009 | tail -n 1)" '40009' "which has its own port"
like "$(host_job udp $GOOD 5433 40010)" '^refused PermissionError' "UDP is refused there"
is "$(told | wc -l)" "$before" "and nothing of it is called direct"

reload() { # the event comes when all jobs have the new rules
	local before
	before=$(stream | grep -c '"kind":"policy.load"')
	kill -HUP "$DAEMON"
	wait_for 10 "[ \$(stream | grep -c '\"kind\":\"policy.load\"') -gt $before ]" || fail "the policies were read again"
}
# A reload; a restart; the proxy stopped.
JOB_OPTS=(--net host --user nobody --label repo=web --label event=push)
hold() { # name, tcp|udp..., steps
	local name=$1
	shift
	(daemon_job python3 "$TMP/ask.py" "$@" >"$TMP/$name.out" 2>&1) &
	HELD=$!
}
hold kept tcp $GOOD 5432 40011 "$TMP/flags/a" "$TMP/flags/b" "$TMP/flags/c" "$TMP/flags/d"
wait_for 20 "[ -e '$TMP/flags/a.there' ]" || fail "the connection stands" "$(cat "$TMP/kept.out")"
rules '"direct": "198.51.100.10:5432"' # narrower, but it names this one
reload
touch "$TMP/flags/a.go"
t "a reload whose rules still name it keeps the connection" wait_for 20 "[ -e '$TMP/flags/b.there' ]"
proxy=$(egret_pids egret-proxy)
kill -STOP $proxy
touch "$TMP/flags/b.go"
t "it needs no proxy: one that is stopped makes no difference" wait_for 20 "[ -e '$TMP/flags/c.there' ]"
kill -CONT $proxy
kill -9 "$DAEMON"
wait "$DAEMON" 2>/dev/null
touch "$TMP/flags/c.go"
t "nor egretd" wait_for 20 "[ -e '$TMP/flags/d.there' ]"
daemon_start || done_testing
is "$(cat "$TMP/kept.out")" "peer $GOOD"$'\n'"198.51.100.1 40011"$'\n'"again again"$'\n'"again again"$'\n'"again again" "all answers came"
rules '"allow": "GET https://api.test/**"'
reload
touch "$TMP/flags/d.go"
wait $HELD
like "$(grep ^refused "$TMP/kept.out")" '^refused (TimeoutError|timeout)' "then the connection that stands is cut"
done_testing
