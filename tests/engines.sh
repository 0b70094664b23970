# SPDX-License-Identifier: Apache-2.0
# Real container engines for tests: dockerd, containerd with ctr, podman, each in a mount and network namespace of the test, with folders
# below $TMP, stopped by pid, leaving no container, cgroup, mount or loop device. Sourced after lib.sh (and after origins.sh, daemon.sh when wanted).
#
#   engines_up                       after net_up or origins_up: from here on in_host enters a mount namespace with the pure cgroup-v2 view
#                                    (at its root: name files by whole paths); egretd belongs into it too (daemon_start does that)
#   docker_up [dockerd arguments]    DOCKER_PARENT=/cgroup, DOCKER_RUNTIME="name path argument..." as the default runtime; then `docker ...`
#   containerd_up; ctr ...           ctr_run CGROUP options... IMAGE ID COMMAND..., the runtime in CTR_RUNTIME
#   podman_run [options] IMAGE ...   PODMAN_ARGS=(--hooks-dir ...), PODMAN_PARENT=/cgroup
#   images_into docker|ctr|podman KIND...    tests/images.sh
#
# What the engines were seen to do (dockerd 20.10, containerd 1.6, runc 1.1.5, podman 4.3; with a spy in the runtime's place):
#
# - dockerd asks `RUNTIME --version` at its start. With runtimeArgs it writes a shell script (DATA/runtimes/NAME: it does not exec), so that the
#   runtime's parent is that script and not the shim. Then, with the arguments first:
#       ARGS --root EXEC/runtime-NAME/moby --log BUNDLE/log.json --log-format json create --bundle BUNDLE --pid-file BUNDLE/init.pid ID64
#       the same ... start ID | kill ID 9 | delete ID | delete --force ID
#       the same ... exec --process /tmp/runc-processNNN --detach --pid-file BUNDLE/EXECID.pid ID64       (mode 0600, {user, args, env, cwd, capabilities ...})
#   cwd is the bundle; config.json has one line, no annotations, noNewPrivileges absent, hooks.prestart = dockerd's libnetwork-setkey, namespaces mount
#   network uts pid ipc cgroup; network "none" is the same; "host" has the namespace by path (EXEC/netns/default) and "hooks": {} empty.
# - prestart hooks run before createRuntime ones; at createRuntime the namespace has eth0 up with its address (lo too), the process is already in
#   its cgroup, comm is runc:[2:INIT], /proc/PID/exe reads "/". A hook's environment is empty, its cwd the bundle, its namespaces the engine's.
# - ctr: --root /run/containerd/runc/NAMESPACE --log ... create --bundle STATE/NAMESPACE/ID --pid-file ... ID; ID is what the caller chose; root.path is relative;
#   no "hooks" at all, no seccomp, no cgroup namespace, noNewPrivileges true, a tmpfs over /run (what lies in /run must be mounted after it), loopback only, ::1 there.
#   The parent is the shim. `task rm -f` is `kill --all ID 9`.
# - dockerd's BuildKit: `runc` by PATH of dockerd (a folder in front of it is how to replace it; DOCKER_PATH here), as
#       --log DATA/buildkit/executor/runc-log.json --log-format json run --bundle DATA/buildkit/executor/ID ID
#   that is `run`, not create and start; cwd /, parent dockerd itself, default --root, ID of 25 letters and digits, no cgroup namespace; the network is a
#   sandbox of libnetwork (prestart hook as above). Its cgroup is PARENT/buildkit/ID with the daemon's --cgroup-parent; `docker build --cgroup-parent` is ignored
#   by it and honoured by the classic builder, whose steps are ordinary containers (default runtime, ID64). There is no buildkitd in any Debian suite.
# - docker run --cgroup-parent /x gives /x/ID64; left away, the daemon's --cgroup-parent: /egret-x.slice/docker/ID64 (cgroupfs driver). cgroups of the parents stay.
# - podman: state has annotations (io.container.manager=libpod, ...); cgroup PARENT/libpod-ID64 (and libpod-conmon-ID64); hooks.d run at `create`, none at exec.
# - Quiet times on two processors, ms: docker run --rm true 580-900 (none: 670-900), docker exec 105-150, podman run 475-570, podman exec 190.

. "$ROOT/tests/images.sh"

DOCKER_SOCK=
DOCKER_PID=
DOCKER_PARENT=        # cgroup of all containers that name none
DOCKER_RUNTIME=       # "name path argument...": registered, and the default
DOCKER_WRAP=()        # a command that runs dockerd, with its arguments
CTR_SOCK=
CONTAINERD_PID=
PODMAN_ARGS=()
RIG_PARENT=/egret-rig$$ # where containers of tests without egretd lie: swept at the end

# ---- the world they run in ----

engines_up() {
	need_root
	mkdir -p "$TMP/eng/netns"
	printf 'nameserver %s\n' "${ENGINE_DNS:-198.51.100.53}" >"$TMP/eng/resolv.conf"
	# /run is the namespace's own: the engines' and runtimes' fixed places, and docker's usual socket, which decides what a user may reach.
	# shellcheck disable=SC2016
	unshare -m --propagation private bash -ec '
		umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
		dns=$(readlink -f /etc/resolv.conf)
		mount --rbind /run/netns "$0/netns"
		mount -t tmpfs -o mode=755 none /run
		mkdir -p /run/netns /run/lock "${dns%/*}"; mount --move "$0/netns" /run/netns
		[ -e "$dns" ] || : >"$dns"
		mount --bind "$0/resolv.conf" "$dns"
		: >"$0/ready"
		exec sleep infinity' "$TMP/eng" 9>&- &
	ENGINES_HOLDER=$!
	PIDS+=("$ENGINES_HOLDER")
	wait_for 10 "[ -e '$TMP/eng/ready' ]" || { fail "a mount namespace with cgroup2 could be made"; return 1; }
	HOSTMNT=/proc/$ENGINES_HOLDER/ns/mnt
	CGROOT=$(awk '{ for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") { print $5; exit } }' /proc/self/mountinfo)
	at_exit engines_sweep
}
# Whatever is left in a cgroup of the test's own: its processes, then itself.
cgroup_sweep() { # path below the mount
	local top=$CGROOT$1 p
	[ -d "$top" ] || return 0
	echo 1 >"$top/cgroup.kill" 2>/dev/null || for p in $(find "$top" -name cgroup.procs -exec cat {} +); do kill -9 "$p"; done
	wait_for 5 "grep -q 'populated 0' '$top/cgroup.events'"
	find "$top" -depth -type d -exec rmdir {} + 2>/dev/null
}
engines_sweep() {
	local m p
	docker_down
	containerd_down
	podman_down
	cgroup_sweep "$RIG_PARENT"
	# The engines' parents below a jobs' slice; the slice itself is egretd's to remove.
	for m in "$TMP"/run*; do
		[ -d "$m" ] || continue
		for p in docker ctr podman; do cgroup_sweep "/egret-$(egret_instance "$m").slice/$p"; done
	done
	for m in $(in_host awk -v t="$TMP/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | sort -r); do in_host umount -l "$m"; done
}

# ---- docker ----

# The client that was built with the daemon: a newer one beside it speaks, but builds by another road.
docker_client() {
	local c want
	want=$(dockerd --version | sed 's/[^0-9]*\([0-9]*\.[0-9]*\).*/\1/')
	for c in $(type -ap docker); do
		case $("$c" --version) in *" $want."*) echo "$c"; return ;; esac
	done
	type -P docker
}
docker() { in_host "$DOCKER_BIN" -H "unix://$DOCKER_SOCK" "$@"; }
docker_up() { # more arguments of dockerd
	local rt args=()
	need dockerd containerd runc iptables
	DOCKER_BIN=${DOCKER_BIN:-$(docker_client)}
	mkdir -p "$TMP/docker/cli"
	echo '{}' >"$TMP/docker/cli/config.json"
	export DOCKER_CONFIG=$TMP/docker/cli
	if [ -n "$DOCKER_RUNTIME" ]; then
		read -ra rt <<<"$DOCKER_RUNTIME"
		jq -n --arg n "${rt[0]}" --arg p "${rt[1]}" '{runtimes: {($n): {path: $p, runtimeArgs: $ARGS.positional}}, "default-runtime": $n}' \
			--args -- "${rt[@]:2}" >"$TMP/docker/daemon.json"
	else
		echo '{}' >"$TMP/docker/daemon.json"
	fi
	DOCKER_SOCK=$TMP/docker/sock
	args=(--config-file "$TMP/docker/daemon.json" --data-root "$TMP/docker/data" --exec-root "$TMP/docker/exec" -p "$TMP/docker/pid"
		-H "unix://$DOCKER_SOCK" -H unix:///run/docker.sock --cgroup-parent "${DOCKER_PARENT:-$RIG_PARENT/docker}" --exec-opt native.cgroupdriver=cgroupfs
		--bip 10.77.0.1/24 --default-address-pool base=10.77.128.0/17,size=24)
	# Sourced tests may put a folder of their own in front of PATH: BuildKit's executor looks its `runc` up there.
	# What containerd writes when it is slow to end (its stacks) goes where the rest of it is.
	spawn env PATH="${DOCKER_PATH:-$PATH}" TMPDIR="$TMP/docker" nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" "${DOCKER_WRAP[@]}" dockerd "${args[@]}" "$@" \
		>>"$TMP/docker/log" 2>&1
	DOCKER_PID=$SPAWNED
	wait_for 30 "docker version >/dev/null 2>&1 || ! kill -0 $DOCKER_PID" && kill -0 "$DOCKER_PID" || {
		fail "dockerd came up" "$(tail -n 20 "$TMP/docker/log")"
		return 1
	}
}
docker_down() {
	local c
	[ -n "$DOCKER_PID" ] || return 0
	kill -CONT "$DOCKER_PID" 2>/dev/null
	c=$(timeout 10 nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" "$DOCKER_BIN" -H "unix://$DOCKER_SOCK" ps -aq 2>/dev/null)
	[ -z "$c" ] || timeout 40 nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" "$DOCKER_BIN" -H "unix://$DOCKER_SOCK" rm -f -v $c
	kill "$DOCKER_PID" 2>/dev/null
	wait_for 20 "! kill -0 $DOCKER_PID" || kill -9 "$DOCKER_PID" 2>/dev/null
	wait "$DOCKER_PID" 2>/dev/null
	shims_down "$TMP/docker/"
	DOCKER_PID=
}
# Shims and the engine's own containerd outlive a daemon that was killed; their command lines name the test's folder.
shims_down() { # folder
	local p
	for p in $(ip netns pids "$HOSTNS"); do
		case $(cat "/proc/$p/comm" 2>/dev/null) in
		containerd* | docker-proxy | dockerd) tr '\0' ' ' <"/proc/$p/cmdline" | grep -qF "$1" && kill -9 "$p" ;;
		esac
	done 2>/dev/null
}

# ---- containerd ----

ctr() { in_host ctr -a "$CTR_SOCK" "$@"; }
containerd_up() { # more arguments of containerd
	need containerd ctr runc
	mkdir -p "$TMP/ctd"
	CTR_SOCK=$TMP/ctd/sock
	cat >"$TMP/ctd/config.toml" <<-TOML
		version = 2
		root = "$TMP/ctd/root"
		state = "$TMP/ctd/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs"]
		[grpc]
		  address = "$CTR_SOCK"
	TOML
	spawn nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" containerd -c "$TMP/ctd/config.toml" "$@" >>"$TMP/ctd/log" 2>&1
	CONTAINERD_PID=$SPAWNED
	wait_for 20 "ctr version >/dev/null 2>&1" || { fail "containerd came up" "$(tail -n 20 "$TMP/ctd/log")"; return 1; }
}
containerd_down() {
	local c
	[ -n "$CONTAINERD_PID" ] || return 0
	for c in $(ctr tasks ls -q); do timeout 10 nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" ctr -a "$CTR_SOCK" tasks rm -f "$c"; done
	for c in $(ctr containers ls -q); do timeout 10 nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" ctr -a "$CTR_SOCK" containers rm "$c"; done
	stop_pid "$CONTAINERD_PID"
	shims_down "$TMP/ctd/"
	CONTAINERD_PID=
}
# ctr's own way of saying where and with what: without --cpu-shares 0 it asks for a controller that a bare cgroup2 has not.
ctr_run() { # cgroup, options..., image, id, command...: the runtime is CTR_RUNTIME (a path), if set
	local cg=$1
	shift
	ctr run --rm --cgroup "$cg" --cpu-shares 0 ${CTR_RUNTIME:+--runc-binary "$CTR_RUNTIME"} "$@"
}

# ---- podman ----

podman() {
	if [ ! -e "$TMP/pod/containers.conf" ]; then
		mkdir -p "$TMP/pod/net"
		# The machine's own choice of a network program is not the test's.
		printf '[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "%s"\ndefault_subnet = "10.77.2.0/24"\n' "$TMP/pod/net" >"$TMP/pod/containers.conf"
	fi
	in_host env -u DOCKER_CONFIG CONTAINERS_CONF="$TMP/pod/containers.conf" podman --root "$TMP/pod/root" --runroot "$TMP/pod/run" --tmpdir "$TMP/pod/tmp" \
		--runtime "${PODMAN_RUNTIME:-runc}" --cgroup-manager=cgroupfs --events-backend=file "${PODMAN_ARGS[@]}" "$@"
}
# With the limits that a machine without CAP_SYS_RESOURCE grants.
podman_run() { # options..., image, command...
	podman run --pids-limit="${PODMAN_PIDS:--1}" --ulimit nofile=1024:2048 --ulimit nproc=1024:2048 --cgroup-parent "${PODMAN_PARENT:-$RIG_PARENT/podman}" "$@"
}
podman_down() {
	[ -d "$TMP/pod" ] || return 0
	podman rm -af -t 1
	podman network prune -f
}
