#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Is anything of egret's left after a test run? Processes, cgroups, pins, network namespaces, temporary files. TAP.
# Run by tests/run: `list` before the suites (what is there already is nobody's fault), and with that list after them.
#
#   tests/clean.sh list >FILE; ...; tests/clean.sh FILE
#
# TMPDIR is the run's own folder: what names it belongs to this run. What another egretd, or another run's test, that lives now holds
# is left out. Reads names only; ends and removes nothing.
set -uo pipefail
export LC_ALL=C
mine=${TMPDIR:-/tmp}
cgroot=$(awk '{ for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") { print $5; exit } }' /proc/self/mountinfo)
pins=/sys/fs/bpf/egret

# The slice that an egretd holds open: it is in none itself.
held() { find "/proc/$1/fd" -lname "$cgroot/egretd*.slice" -printf '%l\n' 2>/dev/null | head -n 1; }
# The names of instances whose living egretd was not started by this run, as they stand in the list.
foreign() {
	local p
	foreign_instances | while read -r p; do
		case $p in
		'') ;;
		egretd) printf '%s\n' /egretd.slice /egret.slice "$pins/egret" ;;
		*) printf '%s\n' "/egretd-$p.slice" "/egret-$p.slice" "$pins/$p" ;;
		esac
	done
}
foreign_instances() {
	local p
	for p in /proc/[0-9]*; do
		[ "$(cat "$p/comm" 2>/dev/null)" = egretd ] || continue
		tr '\0' '\n' 2>/dev/null <"$p/cmdline" | grep -qF "$mine/" || basename "$(held "${p#/proc/}")" .slice | sed 's/^egretd-//'
	done
	# Kernel tests name theirs after their process.
	for p in "$cgroot"/egretd-t[0-9]*.slice; do
		p=${p##*-t} p=${p%.slice}
		[ -d "/proc/$p" ] && echo "t$p"
	done
}

names() { # kind
	local one p
	case $1 in
	process)
		for p in /proc/[0-9]*; do
			one=$(cat "$p/comm" 2>/dev/null) || continue
			[ "${p#/proc/}" != $$ ] && [ "$(awk '/^State:/ { print $2 }' "$p/status" 2>/dev/null)" != Z ] || continue
			case $one in
			egretd) one="egretd $(held "${p#/proc/}")" ;;
			egret-*) one="$one $(sed -n 's/^0:://p' "$p/cgroup" 2>/dev/null)" ;;
			*) { tr '\0' '\n' <"$p/cmdline" | grep -qF "$mine/egret-"; } 2>/dev/null || continue ;;
			esac
			echo "${p#/proc/} $one"
		done
		;;
	cgroup) for one in "$cgroot"/egret*; do [ ! -d "$one" ] || echo "$one"; done ;;
	pin) for one in "$pins"/*; do [ ! -e "$one" ] || echo "$one"; done ;;
	netns)
		for one in /run/netns/egret*; do
			p=${one##*[!0-9]}
			[ ! -e "$one" ] || { [ -n "$p" ] && [ -d "/proc/$p" ]; } || echo "$one"
		done
		;;
	# What egret-mount lays, in the mount namespace of this run: it belongs into containers'.
	mount) awk '/nr_inodes=128/ { print $1, $5 }' /proc/self/mountinfo ;;
	file)
		[ "$mine" = /tmp ] || find "$mine" -mindepth 1 -maxdepth 1
		# Tests in C take a fixed place; the shell's use TMPDIR.
		find /tmp -maxdepth 1 -name 'egret*' ! -name 'egret-run.*' ! -name 'egret-test.*' ! -name 'egret-demo.*'
		;;
	esac
}
list() {
	local kind
	for kind in process cgroup pin netns mount file; do names $kind | sed "s|^|$kind |"; done | sort
}

case ${1:-} in
list)
	list
	exit
	;;
'')
	before=/dev/null
	;;
*) before=$1 ;;
esac

# What is ending ends within a moment.
for _ in 1 2 3 4 5 6 7 8 9 10; do
	others=$(foreign)
	left=$(comm -13 "$before" <(list) | if [ -n "$others" ]; then grep -vFf <(echo "$others"); else cat; fi)
	[ -n "$left" ] || break
	sleep 0.5
done
n=0 failed=0
for what in 'process processes' 'cgroup cgroups' 'pin pinned kernel objects' 'netns network namespaces' 'mount mounts' 'file temporary files'; do
	n=$((n + 1)) kind=${what%% *}
	of=$(sed -n "s/^$kind //p" <<<"$left")
	if [ -z "$of" ]; then
		echo "ok $n - no ${what#* } left behind"
	else
		echo "not ok $n - no ${what#* } left behind"
		sed 's/^/# left: /' <<<"$of"
		failed=1
	fi
done
echo "1..$n"
exit $failed
