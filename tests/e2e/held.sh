#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 26 s
# not quick
# timeout: 300
# Containers that start with nobody asking (docker with plain runc): held at the first exec, identified, served, let go with bundles laid into them;
# an egretd that does not answer means refuse, never stop; egret attach.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
HOST_MANAGED=$(host_managed '"adopt": "sole", "unregistered": "deny"')
host_up
installed web '"allow": "READ https://api.test/**"'
kill -HUP "$DAEMON"
HOST_RUNTIME=runc host_docker
images_into docker static alpine debian || done_testing
A=egret-test/alpine:1 D=egret-test/debian:1
now_s() { date +%s; }

# ---- nobody's: goes on, refused ----
start=$(now_ms)
like "$(docker run --rm $A fetch $ALLOWED 2>&1)" 'error' "no job: it runs and is refused"
at_most $(($(now_ms) - start)) 8000 "without waiting for anybody, ms"

# ---- joined while it was held ----
JOB=$(host_register web)
like "$JOB" '^j-' "a job is registered" || { tail "$TMP/egretd.log" | sed 's/^/# /'; done_testing; }
like "$(docker run --rm $A fetch $ALLOWED $REFUSED 2>&1 | tr '\n' '.')" '200 hello from api.403 Blocked by egret' "Alpine-like: its first connection is served, its own bundle trusts"
like "$(docker run --rm $D curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "Debian-like: curl by the system's bundle"
like "$(docker run --rm $D python3 -c "import urllib.request as u; print(u.urlopen('$ALLOWED', timeout=20).read())" 2>&1)" 'hello from api' "python likewise"
like "$(docker run --rm $D curl -sS --max-time 20 $REFUSED 2>&1)" 'no rule allows' "refused in words"
like "$(docker run --rm egret-test/static:1 /fetch $ALLOWED 2>&1)" 'TLS|error' "an image without a bundle has nothing that could trust"
like "$(docker run --rm --read-only --network none $A fetch $ALLOWED 2>&1)" '200 hello' "read-only root, no network of its own"
docker run -d --name long $D sleep 600 >/dev/null
like "$(docker exec long curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "docker exec in such a container"
like "$(job_show "$JOB")" 'trust: files only|files only|files' "egret job show says: trust: files only"
for i in 1 2 3; do docker run --rm $A fetch $ALLOWED 2>&1; done >"$TMP/three"
is "$(grep -c '200 hello' "$TMP/three")" 3 "containers whose first act is a connection, three of three"

# ---- egretd stopped: refused, not stopped ----
kill -STOP "$DAEMON"
sleep 3 # the beat becomes stale: this is a time by design
start=$(now_ms)
out=$(docker run --rm $A sh -c "echo ran; fetch $ALLOWED" 2>&1)
took=$(($(now_ms) - start))
kill -CONT "$DAEMON"
like "$out" 'ran' "a stale egretd stops nobody"
unlike "$out" '200' "and nobody unknown gets through"
at_most $took 30000 "in bounded time, ms"
kill -9 "$DAEMON"
wait "$DAEMON" 2>/dev/null
# Stopped in the seconds before the beat is stale, by one that died: the next egretd lets it go.
(docker run --rm $A sh -c "echo ran; fetch $ALLOWED" >"$TMP/late" 2>&1) &
late=$!
wait_for 10 "docker ps | grep -q alpine"
sleep 3 # stale now
out=$(docker run --rm $A sh -c "echo ran; fetch $ALLOWED" 2>&1)
like "$out" 'ran' "no egretd: runs"
unlike "$out" '200' "and is refused"
daemon_start
wait_for 20 "! kill -0 $late" || { docker kill $(docker ps -q --filter ancestor=$A) >/dev/null; }
like "$(cat "$TMP/late")" 'ran' "who was stopped while egretd died is let go by the next one"
t "egretd came back to its job" wait_for 10 "[ \"\$(job_names)\" = '$JOB' ]"
like "$(docker exec long curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "the container that ran is served as before"
job_end "$JOB"
wait_for 15 "[ -z \"\$(docker ps -q)\" ]" || docker rm -f $(docker ps -q) >/dev/null

# ---- attach ----
docker run -d --name alone $D sleep 600 >/dev/null
id=$(docker inspect -f '{{.Id}}' alone)
like "$(docker exec alone curl -sS --max-time 10 $ALLOWED 2>&1)" 'curl: \(' "before attach: refused"
JOB=$(in_host "$EGRET" attach --container "${id:0:12}" --label repo=web --label event=push 2>&1)
like "$JOB" '^j-' "egret attach makes a job of it"
like "$(docker exec alone curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "after attach: served, trusted"
like "$(docker exec alone curl -sS --max-time 20 $REFUSED 2>&1)" 'no rule allows' "and refused in words"
docker run -d --name second $A sleep 600 >/dev/null
job_end "$JOB"
docker rm -f alone second >/dev/null 2>&1

docker run -d --name cg $A sleep 600 >/dev/null
id=$(docker inspect -f '{{.Id}}' cg)
JOB=$(in_host "$EGRET" attach --cgroup "docker/$id" --label repo=web --label event=push 2>&1)
like "$JOB" '^j-' "egret attach by cgroup"
like "$(docker exec cg fetch -c /etc/ssl/cert.pem $ALLOWED 2>&1)" '200 hello' "is served"
like "$(in_host "$EGRET" attach --container 0123456789ab --label repo=web --label event=push 2>&1)" '0123456789ab|no container|no such' "a container that is not there: said"
job_end "$JOB"
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
