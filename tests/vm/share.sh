#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# What one job's proxy may take of the host (see guest.sh, where cgroup version 2 has all controllers): the bounds stand in the kernel's files; a
# proxy that reaches its memory's bound is ended alone, said so, and its job is served again, while another job's proxy lives on. TAP.
n=0
ok() { # status, what
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
is() { # got, want, what
	[ "$1" = "$2" ]
	ok $? "$3"
	[ "$1" = "$2" ] || echo "# got '$1', not '$2'"
}
until_true() { # seconds, condition
	local i=0
	until eval "$2"; do
		i=$((i + 1))
		[ $i -lt $(($1 * 10)) ] || return 1
		sleep 0.1
	done 2>/dev/null
}
mkdir -p /tmp/share/state
cat >/tmp/share/egret.json <<JSON
{ "state_dir": "/tmp/share/state", "run_dir": "/run/egret-share", "limits": { "proxy_memory": 134217728 } }
JSON
cat >/tmp/share/policy.json <<JSON
{ "version": 1, "name": "share", "mode": "enforce", "rules": [ { "id": "r", "allow": "GET http://api.test/**" } ] }
JSON
# Refused by the proxy in words: 403. Without a proxy: no answer.
cat >/tmp/share/ask.sh <<'SH'
while [ ! -e /tmp/share/end ]; do
	curl -sS --max-time 5 -o /dev/null -w '%{http_code}\n' http://evil.test/ >>/tmp/share/said.$1 2>/dev/null
	sleep 0.2
done
SH
for one in a b; do
	timeout 90 egret run --config /tmp/share/egret.json --policy /tmp/share/policy.json -- bash /tmp/share/ask.sh $one >/tmp/share/out.$one 2>&1 &
	until_true 60 "grep -q 403 /tmp/share/said.$one"
	ok $? "job $one is served"
done
proxies=$(ls -d /sys/fs/cgroup/egretd-*.slice/proxy)
set -- "$proxies"/j-*
is $# 2 "two proxies, a cgroup each"
for one; do is "$(cat "$one/memory.max" "$one/memory.swap.max" "$one/pids.max" "$one/cpu.weight" 2>/dev/null | tr '\n' ' ' | sed 's/ 0 / /')" '134217728 4 100 ' "its bounds"; done
is "$(EGRET_RUN_DIR=/run/egret-share egret status | sed -n 's/^proxy_shares[_a-z]* *//p' | tr '\n' '|')" 'cpu pids memory||' "egret status names them, and none that is absent"
egret doctor 2>/dev/null | grep -q '^ok *shares'
ok $? "and egret doctor"

first=$(cat "$1/cgroup.procs") other=$(cat "$2/cgroup.procs")
echo 1M >"$1/memory.max" # as if it had grown to there: the kernel ends it
until_true 20 "grep -q 'limits.proxy_memory' /tmp/share/state/events.ndjson"
ok $? "a proxy at its bound is ended, and limit.hit says so"
is "$(grep -c '"kind":"limit.hit"' /tmp/share/state/events.ndjson | sed 's/[1-9][0-9]*/some/')" some "as an event of that kind"
echo 134217728 >"$1/memory.max"
until_true 30 "[ -n \"\$(cat '$1/cgroup.procs')\" ] && [ \"\$(cat '$1/cgroup.procs')\" != '$first' ]"
ok $? "another is started in its place"
: >/tmp/share/said.a
: >/tmp/share/said.b
until_true 30 "grep -q 403 /tmp/share/said.a && grep -q 403 /tmp/share/said.b"
ok $? "and both jobs are served"
is "$(cat "$2/cgroup.procs")" "$other" "the other job's proxy is the one of before"
touch /tmp/share/end
wait
echo "1..$n"
