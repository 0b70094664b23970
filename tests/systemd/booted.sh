#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 420
# The Debian package on a booted system: installed, started, jobs that outlive egretd's hang, its death together with the broker's, its
# handing over and an upgrade; runner and engine units that start after egretd and not without it; removal that asks; a purge that leaves
# nothing. dockerd and the runner are stand-ins: units that sleep, or make one request.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/systemd/tree.sh"
need jq dpkg-deb
tree_make
DEB=$(ls "$ROOT"/build/deb/egret_*.deb 2>/dev/null)
if [ -z "$DEB" ] || [ -n "$(cd "$ROOT" && find VERSION Makefile bpf userspace deploy docs policies -type f -newer "$DEB" | head -n 1)" ]; then
	t "make deb, lintian content" "$ROOT/deploy/debian/build.sh"
fi
DEB=$(ls "$ROOT"/build/deb/egret_*.deb) || done_testing
origins_up
tree_boot || done_testing

files() { in_tree find / -xdev ! -path '/var/log/*' ! -path '/var/lib/dpkg/*' ! -path '/var/cache/*' ! -path '/var/lib/systemd/*' | sort; }
pid_of() { in_tree systemctl show -p MainPID --value "${1:-egretd.service}"; }
active() { in_tree systemctl is-active "$1"; }
dpkg_in() { in_tree env DEBIAN_FRONTEND=noninteractive "$@" 2>&1; }
new_pid() { # the one before: another egretd serves
	wait_for 30 "[ \"\$(pid_of)\" != 0 ] && [ \"\$(pid_of)\" != '$1' ] && in_tree egret status >/dev/null"
}
files >"$TMP/files.before"

# ---- install ----

tree_sh 'cat >/tmp/one.deb' <"$DEB"
# A second version: the same files under another number.
dpkg-deb -R "$DEB" "$TMP/second" && sed -i 's/^Version: .*/&+second/' "$TMP/second/DEBIAN/control" && dpkg-deb --root-owner-group -b "$TMP/second" "$TMP/two.deb" >/dev/null
tree_sh 'cat >/tmp/two.deb' <"$TMP/two.deb"
tree_sh 'mkdir -p /etc/docker && echo "{ \"debug\": true }" >/etc/docker/daemon.json; printf "#!/bin/sh\n" >/usr/sbin/dockerd; chmod 755 /usr/sbin/dockerd'
said=$(dpkg_in dpkg -i /tmp/one.deb) && pass "dpkg -i" || fail "dpkg -i" "$said"
is "$(tree_sh 'cat /etc/docker/daemon.json')" '{ "debug": true }' "nobody said yes: daemon.json is left alone"
t "egretd serves" wait_for 20 "in_tree egret status"
is "$(active egretd.service) $(active egret.slice) $(active egretd.slice)" 'active active active' "egretd and its slices are active"
t "egret doctor" in_tree egret doctor
isnt "$(in_tree systemctl stop egret.slice 2>&1)" '' "egret.slice is not stopped by hand"
figure=$(in_tree systemd-analyze security egretd.service --no-pager 2>/dev/null | sed -n 's/.*exposure level for egretd.service: \([0-9.]*\).*/\1/p')
diag "systemd-analyze security egretd.service: $figure"
is "$(awk -v f="$figure" 'BEGIN { print (f > 0 && f <= 7.0) }')" 1 "its exposure is what docs/install.md says, at most"

# ---- a job ----

config
jq 'del(.state_dir, .run_dir) | .upstream.ca_file = "/etc/egret/outside.pem"' "$TMP/egret.json" | tree_sh 'mkdir -p /etc/egret/policies && cat >/etc/egret/egret.json'
tree_sh 'cat >/etc/egret/outside.pem' <"$TMP/outside.pem"
echo '{ "version": 1, "name": "loop", "mode": "enforce", "for": [ { "repo": "loop", "event": "push" } ], "rules": [ { "id": "a", "allow": "GET https://api.test/**" } ] }' |
	tree_sh 'cat >/etc/egret/policies/loop.json'
# Shorter, so that the test is.
tree_sh 'mkdir -p /run/systemd/system/egretd.service.d && printf "[Unit]\nStartLimitBurst=100\n[Service]\nWatchdogSec=2\n" >/run/systemd/system/egretd.service.d/test.conf && systemctl daemon-reload && systemctl restart egretd'
t "egretd serves with its configuration" wait_for 20 "in_tree egret status"
is "$(tree_sh 'egret run --label repo=loop --label event=push -- curl -sS --max-time 10 https://api.test/hello.txt' 2>&1)" 'hello from api' "egret run"
is "$(tree_sh 'egret run --label repo=loop --label event=push -- curl -sS --max-time 10 -o /dev/null -w %{http_code} https://files.test/ 2>/dev/null')" 403 "and refused"

tree_sh 'cat >/usr/local/bin/loop' <<'SH'
#!/bin/bash
while [ ! -e /var/tmp/loop.stop ]; do
	start=$EPOCHREALTIME
	code=$(curl -s --max-time 8 -o /dev/null -w '%{http_code}' "https://api.test/hello.txt?$start")
	echo "${start/./} $code" >>/var/tmp/codes
done
SH
tree_sh 'chmod 755 /usr/local/bin/loop; : >/var/tmp/codes'
job_start() { tree_sh 'rm -f /var/tmp/loop.stop; systemd-run -q --unit=loop --collect egret run --label repo=loop --label event=push -- /usr/local/bin/loop'; }
since() { tree_sh "awk -v t=$1 '\$1 > t { print \$2 }' /var/tmp/codes"; }
served() { wait_for "${2:-15}" "since $1 | grep -qx 200"; }
job_name() { in_tree egret job list 2>/dev/null | grep -o '^j-[0-9a-f]*'; }
now_us() { echo "${EPOCHREALTIME/./}"; }
job_start
t "a job runs" served 0
JOB=$(job_name)
same_job() { # what happened
	is "$(job_name)" "$JOB" "$1: the job is taken up"
	t "$1: and served" served "$(now_us)"
	is "$(active loop.service)" active "$1: its command goes on"
}

# ---- the watchdog ----

sleep 3
pid=$(pid_of)
is "$(in_tree systemctl show -p NRestarts --value egretd.service)" 0 "the watchdog is fed"
in_tree kill -STOP "$pid"
at=$(now_us)
t "egretd is stopped: the job is served" served "$at"
t "egretd is stopped: the watchdog ends it, another serves" new_pid "$pid"
like "$(tree_log 40)" '[Ww]atchdog' "the journal says so"
same_job "hung egretd"

# ---- the descriptor store ----

is "$(in_tree systemctl show -p NFileDescriptorStore --value egretd.service)" 2 "systemd keeps the parking place"
pid=$(pid_of)
broker=$(in_tree pgrep -x egret-broker)
audit=$(in_tree pgrep -x egret-audit)
in_tree kill -9 "$pid" "$broker" "$audit"
t "egretd, broker and audit die together: others serve" new_pid "$pid"
isnt "$(in_tree pgrep -x egret-broker)" "$broker" "with a new broker"
same_job "all three dead"
proxy=$(in_tree pgrep -x egret-proxy)
at=$(now_us)
in_tree kill -9 "$proxy"
t "and a proxy killed after that is started anew" wait_for 20 "[ -n \"\$(in_tree pgrep -x egret-proxy)\" ] && since $at | grep -qx 200"

# ---- handing over, upgrade ----

pid=$(pid_of) at=$(now_us)
restarts=$(in_tree systemctl show -p NRestarts --value egretd.service)
in_tree systemctl kill -s USR1 --kill-whom=main egretd.service
t "SIGUSR1: another egretd serves" new_pid "$pid"
same_job "handed over"
is "$(since "$at" | sort -u | tr '\n' ' ')" '200 ' "handed over: without a refusal"
pid=$(pid_of) at=$(now_us)
said=$(dpkg_in dpkg -i /tmp/two.deb) && pass "upgrade" || fail "upgrade" "$said"
t "upgrade: another egretd serves" new_pid "$pid"
same_job "upgraded"
is "$(since "$at" | sort -u | tr '\n' ' ')" '200 ' "upgrade: without a refusal"
is "$(in_tree systemctl show -p NRestarts --value egretd.service)" "$restarts" "systemd started none of them: each named the next"
is "$(in_tree systemctl show -p NFileDescriptorStore --value egretd.service)" 2 "and keeps the parking place"
sleep 3
is "$(in_tree systemctl show -p NRestarts --value egretd.service)" "$restarts" "the watchdog is fed by the last one"
pid=$(pid_of)
in_tree kill -9 "$pid"
t "which systemd starts anew when it dies" new_pid "$pid"
same_job "upgraded and killed"

# ---- runners and engines ----

tree_sh 'printf "[Service]\nExecStart=/bin/sleep 100000\n" >/etc/systemd/system/docker.service
	printf "[Service]\nExecStart=/bin/sh -c \"curl -sk --max-time 3 https://198.51.100.20/ >/var/tmp/runner.got; exec sleep 100000\"\n" >/etc/systemd/system/actions.runner.acme-web.one.service
	install -m 755 /bin/true /var/tmp/egret-runc'
said=$(tree_sh 'egret-setup --yes --runtime /var/tmp/egret-runc docker github && systemctl daemon-reload' 2>&1) && pass "egret-setup" || fail "egret-setup" "$said"
is "$(tree_sh 'jq -c "[.debug, .[\"default-runtime\"], .[\"cgroup-parent\"]]" /etc/docker/daemon.json')" '[true,"egret","egret-docker.slice"]' "docker's driver is told by what runs: systemd"
UNIT=actions.runner.acme-web.one.service
t "the engine starts" in_tree systemctl start docker.service
t "the runner starts" in_tree systemctl start $UNIT
is "$(in_tree sed -n 's/^0:://p' "/proc/$(pid_of $UNIT)/cgroup")" "/egret.slice/$UNIT" "the runner is below egret.slice"
t "its request has ended" wait_for 10 "[ \"\$(in_tree cat /proc/\$(pid_of $UNIT)/comm)\" = sleep ]"
is "$(origin_count '198\.51\.100\.20')" 0 "and unregistered it reaches nothing"
engine=$(pid_of docker.service) runner=$(pid_of $UNIT) pid=$(pid_of)
in_tree kill -9 "$pid"
t "egretd dies: another serves" new_pid "$pid"
is "$(pid_of docker.service) $(pid_of $UNIT)" "$engine $runner" "neither the engine nor the runner is restarted by that"
same_job "once more"
tree_sh 'touch /var/tmp/loop.stop'
wait_for 15 "[ \"\$(active loop.service)\" != active ]"
in_tree systemctl stop $UNIT docker.service egretd.service
tree_sh 'mv /etc/egret/egret.json /etc/egret/kept; echo broken >/etc/egret/egret.json'
unlike "$(in_tree timeout 60 systemctl start $UNIT 2>&1; active $UNIT)" '^active' "egretd cannot start: neither does the runner"
unlike "$(in_tree timeout 60 systemctl start docker.service 2>&1; active docker.service)" '^active' "nor the engine"
tree_sh 'mv /etc/egret/kept /etc/egret/egret.json; systemctl reset-failed; mv /usr/sbin/egretd /usr/sbin/egretd.away'
unlike "$(in_tree timeout 60 systemctl start $UNIT 2>&1; active $UNIT)" '^active' "egretd is not there: neither does the runner"
tree_sh 'mv /usr/sbin/egretd.away /usr/sbin/egretd; systemctl reset-failed'
t "with egretd back the runner starts, and egretd first" in_tree systemctl start $UNIT
is "$(active egretd.service)" active "egretd serves"
in_tree systemctl stop $UNIT

# ---- stop, remove, purge ----

tree_sh ': >/var/tmp/codes'
job_start
t "a job runs" served 0
said=$(dpkg_in dpkg -r egret) && fail "dpkg -r refuses while a job runs" || like "$said" 'jobs run' "dpkg -r refuses while a job runs"
t "it still runs" served "$(now_us)"
t "systemctl stop" in_tree systemctl stop egretd.service
t "ends the job" wait_for 10 "[ \"\$(active loop.service)\" != active ]"
is "$(find "$CGROOT/egret.slice" -mindepth 1 -maxdepth 1 -name 'j-*' | wc -l)" 0 "and its cgroup"
in_tree systemctl start egretd.service
said=$(dpkg_in dpkg --purge egret) && pass "dpkg --purge" || fail "dpkg --purge" "$said"
is "$(tree_sh 'cat /etc/docker/daemon.json')" '{ "debug": true }' "daemon.json is what it was, byte for byte"
tree_sh 'echo egret egret/docker boolean true | debconf-set-selections'
said=$(dpkg_in dpkg -i /tmp/one.deb) && pass "installed again, with a yes to docker" || fail "installed again, with a yes to docker" "$said"
is "$(tree_sh 'jq -c "[.debug, .runtimes.egret.path, .[\"default-runtime\"]]" /etc/docker/daemon.json')" '[true,"/usr/libexec/egret/egret-runc","egret"]' "daemon.json names egret-runc"
t "which is there" in_tree test -x /usr/libexec/egret/egret-runc
unlike "$(active docker.service)" '^active' "docker is not started by that"
said=$(dpkg_in dpkg --purge egret) && pass "purged again" || fail "purged again" "$said"
is "$(tree_sh 'cat /etc/docker/daemon.json')" '{ "debug": true }' "daemon.json is what it was, once more"
tree_sh 'rm -rf /etc/docker /usr/sbin/dockerd /etc/systemd/system/docker.service /etc/systemd/system/actions.runner* /usr/local/bin/loop /var/tmp/*'
files >"$TMP/files.after"
is "$(comm -13 "$TMP/files.before" "$TMP/files.after")" '' "nothing is left in the file system"
is "$(tree_sh 'ls -A /sys/fs/bpf | grep egret; ls -d /run/egret* 2>/dev/null')" '' "no pin and nothing in /run"
is "$(ls -d "$CGROOT"/egret.slice "$CGROOT"/egretd.slice 2>/dev/null)" '' "no cgroup"
is "$(in_tree pgrep egret)" '' "no process"
done_testing
