#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# timeout: 300
# Service containers: redis and postgres by name from a job's container, by a published port from a step on the host; and nobody else's.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
host_up
mkdir -m 777 "$TMP/flags"
installed acme/web '"allow": "READ https://api.test/**"' '"allow": "services"'
installed acme/none '"allow": "READ https://api.test/**"'
kill -HUP "$DAEMON"
host_docker --group $HOST_DOCKER_GID
images_into docker alpine redis postgres || done_testing
runner_make "$TMP/one" one
ONE=actions.runner.acme.one.service

cat >"$TMP/job" <<'JOB'
started || { echo "hook failed"; exit 1; }
network
service redis egret-test/redis:1 -p 6379; R=$C
service postgres egret-test/postgres:1 -p 5432; P=$C
container "" egret-test/alpine:1; JOB_C=$C
for i in $(seq 100); do docker exec "$P" pg_isready -q -h 127.0.0.1 && break; sleep 0.1; done
step 'printf "PING\r\n" | timeout 10 nc redis 6379 | sed "s/^/by name: /"'
docker run --rm --label "$LABEL" --network "$NETWORK" egret-test/postgres:1 psql -h postgres -U postgres -Atc "select 'sql', 40 + 2" 2>&1 | sed 's/^/by name: /'
RPORT=$(docker port "$R" 6379/tcp | head -n 1 | sed 's/.*://') PPORT=$(docker port "$P" 5432/tcp | head -n 1 | sed 's/.*://')
echo "by port: $(redis-cli -h 127.0.0.1 -p "$RPORT" ping 2>&1)"
echo "by port: $("$PSQL" -h 127.0.0.1 -p "$PPORT" -U postgres -Atc "select 'sql', 40 + 2" 2>&1)"
echo "localhost: $(redis-cli -h localhost -p "$RPORT" ping 2>&1)"
echo "another port: $(redis-cli -h 127.0.0.1 -p 9 ping 2>&1)"
step 'nslookup redis 2>&1 | grep -c Address; nslookup secret.corp. 2>&1 | sed "s/^/lookup: /"; nslookup nobody 2>&1 | sed "s/^/lookup: /"'
echo "$NETWORK $(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$R") $RPORT" >"$FLAGS/net"
touch "$FLAGS/there"; wait_file "$FLAGS/go"
finish
JOB
PSQL=$(find /usr/lib/postgresql/*/bin/psql | tail -n 1)
(runner_run "$TMP/one" $ONE "$TMP/job" PSQL="$PSQL" >"$TMP/out" 2>&1) &
job=$!
wait_for 90 "[ -e '$TMP/flags/there' ]" || { fail "the job came to its end" "$(cat "$TMP/out"; tail "$TMP/egretd.log")"; done_testing; }
out=$(cat "$TMP/out")
like "$out" '^by name: \+PONG' "redis by name, from the job's container"
like "$out" '^by name: sql\|42' "postgres by name, from a container step"
like "$out" '^by port: PONG' "redis by its published port, from a step on the host"
like "$out" '^by port: sql\|42' "postgres by its published port, from a step on the host"
like "$out" '^localhost: PONG' "by the name localhost too"
unlike "$(grep '^another port' <<<"$out")" 'PONG' "loopback of the host is open for published ports only"
unlike "$(grep '^lookup:' <<<"$out")" 'NOERROR.*nobody|Name:\s*nobody' "names that are no service's are not known"
read -r net ip port <"$TMP/flags/net"
unlike "$(docker run --rm --network "$net" egret-test/alpine:1 sh -c "echo PING | timeout 5 nc $ip 6379" 2>&1)" 'PONG' "a container of nobody, on the job's network: not reached"
unlike "$(in_origin sh -c "echo PING | timeout 5 busybox nc 198.51.100.1 $port" 2>&1)" 'PONG' "from outside, by the published port: not reached (no inbound: allow)"
: >"$TMP/flags/go"
wait $job
wait_for 20 "[ -z \"\$(job_names)\" ]"
rm -f "$TMP/flags"/*

# Without the rule the same job reaches none of them.
(runner_run "$TMP/one" $ONE "$TMP/job" PSQL="$PSQL" GITHUB_REPOSITORY=acme/none >"$TMP/out" 2>&1) &
job=$!
wait_for 120 "[ -e '$TMP/flags/there' ]" || fail "the job came to its end" "$(cat "$TMP/out")"
unlike "$(cat "$TMP/out")" 'PONG|sql\|42' "without the rule services: refused"
: >"$TMP/flags/go"
wait $job
wait_for 20 "[ -z \"\$(job_names)\" ]"
rm -f "$TMP/flags"/*

# With "inbound": "allow" the world may ask the services.
installed acme/web '"allow": "services"'
jq '. + {inbound: "allow"}' "$TMP/policies/acme-web.json" >"$TMP/policies/x.new" && mv "$TMP/policies/x.new" "$TMP/policies/acme-web.json"
kill -HUP "$DAEMON"
(runner_run "$TMP/one" $ONE "$TMP/job" PSQL="$PSQL" >"$TMP/out" 2>&1) &
job=$!
wait_for 90 "[ -e '$TMP/flags/there' ]" || fail "the job came to its end" "$(cat "$TMP/out")"
read -r net ip port <"$TMP/flags/net"
like "$(in_origin sh -c "echo PING | timeout 5 busybox nc 198.51.100.1 $port" 2>&1)" 'PONG' "with inbound: allow it is reached from outside"
: >"$TMP/flags/go"
wait $job
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
