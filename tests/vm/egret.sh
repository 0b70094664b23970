#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# egret itself in the test machine (see guest.sh): what doctor says, a job that does nothing, one that asks for what it may and for
# what it may not. It is there for what only this kernel decides: loading, cgroups, Landlock, seccomp. TAP.
n=0
# busybox's shell prefers its own ip, which knows no namespaces.
ip() { /usr/bin/ip "$@"; }
ok() { # status, what
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
is() { # got, want, what
	[ "$1" = "$2" ]
	ok $? "$3"
	[ "$1" = "$2" ] || echo "# got '$1', not '$2'"
}
say() { sed 's/^/# /' "$@"; }

# The outside: a web server in a network namespace of its own.
mkdir -p /tmp/www /var/lib
echo 'hello from outside' >/tmp/www/hello.txt
unshare -n sleep 300 &
outside=$!
until [ "$(readlink /proc/$outside/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
ip link add v0 type veth peer name v1
ip link set v1 netns $outside
ip addr add 198.51.100.1/24 dev v0
ip link set v0 up
in_outside() { nsenter -t $outside -n "$@"; }
in_outside /usr/bin/ip link set lo up
in_outside /usr/bin/ip addr add 198.51.100.10/24 dev v1
in_outside /usr/bin/ip link set v1 up
in_outside busybox httpd -p 198.51.100.10:80 -h /tmp/www

cat >/tmp/egret.json <<JSON
{ "state_dir": "/var/lib/egret", "run_dir": "/run/egret",
  "upstream": { "hosts": { "api.test": ["198.51.100.10"], "evil.test": ["198.51.100.10"] }, "allow_private": ["198.51.100.0/24"] } }
JSON
cat >/tmp/policy.json <<JSON
{ "version": 1, "name": "vm", "mode": "enforce", "rules": [ { "id": "hello", "allow": "GET http://api.test/**" } ] }
JSON
job() { timeout 40 egret run --config /tmp/egret.json --policy /tmp/policy.json -- "$@"; }

egretd --doctor >/tmp/out 2>&1
ok $? "egretd --doctor"
say /tmp/out

job true >/tmp/out 2>&1
is $? 0 "egret run -- true"
say /tmp/out
job sh -c 'exit 3' >/tmp/out 2>&1
is $? 3 "a job's exit status"
is "$(job curl -sS --max-time 20 http://api.test/hello.txt 2>/tmp/err)" 'hello from outside' "what the policy allows is fetched"
say /tmp/err
is "$(job curl -sS --max-time 20 -o /dev/null -w '%{http_code}' http://evil.test/ 2>/tmp/err)" 403 "what it does not is refused"
is "$(job curl -sS --max-time 20 -o /dev/null -w '%{http_code}' http://198.51.100.10/hello.txt 2>/tmp/err)" 403 "nor by its address"
grep '"verdict":"deny"' /var/lib/egret/events.ndjson | head -n 5 >/tmp/out
say /tmp/out
is "$(bash -c 'echo x >/dev/udp/198.51.100.10/9 && echo sent' 2>/tmp/err)" sent "UDP can be sent from here"
is "$(job bash -c 'echo x >/dev/udp/198.51.100.10/9 && echo sent || echo refused' 2>/tmp/err)" refused "but not from the job"
is "$(job sh -c 'ls /sys/class/net | tr "\n" " "' 2>/dev/null)" 'lo ' "the job has no interface but lo"
# What the kernel itself says of a job's proxy.
job sh -c 'sleep 4' >/dev/null 2>&1 &
one=$!
i=0
until pid=$(pidof egret-proxy) && grep -q '^Seccomp:.*2' /proc/$pid/status; do
	i=$((i + 1))
	[ $i -lt 300 ] || break
	sleep 0.1
done 2>/dev/null
is "$(sed -n 's/^\(CapPrm\|CapEff\|CapAmb\|NoNewPrivs\|Seccomp\):[[:space:]]*//p' "/proc/$pid/status" | tr '\n' ' ')" \
	'0000000000000000 0000000000000000 0000000000000000 1 2 ' "a proxy has no capabilities, no new privileges, and a filter"
uid=$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$pid/status")
[ "${uid:-0}" != 0 ]
ok $? "and a uid of its own"
wait $one

# The egretd that `egret run` started waits a while for the next one.
i=0
while [ $i -lt 100 ] && ps -o comm | grep -q '^egret'; do
	i=$((i + 1))
	sleep 0.2
done
is "$(ls -d /sys/fs/cgroup/egret* /sys/fs/bpf/egret/* 2>/dev/null)" '' "no cgroup and no pin is left"
is "$(ps -o comm | grep -c '^egret')" 0 "and no process"
kill $outside
echo "1..$n"
