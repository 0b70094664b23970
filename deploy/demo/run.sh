#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make run`: a CI job on real traffic, without and with egret, side by side, judged by what reached the other end. Nothing leaves this
# machine: all of it happens in two network namespaces that are gone afterwards.
#
#   run.sh [--job COMMAND] [--policy FILE]     with either: runs that under egret, in the machine's own network
set -uo pipefail
export LC_ALL=C
DEMO=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$DEMO/../.." && pwd)
BUILD=${BUILD:-$ROOT/build}
case $BUILD in /*) ;; *) BUILD=$ROOT/$BUILD ;; esac
EGRET=$BUILD/bin/egret
KEEP=$BUILD/demo
W=

say() { printf '%s\n' "$*"; }
die() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}
bold= dim= red= green= off=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' off=$'\e[0m'; fi

job= policy=
while [ $# -gt 0 ]; do
	case $1 in
	--job) job=${2:?--job needs a command} && shift 2 ;;
	--policy) policy=${2:?--policy needs a file} && shift 2 ;;
	*) die "unknown argument '$1': run.sh [--job COMMAND] [--policy FILE]" ;;
	esac
done
[ "$(id -u)" = 0 ] || die 'egret loads kernel programs: run "sudo make run"'
[ -x "$EGRET" ] || die "$EGRET is not there: run \"make build\" first"

# One's own job: the machine's network, one's own policy, events on this terminal.
if [ -n "$job$policy" ]; then
	[ -z "$policy" ] || [ -r "$policy" ] || die "the policy $policy cannot be read"
	[ -n "$job" ] || job='exec "${SHELL:-/bin/sh}"'
	exec "$EGRET" run ${policy:+--policy "$policy"} -- /bin/sh -c "$job"
fi

"$ROOT/deploy/deps.sh" demo || exit 1
. "$DEMO/world.sh"

leave() {
	local status=$?
	trap - EXIT INT TERM HUP
	[ -z "$W" ] || rm -f "$W/pause"
	[ -z "${RUN_PID:-}" ] || { kill "$RUN_PID" 2>/dev/null && wait "$RUN_PID" 2>/dev/null; }
	world_down
	[ -z "$W" ] || rm -rf --one-file-system "$W"
	exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
W=$(mktemp -d /tmp/egret-demo.XXXXXX) || die "no temporary folder"
chmod 755 "$W"

say "${bold}egret: one release job, without and with${off}"
say "${dim}setting up two network namespaces, a CA, nginx, a name server ...${off}"
world_up || die "the demo's world could not be set up (see above)"
cp "$DEMO/release.sh" "$W/release.sh"
chmod 755 "$W/release.sh"
TOKEN="rel-$(openssl rand -hex 20)"

# ---- egret's side: policy, credential, configuration, secret ----
cat >"$W/policy.json" <<'JSON'
{
  "version": 1, "name": "demo-release", "mode": "enforce",
  "rules": [
    { "id": "read",    "allow": "READ https://api.shop.test/**" },
    { "id": "publish", "allow": "POST https://api.shop.test/v1/releases", "credential": "release" }
  ]
}
JSON
cat >"$W/credential.json" <<'JSON'
{
  "name": "release", "provider": "store", "value": "release-token", "for": "any", "hosts": ["api.shop.test"],
  "inject": [ { "header": "Authorization", "format": "Bearer {token}" } ]
}
JSON
cat >"$W/egret.json" <<JSON
{
  "state_dir": "$W/state", "run_dir": "$W/run",
  "upstream": { "hosts": { "api.shop.test": ["$API"], "evil.test": ["$EVIL"] }, "ca_file": "$W/ca.pem", "allow_private": ["198.51.100.0/24"] }
}
JSON
export EGRET_STATE_DIR=$W/state EGRET_RUN_DIR=$W/run

# The processes of the job: those with the demo's mark in their environment and (with egret) a pid namespace of their own.
job_pids() { # with|without
	local p own
	own=$(readlink /proc/self/ns/pid)
	grep -lzx "EGRET_DEMO=$$" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r _ _ p _; do
		[ "$1" = with ] && [ "$(readlink "/proc/$p/ns/pid")" = "$own" ] || echo "$p"
	done
}
wait_done() { # until the job has made its attempts, or ended, at most two minutes
	local tries=0
	until [ -e "$1.done" ] || ! kill -0 "$RUN_PID" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 2400 ] || return 1
		sleep 0.05
	done
	[ -e "$1.done" ]
}
# Where the token is in the job while it still runs: its files, and the memory (environment included) of its processes.
search_job() { # with|without; sets found_files found_memory searched
	local pids line
	mapfile -t pids < <(job_pids "$1")
	searched=${#pids[@]} found_memory=0
	if [ "$searched" -gt 0 ]; then
		while read -r _ _ line; do found_memory=$((found_memory + line)); done < <(printf %s "$TOKEN" | "$W/scan" "${pids[@]}")
	fi
	found_files=$(printf '%s\n' "$TOKEN" | grep -rlFf - "$W/home" "$W/got.$1" 2>/dev/null | wc -l)
}
got() { sed -n "s/^$2 //p" "$W/got.$1" 2>/dev/null; }
# The judge: what reached the other end in this run, an attempt a line.
reached() {
	local n=$1
	case $n in
	1) arrived '^api.shop.test\|api.shop.test\|GET\|/v1/releases\|' ;;
	2) arrived "\|POST\|/v1/releases\|Bearer $TOKEN\$" ;;
	3) arrived '\|POST\|/v1/admin\|' ;;
	4) arrived '\|POST\|/v1/releases/\.\./admin\|' ;;
	5) arrived '^evil.test\|evil.test\|POST\|/collect\|' ;;
	6) arrived '^api.shop.test\|evil.test\|GET\|/collect\|' ;;
	7) arrived '^-?\|(198\.51\.100\.20|evil\.test)\|GET\|/collect\|' ;;
	8) grep -c '^dns c2vjcmv0' "$W/dns.log" ;;
	9) grep -c '^udp 443' "$W/udp.log" ;;
	esac
}

# What could stay: mounts, cgroups, pinned kernel objects, network namespaces.
traces() {
	{
		awk '$5 ~ /egret/ { print "mount " $5 }' /proc/self/mountinfo
		awk '/ - cgroup2 / { print $5 }' /proc/self/mountinfo | while read -r p; do find "$p" -maxdepth 4 -type d -name '*egret*' -printf 'cgroup %p\n'; done
		awk '/ - bpf / { print $5 }' /proc/self/mountinfo | while read -r p; do find "$p" -mindepth 1 -maxdepth 3 -path '*egret*' -printf 'pin %p\n'; done
		ls /run/netns 2>/dev/null | sed -n '/egret/s/^/netns /p'
	} 2>/dev/null | sort -u
}
before=$(traces)

declare -A GOT=() REACHED=()
one_run() { # with|without, command...
	local kind=$1 n
	shift
	world_forget
	rm -rf "$W/home"
	mkdir -m 777 "$W/home"
	: >"$W/pause"
	: >"$W/got.$kind"
	chmod 666 "$W/got.$kind"
	"$@" >"$W/out.$kind" 2>"$W/err.$kind" &
	RUN_PID=$!
	if ! wait_done "$W/home/got"; then
		say "${red}the run $kind egret did not get through:${off}"
		sed 's/^/  /' "$W/err.$kind" "$W/out.$kind" | tail -n 30
	fi
	search_job "$kind"
	rm -f "$W/pause"
	wait "$RUN_PID"
	STATUS=$?
	RUN_PID=
	cp "$W/home/got" "$W/got.$kind" 2>/dev/null
	for n in 1 2 3 4 5 6 7 8 9; do
		GOT[$kind$n]=$(got "$kind" $n)
		REACHED[$kind$n]=$(reached $n)
	done
}

say "${dim}first without egret ...${off}"
# shellcheck disable=SC2016
one_run without nsenter --net="/run/netns/$HOST_NS" unshare -m --propagation private bash -c '
	mount --bind "$0/resolv.conf" "$(readlink -f /etc/resolv.conf)"; mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf; mount --bind "$0/hosts" /etc/hosts
	unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY
	export CURL_CA_BUNDLE="$0/ca.pem" HOME="$0/home" EGRET_DEMO="$1" RELEASE_TOKEN="$2"
	exec "$0/release.sh" "$0/home/got" "$0/pause"' "$W" "$$" "$TOKEN"
memory_without=$found_memory

say "${dim}then with egret ...${off}"
if ! printf %s "$TOKEN" | "$EGRET" secret set release-token >"$W/err.secret" 2>&1; then
	cat "$W/err.secret" >&2
	die "the secret could not be stored"
fi
one_run with env HOME="$W/home" EGRET_DEMO=$$ nsenter --net="/run/netns/$HOST_NS" "$EGRET" run --config "$W/egret.json" --policy "$W/policy.json" \
	--credential "$W/credential.json" --events "$W/events.ndjson" -- "$W/release.sh" "$W/home/got" "$W/pause"

# ---- the table ----
what=('' 'GET that a rule allows' 'release POST, token needed' 'POST that no rule allows' '.. in a path' 'another host'
	'Host other than the TLS name' 'raw address' 'DNS query with data in it' 'UDP 443')
# Attempt, how often it must reach the other end with egret, and what the job must be told.
must=('' '1|^200 ' '1|^201 ' '0|^403 Blocked by egret' '0|^40[03] .*egret' '0|^403 Blocked by egret' '0|^4(03|21) Blocked by egret' '0|^(403 Blocked by egret|no answer)' '0|' '0|^refused')
clip() { if [ ${#1} -gt "$2" ]; then printf '%s' "${1:0:$(($2 - 3))}..."; else printf '%s' "$1"; fi; }
shown() { # with|without, number: what the job got, and what left
	local r=${REACHED[$1$2]} g=${GOT[$1$2]:-nothing}
	g=$(sed 's/ *(event [0-9]*)$//' <<<"$g")
	if [ "$r" = 0 ]; then printf '%s' "$g"; else printf '%s, arrived' "$g"; fi
}
wide=0
if [ -t 1 ]; then wide=$(tput cols 2>/dev/null || echo 0); fi
col=$((wide > 150 ? 74 : 58))
say
printf "${bold}%-2s %-29s %-28s %s${off}\n" '' 'attempt' 'without egret' 'with egret'
good=0
for n in 1 2 3 4 5 6 7 8 9; do
	IFS='|' read -r times text <<<"${must[$n]}"
	ok=1
	[ "${REACHED[with$n]}" = "$times" ] || ok=
	[[ ${GOT[with$n]} =~ $text ]] || ok=
	[ -n "${GOT[with$n]}" ] || ok=
	# The control: without egret each of them got out, or this shows nothing.
	[ "${REACHED[without$n]}" -ge 1 ] || ok=
	# The release must have worked without the job ever holding the token.
	if [ $n = 2 ]; then
		[ "$found_memory" = 0 ] && [ "$found_files" = 0 ] && [ "$searched" -gt 0 ] && [ "$memory_without" -gt 0 ] || ok=
	fi
	[ -z "$ok" ] || good=$((good + 1))
	printf "%s%-2s%s %-29s %-28s %s\n" "$([ -n "$ok" ] && echo "$green" || echo "$red")" "$([ -n "$ok" ] && echo ok || echo '!!')" "$off" \
		"${what[$n]}" "$(clip "$(shown without $n)" 27)" "$(clip "$(shown with $n)" $col)"
	if [ -z "$ok" ]; then
		printf '   %sexpected: reaches the other end %s times, the job is told /%s/; it reached it %s times (without egret: %s)%s\n' "$red" "$times" "$text" \
			"${REACHED[with$n]}" "${REACHED[without$n]}" "$off"
	fi
done
say
say "the token, searched in environment, files and memory of the job: without egret $memory_without times, with egret $((found_memory + found_files)) times in $searched processes;"
say "the origin counted the release with the token ${REACHED[with2]} time, put there by egret's proxy"

mkdir -p "$KEEP"
cp "$W/events.ndjson" "$KEEP/events.ndjson" 2>/dev/null
cp "$W/policy.json" "$KEEP/policy.json"
rel() { case $1 in "$PWD"/*) echo "${1#"$PWD"/}" ;; *) echo "$1" ;; esac; }
if [ -s "$KEEP/events.ndjson" ]; then
	say "events:      $(rel "$KEEP/events.ndjson") ($(wc -l <"$KEEP/events.ndjson") lines; $(rel "$EGRET") events --input-file $(rel "$KEEP/events.ndjson"))"
else
	good=0
	say "${red}events:      none were written${off}"
fi
say "your own:    sudo make run JOB='npm ci' POLICY=policies/npm.json"

# ---- what is left ----
# egret's own processes end a moment after the last job.
remains() {
	local p
	for p in $(ip netns pids "$HOST_NS"); do echo "process $p $(cat "/proc/$p/comm" 2>/dev/null)"; done
	comm -13 <(printf '%s\n' "$before") <(traces)
}
tries=0
while mapfile -t left < <(remains) && [ ${#left[@]} -gt 0 ] && [ $tries -lt 50 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
if [ ${#left[@]} -eq 0 ]; then
	say "left behind: nothing but $(rel "$KEEP")"
else
	good=0
	say "${red}left behind:$(printf ' %s;' "${left[@]}")${off}"
fi
[ "$STATUS" = 0 ] || { say "${red}the job ended with status $STATUS${off}"; sed 's/^/  /' "$W/err.with" | tail -n 10; good=0; }
if [ $good = 9 ]; then
	say "${green}OK 9 of 9 as expected${off}"
	exit 0
fi
say "${red}FAILED $good of 9 as expected${off}"
exit 1
