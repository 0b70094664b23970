#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make bench`: measures what tests/bench/RESULTS.md keeps. Root; own network namespaces only. Figures are printed, not judged: a machine
# that does other work at the same time makes them worse, so the load is printed with them. Ends with 1 when something could not be measured.
#
#   tests/bench/run.sh [connect] [direct] [maps] [packets] [wall] [match] [scrub] [later] [leaf] [h2_code] [ring] [standing] [jobs] [docker_run] [passthrough] [rtt] [credentials]        default: all, and of the engine
#       [requests] [h2] [connections] [first_sight] [bulk] [idle] [flat] [rules]       (its peers, sizes and rounds: engine.sh)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
export BUILD=${BUILD:-$PWD/build}
if [ "$(id -u)" != 0 ]; then
	echo 'egret loads kernel programs: run "sudo make bench"' >&2
	exit 1
fi
make -s BUILD="$BUILD" build "$BUILD"/tests/bench/bench_{connect,direct,first,h2,later,leaf,load,turns,maps,packets,match,scrub,ring,register} "$BUILD/tests/bench/rtt_relay" || exit 1
failed=0
part() { # name, command...
	local name=$1
	shift
	echo "== $name  ($(date -u +%FT%TZ), load $(cut -d' ' -f1-3 /proc/loadavg))"
	"$@" || {
		echo "$name: could not be measured"
		failed=1
	}
}
engine='requests h2 connections first_sight bulk idle flat rules'
[ $# -gt 0 ] || set -- connect direct maps packets wall match scrub later leaf h2_code ring standing $engine passthrough rtt credentials jobs docker_run
echo "machine: $(nproc) cpus, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"
for one; do
	case $one in
	connect) part connect "$BUILD/tests/bench/bench_connect" ;;
	direct) part direct "$BUILD/tests/bench/bench_direct" ;;
	maps) part maps "$BUILD/tests/bench/bench_maps" ;;
	packets) part packets "$BUILD/tests/bench/bench_packets" ;;
	match) part match "$BUILD/tests/bench/bench_match" ;;
	scrub) part scrub "$BUILD/tests/bench/bench_scrub" ;;
	h2_code) part h2_code "$BUILD/tests/bench/bench_h2" ;;
	later) part later "$BUILD/tests/bench/bench_later" ;;
	leaf) part leaf "$BUILD/tests/bench/bench_leaf" ;;
	ring) part ring "$BUILD/tests/bench/bench_ring" ;;
	standing) part standing tests/bench/standing.sh ;;
	wall | jobs | docker_run | passthrough | credentials) part "$one" "tests/bench/$one.sh" ;;
	rtt)
		part "rtt, one root" tests/bench/rtt.sh
		part "rtt, the system's roots" env ROOTS=system KINDS="curl git" tests/bench/rtt.sh
		part "rtt, a nameserver on the path" env DNS=path tests/bench/rtt.sh
		;;
	*)
		if [[ " $engine " == *" $one "* ]]; then
			part "$one" tests/bench/engine.sh "$one"
		else
			echo "tests/bench/run.sh: $one: connect, direct, maps, packets, wall, match, scrub, later, leaf, h2_code, ring, standing, jobs, docker_run, passthrough, rtt, credentials, ${engine// /, }" >&2
			exit 2
		fi
		;;
	esac
done
exit $failed
