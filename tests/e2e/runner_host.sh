#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 26 s
# not quick
# timeout: 400
# A host with GitHub's runners (their stand-in in host.sh): worker, job container, services and steps are one job; two runners at once never share
# anything; labels count for nothing where another job can reach the engine; the end leaves nothing.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
host_up
mkdir -m 777 "$TMP/flags"
installed acme/web '"allow": "READ https://api.test/**"' '"allow": "services"'
kill -HUP "$DAEMON"
host_docker --group $HOST_DOCKER_GID
images_into docker alpine debian redis postgres || done_testing

flag() { : >"$TMP/flags/$1"; }
seen() { wait_for "${2:-40}" "[ -e '$TMP/flags/$1' ]" || fail "the job came to: $1" "$(cat "$TMP"/out.* | tail -n 20)"; }
lines() { cat "$TMP/out.$1"; }
runner_make "$TMP/one" one
runner_make "$TMP/two" two
ONE=actions.runner.acme.one.service TWO=actions.runner.acme.two.service

# ---- one job: worker, job container, services, steps ----
cat >"$TMP/job1" <<'JOB'
echo "before: $(curl -sS --max-time 5 https://api.test/hello.txt 2>&1)"
started || { echo "hook failed"; exit 1; }
network
service redis egret-test/redis:1
service postgres egret-test/postgres:1
container "" egret-test/debian:1; JOB_C=$C
step 'curl -sS --max-time 20 https://api.test/hello.txt; curl -sS --max-time 20 https://evil.test/'
step 'python3 -c "
import socket
s = socket.create_connection((\"redis\", 6379), 10); s.sendall(b\"PING\r\n\"); print(\"redis said\", s.recv(100))"'
step 'python3 -c "
import socket
socket.create_connection((\"nobody\", 6379), 10)"; true'
docker run --rm --label "$LABEL" --network "$NETWORK" -v "$ROOT_DIR/_work:/github/workspace" egret-test/alpine:1 fetch https://api.test/hello.txt https://evil.test/ # a step that is a container
echo "host step: $(curl -sS --max-time 20 https://api.test/hello.txt 2>&1)"
echo "host step refused: $(curl -sS --max-time 20 https://evil.test/ 2>&1)"
touch "$FLAGS/there"; wait_file "$FLAGS/go"
finish
JOB
sed -i 's/\r$//' "$TMP/job1"
(runner_run "$TMP/one" $ONE "$TMP/job1" >"$TMP/out.1" 2>&1) &
job1=$!
seen there 80 || { tail "$TMP/egretd.log" | sed 's/^/# /'; done_testing; }
out=$(lines 1)
unlike "$(grep '^before:' <<<"$out")" 'hello' "before its registration the worker has no network"
unlike "$out" 'hook failed' "the hook registers the job"
like "$out" '^hello from api$' "a step in the job container: allowed"
like "$out" 'Blocked by egret' "a step in the job container: refused in words"
like "$out" "redis said b'\+PONG" "the service is reached by its name"
like "$out" 'gaierror|not known|No address' "a name that is no service's is not asked for"
like "$out" '^200 hello from api$' "a step that is a container of its own: allowed"
like "$out" '^403 Blocked by egret' "and refused in words"
like "$out" '^host step: hello from api' "a step on the host: allowed"
like "$out" '^host step refused: .*Blocked by egret' "and refused in words"
JOB=$(job_names)
is "$(wc -l <<<"$JOB")" 1 "all of it is one line in egret job list"
show=$(job_show "$JOB")
is "$(grep -c 'container' <<<"$show" | awk '{ print ($1 >= 3) }')" 1 "egret job show names worker and containers"
like "$show" 'worker' "and the worker"
like "$(in_host "$EGRET" job list)" 'cooperative' "a runner whose jobs can reach the engine is cooperative"
like "$(job_show "$JOB" --json | jq -r '.. | strings' | tr '\n' ' ')" 'acme/web' "its facts are the runner's"
is "$(stream | jq -r 'select(.kind=="http.request") | .job.id' | sort -u | wc -l)" 1 "every request is recorded under that one job"
flag go
wait $job1
is $? 0 "the job ends by its own hook"
t "the job is gone" wait_for 15 "[ -z \"\$(job_names)\" ]"
t "its cgroup is gone" wait_for 5 "[ -z \"\$(find '$CGROOT$SLICE/$ONE' -mindepth 1 -type d)\" ]"
rm -f "$TMP/flags"/*

# ---- two at once, whose steps are all in containers: labels count ----
cat >"$TMP/job2" <<'JOB'
started || { echo "hook failed"; exit 1; }
network
container "" egret-test/alpine:1; JOB_C=$C
echo "$LABEL $NETWORK" >"$FLAGS/$RUNNER_NAME.label"
step 'fetch https://api.test/hello.txt https://evil.test/'
touch "$FLAGS/$RUNNER_NAME.there"; wait_file "$FLAGS/go"
finish
JOB
two_jobs() { # REGISTER_OPTS
	local r pids=()
	for r in one two; do
		(runner_run "$TMP/$r" "actions.runner.acme.$r.service" "$TMP/job2" REGISTER_OPTS="$1" >"$TMP/out.$r" 2>&1) &
		pids+=($!)
	done
	seen one.there && seen two.there
	TWO_PIDS="${pids[*]}"
}
two_jobs --containers-only
like "$(lines one)" '200 hello' "two jobs at once: the first is served"
like "$(lines two)" '200 hello' "and the second"
is "$(job_names | wc -l)" 2 "they are two jobs"
read -r label1 net1 <"$TMP/flags/one.label"
read -r label2 net2 <"$TMP/flags/two.label"
fetch() { docker run --rm "$@" egret-test/alpine:1 fetch https://api.test/hello.txt 2>&1; }
unlike "$(fetch --label "$label1" --network "$net2")" '200' "one's label on the other's network joins neither"
unlike "$(fetch --label "$label2" --network bridge)" '200' "a label without the job's network joins nothing"
unlike "$(fetch --label abcdef --network "$net1")" '200' "a label of no runner joins nothing"
unlike "$(fetch --network "$net1")" '200' "an unlabelled container joins nothing"
like "$(fetch --label "$label1" --network "$net1")" '200 hello' "label and network together do"
docker run -d --name sink1 --label "$label1" --network "$net1" --network-alias secret egret-test/redis:1 >/dev/null
address=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' sink1)
other=$(docker ps -q --filter "label=$label2" | head -n 1)
unlike "$(docker exec "$other" sh -c "echo PING | timeout 5 nc $address 6379" 2>&1)" 'PONG' "one job's service is not reached from the other"
docker rm -f sink1 >/dev/null
flag go
wait $TWO_PIDS
rm -f "$TMP/flags"/*

# ---- two at once, where steps on the host reach the engine: labels could be copied ----
two_jobs ""
flag go
wait $TWO_PIDS
isnt "$(cat "$TMP/out.one" "$TMP/out.two" | grep -c '200 hello')" 2 "where either could copy the other's label, labels are void"
wait_for 30 "[ -z \"\$(job_names)\" ]"
rm -f "$TMP/flags"/*

# ---- the worker dies, the hook never comes ----
cat >"$TMP/job3" <<'JOB'
started || exit 1
network
container "" egret-test/alpine:1
setsid sleep 300 &
touch "$FLAGS/there"
sleep 300
JOB
(runner_run "$TMP/one" $ONE "$TMP/job3" >"$TMP/out.3" 2>&1) &
seen there
for p in $(find "$CGROOT$SLICE/$ONE" -name cgroup.procs -exec cat {} +); do [ "$(cat "/proc/$p/comm")" != Runner.Worker ] || worker=$p; done
kill -9 "$worker"
t "a killed worker ends the job" wait_for 20 "[ -z \"\$(job_names)\" ]"
t "what it left is killed, its containers too" wait_for 10 "[ -z \"\$(docker ps -q)\$(cat '$CGROOT$SLICE/$ONE/cgroup.procs')\" ]"
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
