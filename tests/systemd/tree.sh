# SPDX-License-Identifier: Apache-2.0
# A booted Debian 12: systemd as process 1 of own pid, mount, uts, ipc and network namespaces, on an overlay over a tree that debootstrap
# made once (build/trees). Sourced after origins.sh.
#
# There is no cgroup namespace: egretd and systemd want the real root of cgroup2, where egret.slice is. So this runs only on a machine
# whose own process 1 leaves that root alone, and one at a time. Version 1 hierarchies are not mounted inside.
TREES=${EGRET_TREES:-$ROOT/build/trees}
TREE=$TREES/bookworm-systemd
TREE_PID=
CGROOT=$(findmnt -nt cgroup2 -o TARGET | head -n 1)
tree_packages=systemd,systemd-sysv,dbus,ca-certificates,curl,procps,iproute2,jq,debconf,bash-completion
tree_packages+=,libbpf1,libc-ares2,libcjson1,libelf1,libidn2-0,libnl-route-3-200,libpsl5,libseccomp2,libssl3,libsystemd0,libcap-ng0,libcjose0,libcurl4

tree_make() {
	[ ! -d "$TREE" ] || [ "$(cat "$TREE.packages" 2>/dev/null)" != "$tree_packages" ] || return 0
	need debootstrap
	rm -rf --one-file-system "$TREE" "$TREE.new"
	mkdir -p "$TREES"
	debootstrap --variant=minbase --include=$tree_packages bookworm "$TREE.new" >"$TREES/log" 2>&1 ||
		skip_all "debootstrap failed (no network?): $(tail -n 1 "$TREES/log")"
	echo "$tree_packages" >"$TREE.packages"
	mv "$TREE.new" "$TREE"
}

tree_free() {
	local one
	[ -z "$TREE_PID" ] || { kill -9 "$TREE_PID"; wait_for 10 "! kill -0 $TREE_PID"; }
	# What systemd made at the root of cgroup2, and nothing else.
	for one in "$CGROOT"/{init.scope,system.slice,user.slice,machine.slice,egret.slice,egretd.slice} "$CGROOT"/*.mount; do
		[ ! -d "$one" ] || grep -qxF "$one" "$TMP/cgroups" || wait_for 5 "find '$one' -depth -type d -exec rmdir {} + || [ ! -d '$one' ]"
	done
}

tree_boot() { # in the namespace $HOSTNS
	local m=$TMP/root
	[ "$(cat /proc/1/comm)" != systemd ] || skip_all "systemd runs this machine: a second one at the root of its cgroups would hurt it"
	[ "$(readlink /proc/self/ns/cgroup)" = 'cgroup:[4026531835]' ] || skip_all "needs the host's cgroup namespace"
	exec 8>/run/egret-systemd-test.lock
	flock -n 8 || skip_all "another test of this kind runs"
	[ ! -d "$CGROOT/egret.slice" ] && [ ! -d "$CGROOT/init.scope" ] || skip_all "egret.slice or init.scope is in use on this machine"
	ls -d "$CGROOT"/*/ 2>/dev/null | sed 's|/$||' >"$TMP/cgroups"
	mkdir -p "$TMP/upper" "$TMP/workdir" "$m"
	at_exit tree_free
	cat >"$TMP/boot.sh" <<-SH
		set -e
		mount --make-rprivate /
		mount -t overlay overlay -o lowerdir=$TREE,upperdir=$TMP/upper,workdir=$TMP/workdir $m
		cd $m
		mount -t proc proc proc; mount -t sysfs sys sys; mount -t cgroup2 none sys/fs/cgroup; mount -t bpf bpf sys/fs/bpf
		for one in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs \$one; done
		chmod 1777 tmp
		mknod -m 666 dev/null c 1 3; mknod -m 666 dev/zero c 1 5; mknod -m 666 dev/full c 1 7
		mknod -m 666 dev/random c 1 8; mknod -m 666 dev/urandom c 1 9; mknod -m 666 dev/tty c 5 0
		mkdir dev/pts dev/shm; mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts; mount -t tmpfs -o mode=1777 tmpfs dev/shm
		ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd; ln -s null dev/console
		ln -sf /dev/null etc/systemd/system/console-getty.service
		mkdir -p old; pivot_root . old; umount -l /old; rmdir /old
		exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal
	SH
	spawn in_host unshare -m -p -f -u -i bash "$TMP/boot.sh" 8>&- >"$TMP/boot.log" 2>&1
	wait_for 10 "[ -n \"\$(pgrep -P $SPAWNED)\" ]"
	TREE_PID=$(pgrep -P "$SPAWNED")
	wait_for 30 "in_tree systemctl is-system-running | grep -qE 'running|degraded'" || { fail "the tree boots" "$(cat "$TMP/boot.log")"; return 1; }
}
in_tree() { nsenter -t "$TREE_PID" -m -p -u -i -n -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"; }
tree_sh() { in_tree bash -c "$1"; }
tree_log() { in_tree journalctl --no-pager -o cat -u egretd.service | tail -n "${1:-20}"; }
