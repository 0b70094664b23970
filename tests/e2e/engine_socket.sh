#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 45 s
# not quick
# timeout: 200
# "engine_socket": "hide": containers of a job that GitHub's runner made, with docker's socket mounted as it does for each, stay confined and have no
# socket; a folder with the socket in it, and a host that keeps the socket, make the job cooperative.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
HOST_MANAGED=$(host_managed '"adopt": "sole", "engine_socket": "hide"')
host_up
installed web '"allow": "READ https://api.test/**"'
kill -HUP "$DAEMON"
host_docker
images_into docker alpine || done_testing
A=egret-test/alpine:1
job() { JOB=$(host_register web); like "$JOB" '^j-' "a job is registered" || done_testing; }
tier() { job_show "$JOB" | grep -oE '\b(confined|cooperative)\b' | head -n 1; }
look='ls -l /s/sock /var/run/docker.sock 2>/dev/null | grep -c ^s; fetch '$ALLOWED
in_host ln -s docker.sock /run/other.sock
in_host ln -s /run /run/all

job
is "$(tier)" confined "it is confined"
is "$(docker run --rm -v /var/run/docker.sock:/var/run/docker.sock $A sh -c "$look" 2>&1 | tr '\n' ' ')" "0 200 hello from api " "with docker's socket mounted: it is not there, and the container is served"
is "$(docker run --rm -v /run/other.sock:/s/sock $A sh -c "$look" 2>&1 | tr '\n' ' ')" "0 200 hello from api " "nor by a link"
is "$(docker run --rm -v "$DOCKER_SOCK:/s/sock" $A sh -c "$look" 2>&1 | tr '\n' ' ')" "1 200 hello from api " "a socket of another name and place is a file like others"
is "$(tier)" confined "the job is still confined"
is "$(docker run --rm -v /run/all:/s $A sh -c 'ls -l /s/docker.sock | grep -c ^s' 2>&1)" 1 "a folder with the socket in it is mounted"
is "$(tier)" cooperative "and makes the job cooperative, link or not"
job_end "$JOB"

job
docker run --rm -v /var/run:/s $A true
is "$(tier)" cooperative "/var/run does"
job_end "$JOB"

HOST_MANAGED=$(host_managed '"adopt": "sole"')
daemon_config "\"managed\": [ $HOST_MANAGED ]"
host_restart
job
is "$(docker run --rm -v /var/run/docker.sock:/var/run/docker.sock $A sh -c "$look" 2>&1 | tr '\n' ' ')" "1 200 hello from api " "without the key the socket is there"
is "$(tier)" cooperative "and the job cooperative"
job_end "$JOB"
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
