#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 45 s
# not quick
# timeout: 400
# Containers of a real dockerd with egret-runc as its runtime: every kind of network and image, at the container's start and by `docker exec`;
# what is not a job's stays refused. The job is an admin's registration, which unlabelled containers join ("adopt": "sole").
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/packages.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
HOST_MANAGED=$(host_managed '"adopt": "sole"')
host_up
installed web '"allow": "READ https://api.test/**"' '"allow": "READ https://git.test/**"' '"allow": "READ http://api.test:8080/**"'
kill -HUP "$DAEMON"
host_docker
images_into docker static alpine nonroot debian || done_testing
A=egret-test/alpine:1 D=egret-test/debian:1
fetch() { docker run --rm "${@:2}" "$1" fetch $ALLOWED $REFUSED 2>&1; }
both='200 hello from api.403 Blocked by egret'
one_line() { tr '\n' '.' <<<"$1"; }

# ---- nobody's ----
like "$(fetch $A)" 'error' "no job runs: a container is refused"
unlike "$(origin_log)" 'hello|evil' "and nothing of it arrived"

JOB=$(host_register web) && like "$JOB" '^j-[0-9a-f]+$' "a job is registered" || { diag "$JOB"; tail "$TMP/egretd.log" | sed 's/^/# /'; done_testing; }

# ---- networks ----
docker network create jobnet >/dev/null
for net in bridge jobnet none host; do
	like "$(one_line "$(fetch $A --network $net)")" "$both" "network $net: allowed and refused, in words"
done
like "$(one_line "$(fetch $A --read-only)")" "$both" "a read-only root"
like "$(one_line "$(fetch egret-test/nonroot:1)")" "$both" "an image with a user of its own"
like "$(one_line "$(docker run --rm egret-test/static:1 /fetch $ALLOWED $REFUSED 2>&1)")" "$both" "an image without any file: no shell, no bundle, no /etc"
like "$(one_line "$(docker run --rm --env SSL_CERT_FILE=/etc/ssl/cert.pem $A fetch $ALLOWED 2>&1)")" '200 hello' "a variable that the image set to its own bundle"
like "$(docker run --rm $A fetch -c /etc/ssl/cert.pem $ALLOWED 2>&1)" '200 hello' "a client that reads Alpine's file, variables or not"

# ---- Debian-like: curl, git, python, and by exec ----
make_git
docker run -d --name long $D sleep 600 >/dev/null
t "a container that stays" docker exec long true
for how in run exec; do
	if [ $how = run ]; then in_c() { docker run --rm $D "$@" 2>&1; }; else in_c() { docker exec long "$@" 2>&1; }; fi
	is "$(in_c curl -sS --max-time 20 $ALLOWED)" 'hello from api' "$how: curl, allowed"
	like "$(in_c curl -sS --max-time 20 $REFUSED)" 'Blocked by egret: no rule allows GET https?://evil\.test/|no rule allows' "$how: curl, refused in words"
	like "$(in_c python3 -c "import urllib.request as u; print(u.urlopen('$ALLOWED', timeout=20).read())")" 'hello from api' "$how: python, allowed"
	like "$(in_c python3 -c "import urllib.request as u; u.urlopen('$REFUSED', timeout=20)")" '403.*[Ee]gret' "$how: python, refused in words"
	like "$(in_c git ls-remote https://git.test/repo.git)" 'refs/heads/main' "$how: git, allowed"
	like "$(in_c git ls-remote https://evil.test/x.git)" '403|egret' "$how: git, refused"
	is "$(in_c curl -sS --max-time 20 http://api.test:8080/hello.txt)" 'hello from api' "$how: plain http, allowed"
	like "$(in_c sh -c 'curl -sS --max-time 10 https://198.51.100.20/ -k; curl -sS --max-time 10 telnet://198.51.100.20:22')" 'refused|reset|denied|no rule|permitted|eset' "$how: by address, refused"
	like "$(in_c sh -c 'echo $EGRET_JOB')" "$JOB" "$how: the job's name is in the environment"
	like "$(in_c sh -c 'for f in ca.pem bundle.pem; do grep -c BEGIN /run/egret/$f; done' | tr '\n' ' ')" '^1 [1-9][0-9]+' "$how: CA and bundle are there, with the public roots"
done
like "$(docker exec -u 1000 long curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "exec as another user"
like "$(docker exec -e CURL_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt long curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "exec with the distribution's own bundle named"
like "$(docker exec long env -i curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "without any variable, by the bundle's place"
like "$(docker exec long touch /etc/ssl/certs/ca-certificates.crt 2>&1; docker exec long sh -c 'echo x >>/run/egret/ca.pem' 2>&1)" 'ead-only|denied' "the job cannot write what is laid into it"

# ---- what it may not do ----
sock='import socket,sys
for f,t,p in ((17,3,0),(17,2,0),(40,1,0),(38,5,0),(44,3,0),(2,3,1),(2,2,1)):
    try: socket.socket(f,t,p); print("opened",f,t)
    except OSError as e: pass'
is "$(docker exec long python3 -c "$sock" 2>&1)" "" "packet, vsock, alg, xdp, raw and ping sockets are refused"
like "$(docker run --rm --cap-add NET_RAW --cap-add NET_ADMIN $D sh -c 'grep CapBnd /proc/self/status' 2>&1)" 'CapBnd:\s+[0-9a-f]*[0-9a-f]$' "capabilities can be read"
caps=$((16#$(docker run --rm $D grep CapBnd /proc/self/status | awk '{print $2}')))
is $((caps >> 13 & 1)) 0 "NET_RAW is taken away"
is $((caps >> 12 & 1)) 0 "NET_ADMIN is not there"

# ---- a cgroup outside ----
out=$(docker run --rm --cgroup-parent "/egret-rig$$/outside" $A fetch $ALLOWED 2>&1)
isnt $? 0 "--cgroup-parent outside the slice: does not start"
like "$out" 'egret' "and it is egret that says so"
cgroup_sweep "/egret-rig$$"

# ---- what is shown ----
show=$(job_show "$JOB")
like "$show" 'container' "egret job show names the members"
like "$(in_host "$EGRET" job list)" "$JOB" "one line in egret job list"
is "$(in_host "$EGRET" job list | grep -c '^j-\|j-[0-9a-f]')" 1 "and only one"
like "$(stream | jq -r 'select(.kind=="http.request") | .job.repo' | sort -u)" '^web$' "every request in the log is that job's"
is "$(stream | jq -r 'select(.kind=="http.request" and .verdict=="allow" and (.http.url|contains("evil"))) | .seq')" "" "none to the refused host was allowed"
unlike "$(origin_log)" '^evil\.test' "the refused host was never contacted"

# ---- the end ----
job_end "$JOB"
t "the job's end ends its containers" wait_for 15 "[ -z \"\$(docker ps -q)\" ]"
like "$(fetch $A)" 'error' "no job again: a container is refused"

# ---- the host's network, for who could open packet sockets ----
if "$EGRET" status --json | jq -e '.walls | split(" ") | index("lsm")' >/dev/null; then
	skip "a privileged container on the host's network" "the LSM wall stands here"
else
	JOB=$(host_register web)
	like "$(docker run --rm --privileged --network host $A fetch $ALLOWED 2>&1)" 'must not be able to open packet sockets' "a privileged one does not start, in words"
	like "$(docker run --rm --cap-add SYS_ADMIN --network host $A fetch $ALLOWED 2>&1)" 'must not be able to open packet sockets' "nor one with SYS_ADMIN"
	like "$(fetch $A --network host)" '200 hello from api' "one without is served there"
	like "$(fetch $A --cap-add SYS_ADMIN)" '200 hello from api' "and one with SYS_ADMIN on a network of its own"
	job_end "$JOB"
fi
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
