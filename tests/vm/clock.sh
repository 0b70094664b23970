#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The wall clock jumps under a job, a day on and two days back: only in the test machine, whose clock is nobody's (see guest.sh). A job that runs
# is served by connections and certificates made before, between and after; numbers have no gap; a new job is served too. TAP.
n=0
ip() { /usr/bin/ip "$@"; }
ok() { # status, what
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
grep -q 'egret.build=' /proc/cmdline && [ "$$" != 1 ] && [ ! -e /etc/debian_version ] || { echo "1..0 # SKIP sets the clock: only in the test machine"; exit 0; }

mkdir -p /tmp/clock/www /tmp/clock/state
echo 'hello from outside' >/tmp/clock/www/hello.txt
unshare -n sleep 600 &
outside=$!
until [ "$(readlink /proc/$outside/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
ip link add k0 type veth peer name k1
ip link set k1 netns $outside
ip addr add 198.51.100.129/28 dev k0
ip link set k0 up
nsenter -t $outside -n /usr/bin/ip addr add 198.51.100.130/28 dev k1
nsenter -t $outside -n /usr/bin/ip link set k1 up
nsenter -t $outside -n busybox httpd -p 198.51.100.130:80 -h /tmp/clock/www
cat >/tmp/clock/egret.json <<JSON
{ "state_dir": "/tmp/clock/state", "run_dir": "/run/egret-clock",
  "upstream": { "hosts": { "api.test": ["198.51.100.130"] }, "allow_private": ["198.51.100.0/24"] } }
JSON
cat >/tmp/clock/policy.json <<JSON
{ "version": 1, "name": "clock", "mode": "enforce", "rules": [ { "id": "hello", "allow": "GET http://api.test/**" } ] }
JSON
job() { timeout 120 egret run --config /tmp/clock/egret.json --policy /tmp/clock/policy.json -- "$@"; }
# https to a refused name: egret's answer, under a certificate that it makes in that moment and the client checks against its clock.
cat >/tmp/clock/steps.sh <<'SH'
while [ ! -e /tmp/clock/end ]; do
	[ -e /tmp/clock/ask ] || { sleep 0.1; continue; }
	rm -f /tmp/clock/ask
	echo "$(curl -sS --max-time 20 -o /dev/null -w '%{http_code}' http://api.test/hello.txt 2>&1) $(curl -sS --max-time 20 -o /dev/null -w '%{http_code}' https://api.test/x 2>&1)" >/tmp/clock/new
	mv /tmp/clock/new /tmp/clock/answer
done
SH
job bash /tmp/clock/steps.sh >/tmp/clock/out 2>&1 &
running=$!
asked() { # what: the job's two requests
	local i=0
	rm -f /tmp/clock/answer
	touch /tmp/clock/ask
	until [ -e /tmp/clock/answer ] || [ $i -gt 600 ]; do sleep 0.1; i=$((i + 1)); done
	[ "$(cat /tmp/clock/answer)" = '200 403' ]
	ok $? "$1"
	[ "$(cat /tmp/clock/answer)" = '200 403' ] || { sed 's/^/# /' /tmp/clock/answer; sed 's/^/# /' /tmp/clock/out | tail -n 5; }
}
now() { date +%s; }
asked "before: served, and a certificate is good"
date -s "@$(($(now) + 86400))" >/dev/null
asked "a day on: served, and a certificate is good"
date -s "@$(($(now) - 2 * 86400))" >/dev/null
asked "two days back: served, and a certificate is good"
date -s "@$(($(now) + 86400))" >/dev/null
asked "as it was: served"
touch /tmp/clock/end
wait $running
ok $? "the job ends"
sed 's/.*"seq":\([0-9]*\),.*/\1/' /tmp/clock/state/events.ndjson | awk 'NR > 1 && $1 != last + 1 { bad++ } { last = $1 } END { exit bad > 0 }'
ok $? "numbers have no gap"
[ "$(grep -c '"reason":"unexplained"' /tmp/clock/state/events.ndjson)" = 0 ]
ok $? "no dial is unexplained"
kill $outside
echo "1..$n"
