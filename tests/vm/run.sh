#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2700
# not quick
# Do egret's walls hold on the kernels that people run? Boots Debian 12's Linux 6.1, its backport of 6.12 and the newest that Debian
# offers in qemu (no KVM: it is not asked for, since some hosts offer one that boots no stock kernel), runs in each the kernel tests, the
# bypass suite, egret itself and real containers by runc, and repeats their TAP with the kernel's version before each name. Once more
# 6.1 with `lsm=` lacking bpf: there the LSM wall must be called absent. Called by tests/run vm.
#
# What cannot be had is skipped, with the reason (tests/vm/kernels.sh).
#
# Variables: VM_SERIES (6.1 6.12 newest 6.1-nolsm), VM_AT_ONCE (3), VM_FULL=1 (the whole of all suites on each kernel: `make soak`), VM_LIMIT (seconds a machine), VM_ONLY (names of parts, see guest.sh),
# VM_APPEND (more for the kernel's command line).
#
# VM_ONLY=bench is bench_connect, a figure, which no other run has: in instructions, since the machine's clock counts those. With VM_SERIES='6.12
# 6.12-nolsm' also for what the LSM programs cost the host's own calls.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/vm/kernels.sh"

SERIES=${VM_SERIES:-6.1 6.12 newest 6.1-nolsm}
AT_ONCE=${VM_AT_ONCE:-3}
BOOT_LIMIT=${VM_LIMIT:-2500}
VM_APPEND=${VM_APPEND:-}
NO_LSM='lsm=landlock,lockdown,yama,loadpin,safesetid,integrity,apparmor'
[ "$(uname -m)" = x86_64 ] || skip_all "the machine is described for x86_64 only"
need qemu-system-x86_64 cpio xz ldd curl ip dpkg-deb apt-get modprobe depmod runc setpriv
BUSYBOX=$(command -v busybox) || skip_all "busybox is not installed"
! ldd "$BUSYBOX" >/dev/null 2>&1 || skip_all "busybox is not static (package busybox-static)"
need_egret

# ---- the machine ----

archive() { (cd "$1" && find . | cpio -o -H newc -R 0:0 2>/dev/null); } # not packed: the machine is slow, the host's memory is not
pack() { # into $TMP/root: programs at their own paths with the libraries they name
	local b lib tools root=$TMP/root
	for b in "$ROOT"/tests/kernel/*.c; do
		b=$BUILD/tests/kernel/$(basename "$b" .c)
		[ -x "$b" ] || { diag "$b is not built"; return 1; }
	done
	mkdir -p "$root"/{bin,sbin,bin.busybox,etc,modules,usr/bin,usr/sbin,etc/ssl/certs,usr/libexec} "$root$BUILD/tests/kernel"
	cp "$BUSYBOX" "$root/bin/busybox"
	cp "$ROOT"/tests/vm/{egret,runc,clock,share,no_tc}.sh "$root/"
	cp "$ROOT/tests/vm/guest.sh" "$root/init"
	chmod 755 "$root/init"
	ln -s ../usr/bin/bash "$root/bin/sh" # busybox's prefers its own ip, which knows no namespaces
	find "$BUILD/tests/kernel" -maxdepth 1 -type f -perm -u+x -exec cp {} "$root$BUILD/tests/kernel/" \;
	[[ ",${VM_ONLY:-}," != *,bench,* ]] || { mkdir -p "$root$BUILD/tests/bench" && cp "$BUILD/tests/bench/bench_connect" "$root$BUILD/tests/bench/" || return 1; }
	cp "$BUILD"/bin/egret* "$root/usr/bin/"
	ln -s /usr/bin "$root$BUILD/bin"
	tools=$(command -v ip curl bash runc setpriv nsenter rm)
	for b in $tools; do cp -L "$b" "$root/usr/bin/"; done
	bypass_pack "$root" || return 1
	for b in $tools "$BUILD"/bin/egret* "$root$BUILD"/tests/{kernel,bench}/*; do ldd "$b"; done 2>/dev/null |
		sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-[^ ]*\) .*/\1/p' | sort -u >"$TMP/libs"
	while read -r lib; do
		mkdir -p "$root${lib%/*}" && cp -L "$lib" "$root$lib" || return 1
	done <"$TMP/libs"
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
	printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
	printf 'nameserver 127.0.0.1\n' >"$root/etc/resolv.conf"
	printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
	[ ! -r /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
	# A bundle as an engine makes them; its root is busybox alone.
	mkdir -p "$root"/bundle/rootfs/{bin,proc,sys,dev,tmp,run,etc/ssl/certs}
	cp "$BUSYBOX" "$root/bundle/rootfs/bin/busybox"
	ln -s busybox "$root/bundle/rootfs/bin/sh"
	cp "$root/etc/ssl/certs/ca-certificates.crt" "$root/bundle/rootfs/etc/ssl/certs/" 2>/dev/null
	for b in $(command -v curl bash) $(ldd "$(command -v curl)" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-[^ ]*\) .*/\1/p') \
		$(ldd "$(command -v bash)" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p'); do
		mkdir -p "$root/bundle/rootfs${b%/*}" && cp -L "$b" "$root/bundle/rootfs$b" || return 1
	done
	(cd "$root/bundle" && runc spec) || return 1
	archive "$root" >"$TMP/initrd"
}
bypass_pack() { # root
		mkdir -p "$1$ROOT/tests/bypass" "$1$ROOT/tests/e2e" "$1$BUILD/tests/bypass"
	cp "$ROOT/tests/lib.sh" "$1$ROOT/tests/"
	cp "$ROOT/tests/e2e/daemon.sh" "$1$ROOT/tests/e2e/"
	cp -r "$ROOT"/tests/bypass/* "$1$ROOT/tests/bypass/"
	rm -rf "$1$ROOT/tests/bypass/cases"
	find "$BUILD/tests/bypass" -maxdepth 1 -type f -perm -u+x -exec cp {} "$1$BUILD/tests/bypass/" \;
}
# In a session of its own: where the kernel shares by session, niceness counts within one alone.
idly() { exec setsid nice -n 19 bash -c 'echo 19 2>/dev/null >/proc/self/autogroup; exec "$@"' - "$@"; }
# A kernel's own modules come in a second archive behind the first.
boot() { # series: starts it; its output in $TMP/SERIES
	local kernel=${1%-nolsm} at=$TMP/$1 more=$VM_APPEND
	mkdir -p "$at/mods/modules" && cp "$CACHE/$kernel"/*.ko "$at/mods/modules/"
	{ cat "$TMP/initrd" && archive "$at/mods"; } >"$at/initrd"
	[ "$1" != newest ] || more="$more slab_debug=F"
	[ "$kernel" = "$1" ] || more="$more $NO_LSM egret.only=${VM_ONLY:-kernel/guard_trial,kernel/tcp,egret}"
	[ "$kernel" != "$1" ] || [ -z "${VM_ONLY:-}" ] || more="$more egret.only=$VM_ONLY"
	# With several machines each part that does not depend on the kernel is for one of them.
	[ "$SERIES" = "$1" ] || more="$more egret.nth=$(($(tr ' ' '\n' <<<"$SERIES" | grep -nx -- "$1" | cut -d: -f1)))"
	[ -z "${VM_FULL:-}" ] || more="$more egret.full"
	: >"$at/tap.raw"
	# icount: the guest's clock counts its instructions, one a nanosecond, and leaps to the next timer when nothing is to be done. So waiting takes no time,
	# a host that has other things to do is not seen, and the machine may be the last in the line for a processor (idly). With a second processor it
	# does not come up; possible are two, as kernel programs have a table for each.
	# thread=single: with a thread for each processor qemu shows one the other's half-written code (int3 at a place long patched), and the
	# machine dies of it now and then. cx16=off: qemu's CMPXCHG16B sets flags wrongly, and 6.12's allocator dies of it. Without that instruction the allocator that newer
	# kernels have for kernel programs gives nothing, unless the slabs are checked ones. erms, fsrm: what a processor copies in one instruction costs qemu one for each byte.
	spawn idly timeout -k 5 "$BOOT_LIMIT" qemu-system-x86_64 -accel tcg,thread=single -icount shift=0,sleep=off,align=off -rtc clock=vm \
		-cpu max,la57=off,cx16=off,erms=off,fsrm=off -M q35 -smp 1,maxcpus=2 -m 1536 -nodefaults -display none -no-reboot \
		-kernel "$CACHE/$kernel/vmlinuz" -initrd "$at/initrd" \
		-append "console=ttyS0 loglevel=4 oops=panic panic=-1 mitigations=off init_on_alloc=0 egret.root=$ROOT egret.build=$BUILD $more" \
		-serial "file:$at/console" -serial "file:$at/tap.raw"
}
# Repeats what the guest said, numbered through.
tell() { # series
	local line version=$1 name= plan= count= not= what at=$TMP/$1 suffix=
	[ "$1" = "${1%-nolsm}" ] || suffix=' without bpf in lsm='
	while IFS= read -r line; do
		case $line in
		'@ kernel '*) version=${line#@ kernel }$suffix ;;
		'@ begin '*) name=${line#@ begin } plan='' count=0 not=0 ;;
		'@ end '*)
			what=${line##* }
			if [ -z "$plan" ] || [ "$plan" != "$count" ]; then
				fail "$version $name: planned ${plan:-nothing}, ran $count (status $what)"
			elif [ "$what" != 0 ] && [ "$not" = 0 ]; then
				fail "$version $name: ended with status $what"
			fi
			name=
			;;
		'@ '*) diag "$version ${line#@ }" ;;
		'1..0 # '*) plan=0 count=0; skip "$version $name" "${line#*SKIP }" ;;
		1..[0-9]*) plan=${line#1..} ;;
		*'ok '*' # SKIP'*)
			count=$((count + 1))
			what=${line%% # SKIP*}
			skip "$version $name: ${what#*ok * - }" "${line#*# SKIP }"
			;;
		'ok '*)
			count=$((count + 1)) TESTS_RUN=$((TESTS_RUN + 1))
			echo "ok $TESTS_RUN - $version $name: ${line#ok * - }"
			;;
		'not ok '*)
			count=$((count + 1)) TESTS_RUN=$((TESTS_RUN + 1)) TESTS_FAILED=$((TESTS_FAILED + 1)) not=$((not + 1))
			echo "not ok $TESTS_RUN - $version $name: ${line#not ok * - }"
			;;
		'#'*) echo "$line" ;;
		*) diag "$line" ;;
		esac
	done < <(tr -d '\r\000' <"$at/tap.raw")
	[ -z "$name" ] || fail "$version $name: the machine ended in it" "$(tail -n 30 "$at/console")"
	if tail -n 1 "$at/tap.raw" | grep -q '^@ done'; then pass "$version came to its end"; else fail "$version came to its end" "$(tail -n 30 "$at/console")"; fi
	is "$(grep -aE 'BUG:|Oops|WARNING:|KASAN|UBSAN|lockdep' "$at/console")" '' "$version: the kernel complained of nothing"
}

ready=
for one in $SERIES; do
	if why=$(kernel_get "${one%-nolsm}"); then ready+=" $one"; else skip "Linux $one" "${why:-its package cannot be unpacked}"; fi
done
if [ -n "$ready" ]; then
	pack || { fail "the machine's files could be packed"; done_testing; }
	waiting=() # "series pid start" of each that runs
	finish_one() { # whichever ends first
		local one series pid start ended pids=() left=()
		for one in "${waiting[@]}"; do read -r _ pid _ <<<"$one"; pids+=("$pid"); done
		wait -n -p ended "${pids[@]}"
		for one in "${waiting[@]}"; do
			if [ "$(cut -d ' ' -f 2 <<<"$one")" = "$ended" ]; then read -r series pid start <<<"$one"; else left+=("$one"); fi
		done
		waiting=("${left[@]}")
		tell "$series"
		diag "Linux $series took $(($(now_ms) - start)) ms"
		rm -rf "${TMP:?}/$series/initrd" "${TMP:?}/$series/mods"
	}
	for one in $ready; do
		[ ${#waiting[@]} -lt "$AT_ONCE" ] || finish_one
		boot "$one"
		waiting+=("$one $SPAWNED $(now_ms)")
	done
	while [ ${#waiting[@]} -gt 0 ]; do finish_one; done
fi
done_testing
