#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What egret's DaemonSet does on its node, run in egret's container with the node's folders below EGRET_HOST (/host): puts egret-runc into
# /opt/egret/bin and a runtime called egret into containerd's configuration, takes both away again, and starts egretd in the node's own
# cgroup namespace with what is in /config. Reads and writes the node's files, root's.
#
#   node.sh install|remove|serve|hand-over
#
# EGRET_NODE_PID (1): a process of the node's own.
# EGRET_RESTART_CONTAINERD=yes: containerd is restarted when its configuration changed; its containers go on meanwhile.
set -euo pipefail
export LC_ALL=C
umask 022
host=${EGRET_HOST:-/host}
libexec=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
setup=${EGRET_SETUP:-egret-setup}
dir=$host/opt/egret
toml=$host/etc/containerd/config.toml

say() { echo "egret node: $*"; }
sum() { sha256sum <"$1" 2>/dev/null || echo none; }
containerd_changed() { # its sum before
	[ "$1" != "$(sum "$toml")" ] || return 0
	if [ "${EGRET_RESTART_CONTAINERD:-}" = yes ]; then
		say "containerd is restarted"
		nsenter --target 1 --mount --ipc --uts --net -- systemctl restart containerd
	else
		say "containerd reads its configuration at its next start: systemctl restart containerd on this node"
	fi
}

install_node() {
	local before
	mkdir -p "$dir/bin"
	# Beside, then moved: containerd may be starting one at this moment.
	install -m 755 "$libexec/egret-runc" "$dir/bin/.egret-runc.new"
	mv "$dir/bin/.egret-runc.new" "$dir/bin/egret-runc"
	before=$(sum "$toml")
	"$setup" --yes --no-units --root "$host" --runtime /opt/egret/bin/egret-runc containerd
	containerd_changed "$before"
}
# The configuration first: no runtime class may name what is not there. What runs goes on: egretd's pins stay.
remove_node() {
	local before
	before=$(sum "$toml")
	"$setup" --yes --no-units --undo --root "$host" containerd
	containerd_changed "$before"
	rm -f "$dir/bin/egret-runc" "$dir/bin/.egret-runc.new"
	rmdir "$dir/bin" "$dir" 2>/dev/null || true
	say "removed; pods of the runtime class egret do not start on this node any more"
}
# egretd counts cgroups from the real root, and a container that is not privileged has a cgroup namespace of its own.
# ConfigMaps are links to links, and egretd follows none: what they hold is copied. A change is taken by the next pod.
serve() {
	local one
	mkdir -p /etc/egret/policies
	cp -L /config/egret/egret.json /etc/egret/egret.json
	for one in /config/policies/*.json; do [ ! -e "$one" ] || cp -L "$one" /etc/egret/policies/; done
	chmod -R go-w /etc/egret
	if [ "$(readlink /proc/self/ns/cgroup)" = 'cgroup:[4026531835]' ]; then exec egretd "$@"; fi
	exec nsenter --target "${EGRET_NODE_PID:-1}" --cgroup -- egretd "$@"
}

# Before this container ends: egretd goes and leaves everything standing, for the one of the next pod. Its cgroup is this one's.
hand_over() {
	local p mine
	mine=$(cat /proc/self/cgroup)
	for p in /proc/[0-9]*; do
		[ "$(cat "$p/comm" 2>/dev/null)" = egretd ] && [ "$(cat "$p/cgroup" 2>/dev/null)" = "$mine" ] || continue
		kill -USR1 "${p#/proc/}"
		timeout 15 tail --pid="${p#/proc/}" -f /dev/null || true
	done
}

case ${1:-} in
hand-over) hand_over ;;
install) install_node ;;
remove) remove_node ;;
serve)
	shift
	serve "$@"
	;;
*)
	echo "usage: node.sh install|remove|serve|hand-over" >&2
	exit 2
	;;
esac
