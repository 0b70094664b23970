#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What egret costs a container: `docker run` of one that does nothing, and `docker exec`, with egret-runc as a member of a job and with plain runc
# outside of egret, by one dockerd, in interleaved pairs whose order alternates; the median of the pairs' own ratios (bound 1.2). Called by run.sh. PAIRS (40).
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
PAIRS=${PAIRS:-40}
HOST_MANAGED=$(host_managed '"adopt": "sole"')
host_up >/dev/null
installed bench '"allow": "GET https://api.test/**"'
kill -HUP "$DAEMON"
host_docker
images_into docker alpine
A=egret-test/alpine:1
JOB=$(host_register bench)
case $JOB in j-*) ;; *) echo "$JOB"; exit 1 ;; esac
us() { echo "${EPOCHREALTIME/./}"; }
# One client process each, entered into the namespaces once: what is timed is docker.
cat >"$TMP/pairs.sh" <<'SH'
d="$1" sock=$2 parent=$3 image=$4 pairs=$5 what=$6
us() { echo "${EPOCHREALTIME/./}"; }
with() { if [ $what = run ]; then "$d" -H "unix://$sock" run --rm "$image" true; else "$d" -H "unix://$sock" exec with true; fi >/dev/null || exit 1; }
without() { if [ $what = run ]; then "$d" -H "unix://$sock" run --rm --runtime runc --cgroup-parent "$parent" "$image" true; else "$d" -H "unix://$sock" exec without true; fi >/dev/null || exit 1; }
time_of() { local s=$(us); "$1"; echo $(($(us) - s)); }
with; without
for ((i = 0; i < pairs; i++)); do
	if [ $((i % 2)) = 0 ]; then a=$(time_of with) b=$(time_of without); else b=$(time_of without) a=$(time_of with); fi
	echo "$a $b"
done
SH
docker run -d --name with $A sleep 3600 >/dev/null && docker run -d --name without --runtime runc --cgroup-parent "$RIG_PARENT/docker" $A sleep 3600 >/dev/null || exit 1
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
for what in run exec; do
	in_host bash "$TMP/pairs.sh" "$DOCKER_BIN" "$DOCKER_SOCK" "$RIG_PARENT/docker" $A "$PAIRS" $what >"$TMP/times.$what" || exit 1
	[ "$(wc -l <"$TMP/times.$what")" = "$PAIRS" ] || exit 1
	echo "docker $what, $PAIRS pairs: with $(awk '{ print $1 }' "$TMP/times.$what" | median) us, without $(awk '{ print $2 }' "$TMP/times.$what" | median) us, median ratio $(awk '{ printf "%.3f\n", $1 / $2 }' "$TMP/times.$what" | median)"
done
is "$(job_show "$JOB" | grep -c 'trust: full')" 1 "the container with egret was a member" >"$TMP/check" || { cat "$TMP/check"; exit 1; }
docker_down >/dev/null
daemon_stop
