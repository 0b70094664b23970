#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 700
# Do the kernel programs load and hold on the kernels that people run? Boots Debian 12's Linux 6.1 and its backport of 6.12 in qemu, one
# after the other (no KVM: it is not asked for, since some hosts offer one that boots no stock kernel), runs the kernel tests and egret
# in each, and repeats their TAP with the kernel's version before each name. Called by tests/run vm.
#
# The kernels' packages are fetched once with apt, by lists of its own: neither /etc/apt nor what is installed changes. Kept in
# build/vm/cache; remove that to get newer ones. What cannot be had is skipped, with the reason.
#
# Variables: VM_SERIES (6.1 6.12), VM_LIMIT (seconds a machine), VM_APPEND (more for the kernel's command line).
. "$(dirname "$0")/../lib.sh"

SERIES=${VM_SERIES:-6.1 6.12}
BOOT_LIMIT=${VM_LIMIT:-300}
VM_APPEND=${VM_APPEND:-}
CACHE=$ROOT/build/vm/cache
MIRROR=http://deb.debian.org
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
[ "$(uname -m)" = x86_64 ] || skip_all "the machine is described for x86_64 only"
need qemu-system-x86_64 cpio xz ldd curl ip dpkg-deb apt-get
BUSYBOX=$(command -v busybox) || skip_all "busybox is not installed"
! ldd "$BUSYBOX" >/dev/null 2>&1 || skip_all "busybox is not static (package busybox-static)"
need_egret

# ---- kernels ----

apt_own() { # command...: apt with state, lists and cache of its own
	local tool=$1 own=$TMP/apt
	shift
	"$tool" -q -o APT::Architecture=amd64 -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=20 \
		-o Dir::Etc::sourcelist="$own/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$own" -o Dir::State::status="$own/status" \
		-o Dir::Cache="$own/cache" "$@"
}
apt_ready() {
	[ ! -e "$TMP/apt/ready" ] || return 0
	[ -r $KEYRING ] || { echo "no $KEYRING to check Debian's packages with"; return 1; }
	mkdir -p "$TMP/apt/lists/partial" "$TMP/apt/cache/archives/partial" || return 1
	: >"$TMP/apt/status"
	local line
	for line in 'debian bookworm' 'debian-security bookworm-security' 'debian bookworm-backports'; do
		echo "deb [signed-by=$KEYRING] $MIRROR/${line% *} ${line#* } main"
	done >"$TMP/apt/sources.list"
	timeout 60 bash -c "$(declare -f apt_own); TMP='$TMP'; apt_own apt-get -o APT::Update::Error-Mode=any update" >"$TMP/apt/log" 2>&1 ||
		{ echo "Debian's package lists cannot be fetched: $(grep -m 1 '^[EW]:' "$TMP/apt/log")"; return 1; }
	touch "$TMP/apt/ready"
}
# Puts vmlinuz and the modules wanted into the cache; says why not.
kernel_get() { # series
	local to=$CACHE/$1 tmp=$TMP/kernel suite=bookworm meta=linux-image-cloud-amd64 name m from
	[ ! -s "$to/vmlinuz" ] || [ ! -s "$to/4veth.ko" ] || return 0
	apt_ready || return 1
	[ "$1" = 6.1 ] || suite=bookworm-backports
	name=$(apt_own apt-cache -t $suite show $meta 2>/dev/null | sed -n "s/^Depends: .*\(linux-image-$1\.[^ ,]*\).*/\1/p" | head -n 1)
	[ -n "$name" ] || { echo "Debian's $suite has no Linux $1 now"; return 1; }
	rm -rf "$tmp" && mkdir -p "$tmp/deb" "$tmp/out"
	(cd "$tmp/deb" && apt_own apt-get download "$name") >"$TMP/apt/log" 2>&1 || { echo "$name cannot be fetched: $(grep -m 1 '^E:' "$TMP/apt/log")"; return 1; }
	dpkg-deb -x "$tmp"/deb/*.deb "$tmp/tree" || return 1
	cp "$tmp"/tree/boot/vmlinuz-* "$tmp/out/vmlinuz" || return 1
	for m in 1llc 2stp 3bridge 4veth; do # in the order in which they are loaded
		from=$(find "$tmp/tree" -name "${m#?}.ko*" | head -n 1)
		case $from in
		*.xz) xz -dc "$from" >"$tmp/out/$m.ko" ;;
		*.ko) cp "$from" "$tmp/out/$m.ko" ;;
		*) echo "$name has no module ${m#?}"; return 1 ;;
		esac || return 1
	done
	mkdir -p "$CACHE" && rm -rf "$to" && mv "$tmp/out" "$to" || return 1
	rm -rf "$tmp"
}

# ---- the machine ----

archive() { (cd "$1" && find . | cpio -o -H newc -R 0:0 2>/dev/null); } # not packed: the machine is slow, the host's memory is not
pack() { # into $TMP/root: programs at their own paths with the libraries they name
	local b lib tools root=$TMP/root
	for b in "$ROOT"/tests/kernel/*.c; do
		b=$BUILD/tests/kernel/$(basename "$b" .c)
		[ -x "$b" ] || { diag "$b is not built"; return 1; }
	done
	mkdir -p "$root"/{bin,sbin,bin.busybox,etc,tests/kernel,modules,usr/bin,usr/sbin,etc/ssl/certs,usr/libexec}
	cp "$BUSYBOX" "$root/bin/busybox"
	cp "$ROOT/tests/vm/guest.sh" "$root/init"
	cp "$ROOT/tests/vm/egret.sh" "$root/egret.sh"
	chmod 755 "$root/init"
	ln -s busybox "$root/bin/sh"
	find "$BUILD/tests/kernel" -maxdepth 1 -type f -perm -u+x -exec cp {} "$root/tests/kernel/" \;
	cp "$BUILD"/bin/egret* "$root/usr/bin/"
	tools=$(command -v ip curl bash)
	for b in $tools; do cp -L "$b" "$root/usr/bin/"; done
	for b in $tools "$BUILD"/bin/egret* "$root"/tests/kernel/*; do ldd "$b"; done 2>/dev/null |
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
	archive "$root" >"$TMP/initrd"
}
# A kernel's own modules come in a second archive behind the first.
boot() { # series
	local mods=$TMP/mods
	rm -rf "$mods" && mkdir -p "$mods/modules" && cp "$CACHE/$1"/*.ko "$mods/modules/"
	{ cat "$TMP/initrd" && archive "$mods"; } >"$TMP/initrd.one"
	: >"$TMP/tap.raw"
	# cx16=off: qemu's CMPXCHG16B sets flags wrongly, and 6.12's allocator dies of it.
	spawn timeout -k 5 "$BOOT_LIMIT" qemu-system-x86_64 -accel tcg -cpu max,la57=off,cx16=off -M q35 -smp 2 -m 1024 -nodefaults -display none -no-reboot \
		-kernel "$CACHE/$1/vmlinuz" -initrd "$TMP/initrd.one" -append "console=ttyS0 loglevel=4 oops=panic panic=-1 $VM_APPEND" \
		-serial "file:$TMP/console" -serial "file:$TMP/tap.raw"
	wait "$SPAWNED"
	tr -d '\r\000' <"$TMP/tap.raw" >"$TMP/tap"
}
# Repeats what the guest said, numbered through.
tell() { # series
	local line version=$1 name= plan= count= not= what
	while IFS= read -r line; do
		case $line in
		'@ kernel '*) version=${line#@ kernel } ;;
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
	done <"$TMP/tap"
	[ -z "$name" ] || fail "$version $name: the machine ended in it" "$(tail -n 30 "$TMP/console")"
	if [ "$(tail -n 1 "$TMP/tap")" = '@ done' ]; then pass "$version came to its end"; else fail "$version came to its end" "$(tail -n 30 "$TMP/console")"; fi
	is "$(grep -aE 'BUG:|Oops|WARNING:|KASAN|UBSAN|lockdep' "$TMP/console")" '' "$version: the kernel complained of nothing"
}

ready=
for one in $SERIES; do
	if why=$(kernel_get "$one"); then ready+=" $one"; else skip "Linux $one" "${why:-its package cannot be unpacked}"; fi
done
if [ -n "$ready" ]; then
	pack || { fail "the machine's files could be packed"; done_testing; }
	for one in $ready; do
		start=$(now_ms)
		boot "$one"
		tell "$one"
		diag "Linux $one took $(($(now_ms) - start)) ms"
	done
fi
done_testing
