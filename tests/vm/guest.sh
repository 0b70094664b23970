#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The first process of the test machine that tests/vm/run.sh boots: mounts what egret expects of a host, runs the kernel tests, then
# egret itself, and powers off. Everything is said on the second serial port, in lines that run.sh reads: `@ begin NAME`, the test's
# own TAP, `@ end NAME STATUS`, and at last `@ done`. It is the whole user space, so nothing here needs to be cleaned up.
export PATH=/sbin:/bin:/usr/sbin:/usr/bin LC_ALL=C HOME=/root TERM=dumb

/bin/busybox mkdir -p /proc /sys /dev /tmp /run /root /var/lib
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin.busybox
export PATH=$PATH:/bin.busybox EGRET_SLOW=1
# A root that is a mount of its own: pivot_root(2) is refused on the first one.
if [ ! -e /proc/1/root/moved ]; then
	mkdir -p /mnt /newroot
	touch /moved
	umount /proc
	mount --bind / /newroot
	cd /newroot && mount --move . / && exec chroot . /init
fi
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
[ -n "$(ls -A /tmp 2>/dev/null)" ] || mount -t tmpfs -o mode=1777 tmpfs /tmp # else the sources lie there
mount -t tmpfs -o mode=755 tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo '+cpu +pids +memory' >/sys/fs/cgroup/cgroup.subtree_control # as systemd does
mount -t bpf bpf /sys/fs/bpf
mount -t securityfs securityfs /sys/kernel/security
chmod 755 / /tmp/.
chmod 1777 /tmp
exec >/dev/ttyS1 2>&1 </dev/null

off() {
	echo "@ done"
	sync
	# The port must be empty before the machine is gone.
	sleep 0.2
	poweroff -f
}
trap off EXIT

/usr/bin/ip link set lo up
for m in /modules/*.ko; do [ ! -e "$m" ] || insmod "$m"; done
echo "@ up after $(cut -d. -f1 /proc/uptime) s"
echo "@ kernel $(uname -r)"
echo "@ lsm $(cat /sys/kernel/security/lsm)"

uptime_cs() { sed 's/ .*//; s/[.]//' /proc/uptime; }
run() { # name, seconds, command...
	local name=$1 limit=$2 status start=$(uptime_cs)
	shift 2
	echo "@ begin $name"
	timeout -k 5 "$limit" "$@"
	status=$?
	echo "@ took $name $((($(uptime_cs) - start) / 100)) s"
	echo "@ end $name $status"
}

# egret.only=NAME,...: these parts alone ("kernel" is all of its tests).
only=$(sed -n 's/.*egret.only=\([^ ]*\).*/\1/p' /proc/cmdline)
wanted() { # part
	case $elsewhere in *" $1 "*) return 1 ;; esac
	[ -z "$only" ] && return 0
	case ",$only," in *",$1,"* | *",${1%%/*},"*) return 0 ;; esac
	return 1
}
root=$(sed -n 's/.*egret.root=\([^ ]*\).*/\1/p' /proc/cmdline)
export BUILD=$(sed -n 's/.*egret.build=\([^ ]*\).*/\1/p' /proc/cmdline)
# Unless asked for everything (egret.full) or for some: the ways round that only such a machine can show; and what is egretd's own logic, or long,
# on one machine alone (egret.nth of those that run).
full=$(grep -o 'egret.full' /proc/cmdline)
[ -n "$full" ] || export BYPASS_FEW=1
elsewhere=
[ -n "$full$only" ] || case $(sed -n 's/.*egret.nth=\([^ ]*\).*/\1/p' /proc/cmdline) in
1) elsewhere=' kernel/bad_host kernel/mount kernel/place kernel/trees kernel/pins clock ' ;;
2) elsewhere=' kernel/events kernel/seen share no_tc ' ;;
[3-9]) elsewhere=' kernel/bad_host kernel/mount kernel/place kernel/trees kernel/pins clock kernel/events share no_tc ' ;;
esac
# First: nothing hangs on the modules yet that it takes out.
! wanted no_tc || run no_tc 150 /bin/busybox sh /no_tc.sh
for b in "$BUILD"/tests/kernel/*; do ! wanted "kernel/${b##*/}" || run "kernel/${b##*/}" 150 "$b"; done
! wanted egret || run egret 150 /bin/busybox sh /egret.sh
! wanted runc || run runc 150 /bin/busybox sh /runc.sh
! wanted share || run share 100 /bin/busybox sh /share.sh
! wanted clock || run clock 200 /bin/busybox sh /clock.sh
case ",$only," in *,bench,*)
	echo "# the clock is $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
	run bench 600 "$BUILD/tests/bench/bench_connect" 500
	;;
esac
! wanted bypass || run bypass 600 bash "$root/tests/bypass/guest.sh"
