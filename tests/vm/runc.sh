#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# A container in the test machine (see guest.sh), by runc through egret-runc, as an engine calls it: below the slice, joined to a
# registered job, served, and refused in words; a process executed in it too. What the engine's side of egret asks of this very kernel:
# hooks, cgroups made by a runtime, listeners in a container's namespace, links with a program at the host's end. TAP.
n=0
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
until_true() { # tenths of a second, command...
	local left=$1
	shift
	until "$@" 2>/dev/null; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 0.1
	done
}

mkdir -p /tmp/www /var/lib /tmp/policies
echo 'hello from outside' >/tmp/www/hello.txt
unshare -n sleep 600 &
outside=$!
until [ "$(readlink /proc/$outside/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
ip link add w0 type veth peer name w1
ip link set w1 netns $outside
ip addr add 198.51.100.1/24 dev w0
ip link set w0 up
in_outside() { nsenter -t $outside -n "$@"; }
in_outside /usr/bin/ip link set lo up
in_outside /usr/bin/ip addr add 198.51.100.10/24 dev w1
in_outside /usr/bin/ip link set w1 up
in_outside busybox httpd -p 198.51.100.10:80 -h /tmp/www

cat >/tmp/runc.json <<JSON
{ "state_dir": "/var/lib/egret", "run_dir": "/run/egret", "policies": ["/tmp/policies"],
  "managed": [ { "engine": "containerd", "adopt": "sole" } ],
  "upstream": { "hosts": { "api.test": ["198.51.100.10"], "evil.test": ["198.51.100.10"] }, "allow_private": ["198.51.100.0/24"] } }
JSON
cat >/tmp/policies/vm.json <<JSON
{ "version": 1, "name": "vm", "mode": "enforce", "for": [ { "repo": "vm" } ], "rules": [ { "id": "hello", "allow": "GET http://api.test/**" } ] }
JSON
chmod 644 /tmp/runc.json /tmp/policies/vm.json
egretd --config /tmp/runc.json >/tmp/egretd.log 2>&1 &
daemon=$!
until_true 200 egret status >/dev/null
ok $? "egretd serves"
slice=egret.slice
job=$(egret job register --provider generic --worker none --label repo=vm --label event=push 2>/tmp/err)
case $job in j-*) true ;; *) false ;; esac
ok $? "a job is registered"
say /tmp/err

# The template that runc wrote, with what this container needs. No pivot_root(2): the machine's root is an initramfs.
spec() { # id, script
	printf '%s\n' "$2" >"/bundle/rootfs/$1.sh"
	sed -e 's/"terminal": true/"terminal": false/' -e "s|^\(.*\)\"sh\"\$|\1\"sh\", \"/$1.sh\"|" -e 's/"readonly": true/"readonly": false/' \
		-e "s|\"linux\": {|\"linux\": { \"cgroupsPath\": \"/$slice/c/$1\",|" /bundle/config.json >/tmp/b/config.json
}
mkdir -p /tmp/b/rootfs
mount --bind /bundle/rootfs /tmp/b/rootfs
echo 'nameserver 127.0.0.53' >/bundle/rootfs/etc/resolv.conf
wrapped() { egret-runc --egret-run-dir=/run/egret --egret-engine=containerd "$@"; }
sites='for s in api evil; do curl -sS --max-time 20 -w "%{http_code}\n" http://$s.test/hello.txt 2>&1; done'
spec one "$sites"
wrapped run --no-pivot -b /tmp/b one >/tmp/out 2>&1 </dev/null
say /tmp/out
grep -q '^hello from outside' /tmp/out
ok $? "a container of the job fetches what the policy allows"
grep -q '403$' /tmp/out
ok $? "and not what it does not"
spec two 'sleep 300'
wrapped run --no-pivot -d -b /tmp/b two >/tmp/out 2>&1 </dev/null
ok $? "another one runs"
say /tmp/out
wrapped exec two curl -sS --max-time 20 http://api.test/hello.txt >/tmp/out 2>&1 </dev/null
is "$(cat /tmp/out)" 'hello from outside' "a process executed in it is served"
wrapped exec two bash -c 'echo x >/dev/udp/198.51.100.10/9 && echo sent' >/tmp/out 2>&1 </dev/null
say /tmp/out
grep -q sent /tmp/out
[ $? != 0 ]
ok $? "UDP is refused in it"
pid=$(runc state two | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
egret job end "$job" >/tmp/out 2>&1
ok $? "the job ends"
until_true 100 test ! -e "/proc/$pid/root/bin"
ok $? "and the container with it"
runc delete --force one 2>/dev/null
runc delete --force two 2>/dev/null
kill $daemon
until_true 100 sh -c "! kill -0 $daemon"
ok $? "egretd ends"
say /tmp/egretd.log
umount /tmp/b/rootfs
kill $outside
echo "1..$n"
