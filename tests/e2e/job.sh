#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a job is: exit status, environment, user, hidden places, networks, labels, two at once, and bad input in one sentence.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
origins_up
policy '"allow": "GET https://api.test/**"'
status() { job "$@" >"$TMP/out" 2>"$TMP/err"; echo $?; }

is "$(status true)" 0 "exit status 0"
is "$(status sh -c 'exit 3')" 3 "exit status 3"
is "$(status sh -c 'kill -TERM $$')" 143 "ended by a signal: 128 + its number"
is "$(status "$TMP/egret.json")" 126 "not executable: 126"
is "$(status no-such-command-anywhere)" 127 "no such command: 127"
POLICY=$TMP/missing.json
is "$(status true)" 2 "a policy file that is not there: 2"
like "$(cat "$TMP/err")" 'missing\.json' "and the sentence names the file"
printf '{ "version": 1, "name": "x", "mode": "enforce",\n  "rules": [ { "id": "a", "alow": "GET https://api.test/" } ] }\n' >"$TMP/bad.json"
POLICY=$TMP/bad.json
is "$(status true)" 2 "an unknown key: 2"
like "$(cat "$TMP/err")" 'bad\.json:2:[0-9]+.*alow' "with file, line, column and key"
like "$(cat "$TMP/err")" 'did you mean.*allow' "and what was meant"
printf '{ "version": 1, "name": "x", ' >"$TMP/bad.json"
is "$(status true)" 2 "broken JSON: 2"
like "$(cat "$TMP/err")" 'bad\.json:1:[0-9]+' "with its place"
is "$(grep -c 'bad\.json' "$TMP/err")" 1 "in one line"
policy '"allow": "GET https://api.test/**"'
cp "$TMP/egret.json" "$TMP/egret.good"
echo '{ "stat_dir": "/x" }' >"$TMP/egret.json"
is "$(status true)" 2 "an unknown key in the configuration: 2"
cp "$TMP/egret.good" "$TMP/egret.json"
is "$(in_host "$EGRET" run --no-such-option -- true 2>"$TMP/err"; echo $?)" 2 "an unknown option: 2"
is "$(in_host "$EGRET" run --config "$TMP/egret.json" --policy "$POLICY" 2>"$TMP/err"; echo $?)" 2 "no command: 2"

echo 'canary-in-the-environment' >"$TMP/x"
is "$(KEEPS=me status printenv KEEPS)" 0 "the environment is handed on"
is "$(cat "$TMP/out")" me "with its values"
job sh -c 'echo "$CURL_CA_BUNDLE $NODE_EXTRA_CA_CERTS $SSL_CERT_FILE"; head -c 11 "$SSL_CERT_FILE"' >"$TMP/out" 2>&1
like "$(cat "$TMP/out")" '-----BEGIN' "SSL_CERT_FILE names a bundle the job can read"
# Where all TLS is opened, or refused, clients need not read the public roots to begin; what passes something unopened needs them. Files hold them in either case.
C=/etc/ssl/certs/ca-certificates.crt
roots() { # the policy's rules...: the variables' files, certificates in curl's, in git's, and in the system's own file
	policy "$@"
	job sh -c 'for f in "$CURL_CA_BUNDLE" "$GIT_SSL_CAINFO"; do echo "$f" "$(grep -c BEGIN "$f")"; done; grep -c BEGIN '$C 2>"$TMP/err" | tr '\n' ' '
}
is "$(GIT_SSL_CAPATH=/opt job printenv GIT_SSL_CAPATH)" /opt "a folder that the caller named stays"
is "$(job printenv GIT_SSL_CAPATH)" /run/egret/ca.pem "git reads no folder of roots besides"
all=2 # the configuration's ca_file, which stands for the system's here, and the job's CA
is "$(roots '"allow": "GET https://api.test/**"' '"allow": "tcp://api.test:22"')" "/run/egret/ca.pem 1 /run/egret/ca.pem 1 $all " "nothing passes unopened: variables name the job's CA alone"
is "$(roots '"allow": "GET https://api.test/**"' '"allow": "tls://files.test:443"')" "/run/egret/bundle.pem $all /run/egret/bundle.pem $all $all " "a rule tls://: all roots"
is "$(MODE=audit roots '"allow": "GET https://api.test/**"')" "/run/egret/bundle.pem $all /run/egret/bundle.pem $all $all " "audit mode: all roots"
policy '"allow": "GET https://api.test/**"'
is "$(http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 HTTPS_PROXY=http://127.0.0.1:9 job curl -sS --max-time 20 https://api.test/hello.txt)" 'hello from api' \
	"an inherited proxy variable does not get in the way"

out=$(job sh -c 'grep -E "^(CapBnd|CapEff|CapPrm|CapAmb|NoNewPrivs):" /proc/self/status | tr -d "\t" | tr "\n" " "')
like "$out" 'CapPrm:0000000000000000 CapEff:0000000000000000 CapBnd:0000000000000000 CapAmb:0000000000000000 NoNewPrivs:1' "no capabilities, no new privileges"
is "$(job sh -c 'ls /sys/fs/cgroup 2>/dev/null | wc -l; ls /sys/fs/bpf 2>/dev/null | wc -l' | tr '\n' ' ')" '0 0 ' "cgroup and bpf file systems are out of reach"
is "$(job sh -c "ls '$TMP/run' 2>/dev/null | wc -l")" 0 "egret's run folder is hidden"
is "$(job sh -c 'for s in /run/docker.sock /var/run/docker.sock /run/containerd/containerd.sock /run/systemd/private /run/dbus/system_bus_socket; do [ ! -S $s ] || echo $s; done')" '' \
	"no engine's and no systemd's socket"
is "$(job sh -c 'ls -d /proc/[0-9]* | wc -l | awk "{ print (\$1 < 8) }"')" 1 "its own pid namespace"
is "$(job sh -c 'cat /proc/self/cgroup | tail -n 1')" '0::/' "its own cgroup namespace"
for ns in mnt pid ipc net cgroup; do isnt "$(job readlink /proc/self/ns/$ns)" "$(in_host readlink /proc/self/ns/$ns)" "its own $ns namespace"; done
like "$(job ip -o addr 2>&1)" ' lo .*inet 127\.0\.0\.1' "loopback is up"
is "$(job sh -c 'sed -n "s/^ *\(.*\):.*/\1/p" /proc/net/dev | tr "\n" " "')" 'lo ' "and there is no other interface"
is "$(job sh -c 'ls /sys/class/net | tr "\n" " "')" 'lo ' "nor in sysfs"
JOB_OPTS=(--user nobody)
is "$(job id -un 2>/dev/null)" nobody "--user"
JOB_OPTS=(--user no-such-user)
isnt "$(status true)" 0 "--user that does not exist"
like "$(cat "$TMP/err")" 'no-such-user' "is said"
JOB_OPTS=(--net host)
if [ "$(status curl -sS --max-time 20 https://api.test/hello.txt)" = 0 ]; then
	is "$(cat "$TMP/out")" 'hello from api' "--net host: an allowed request"
	is "$(job readlink /proc/self/ns/net)" "$(in_host readlink /proc/self/ns/net)" "--net host: the host's namespace"
	is "$(job curl -sS --max-time 20 -o /dev/null -w '%{http_code}' https://evil.test/)" 403 "--net host: another host is refused"
	is "$(job bash -c '(exec 3<>/dev/udp/198.51.100.20/443 && echo x >&3) 2>/dev/null && echo sent || echo refused')" refused "--net host: UDP is refused"
	isnt "$(job bash -c '(exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null; echo $?')" 0 "--net host: the host's loopback is closed"
else
	like "$(cat "$TMP/err")" 'egret run: .*(net|host)' "--net host is refused in a sentence where it cannot be had"
fi
JOB_OPTS=()
isnt "$(status "$EGRET" run --policy "$POLICY" -- true)" 0 "egret run inside a job is refused"
like "$(cat "$TMP/err")" 'egret' "in words"
isnt "$(status unshare -rn curl -sS --max-time 10 -o /dev/null https://api.test/hello.txt)" 0 "a network namespace that the job makes leads nowhere"

# Two at once: each with its own proxy and policy.
policy '"allow": "GET https://files.test/**"'
cp "$POLICY" "$TMP/second.json"
echo file >"$TMP/www/files.test/f"
policy '"allow": "GET https://api.test/**"'
(POLICY=$TMP/second.json job bash -c 'curl -sS --max-time 20 -o /dev/null -w "%{http_code} " https://files.test/f https://api.test/hello.txt -o /dev/null' >"$TMP/second") &
second=$!
job bash -c 'curl -sS --max-time 20 -o /dev/null -w "%{http_code} " https://api.test/hello.txt https://files.test/f -o /dev/null' >"$TMP/first"
wait $second
is "$(cat "$TMP/first")" '200 403 ' "two jobs at once: the first by its policy"
is "$(cat "$TMP/second")" '200 403 ' "two jobs at once: the second by its own"

JOB_OPTS=(--label repo=acme/web --label run_id=77)
job true
like "$(events | grep '"kind":"job.start"' | tail -n 1)" '"repo":"acme/web"' "labels are in the events"
like "$(events | grep '"kind":"job.start"' | tail -n 1)" '"(assurance)":"(unverified|runner)"|confine' "with their assurance"
like "$(events | tail -n 1)" '"kind":"job.end"' "the last event is the job's end"
JOB_OPTS=()
job sh -c 'echo "::set-output name=x::y"; curl -sS --max-time 20 "https://evil.test/::add-mask::x" -o /dev/null' >"$TMP/out" 2>"$TMP/err"
unlike "$(cat "$TMP/err")" '^::' "no workflow command in egret's own lines"
if id nobody >/dev/null 2>&1; then
	chmod 755 "$TMP"
	out=$(setpriv --reuid=65534 --regid=65534 --clear-groups env -u EGRET_RUN_DIR "$EGRET" run --config "$TMP/egret.json" --policy "$POLICY" -- true 2>&1)
	isnt $? 0 "not root and no daemon: refused"
	like "$out" 'root|sudo' "and it is said what to do"
	is "$(wc -l <<<"$out")" 1 "in one sentence"
fi

# The egretd that is its own is killed: the command goes on to its end, and what is left behind is swept up. Where the command's first process dies
# too nobody knows how it ended.
for more in "" egret-init; do
	rm -f "$TMP/go" "$TMP/here"
	job sh -c "touch '$TMP/here'; until [ -e '$TMP/go' ]; do sleep 0.05; done; exit 7" >"$TMP/out" 2>"$TMP/err" &
	running=$!
	wait_for 20 "[ -e '$TMP/here' ]"
	kill -9 $(egret_pids egretd) ${more:+$("$EGRET" job list --json | jq -r '.[].pid')}
	touch "$TMP/go"
	wait $running
	got=$?
	if [ -z "$more" ]; then
		is $got 7 "egretd killed: the command's own status"
	else
		is $got 125 "egretd and $more killed: a status of egret's"
		like "$(cat "$TMP/err")" '^egret run: how the command of job j-[0-9a-f]* ended was not told: egretd ended before it;' "in words"
	fi
	t "nothing is left: pins" wait_for 10 "[ ! -e '/sys/fs/bpf/egret/$(egret_instance "$TMP/run")' ]"
	t "nothing is left: processes" wait_for 10 "[ -z \"\$(ip netns pids '$HOSTNS')\" ]"
done
job true >"$TMP/out" 2>&1
is "$(cat "$TMP/out")" '' "a job that says nothing: no message of egret's own"
t "no process is left a moment later" wait_for 10 "[ -z \"\$(ip netns pids '$HOSTNS')\" ]"
done_testing
