#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 31 s
# not quick
# timeout: 200
# A Kubernetes node's own side: a real containerd with its CRI plugin and the runtime that egret-setup writes; pods of the RuntimeClass
# egret, of none, of an exempt namespace. Stand-ins: cri.py makes a kubelet's calls, a script is the cluster's CNI plugin. This machine's
# version 2 has no controllers: limits are taken out of what the plugin asks the runtimes for.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
need jq bpftool python3 curl containerd ctr runc iptables
PODS=$RIG_PARENT/kubepods # the attach point; a kubelet's own would be the machine's
origins_up
engines_up
daemon_config "\"attach\": \"$PODS\", \"managed\": [ { \"engine\": \"containerd\", \"jobs\": \"kubernetes\", \"exempt_namespaces\": [\"kube-system\"] } ]"
mkdir -p "$TMP/policies"
cat >"$TMP/policies/pods.json" <<'JSON'
{ "version": 1, "name": "pods", "mode": "enforce", "for": [ { "provider": "kubernetes", "org": "ci", "event": "pod" } ],
  "rules": [ { "id": "r1", "allow": "READ https://api.test/**" } ] }
JSON
daemon_start || exit 1

# ---- containerd as on a node ----

containerd_node() {
	spawn nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" containerd -c "$TMP/node/etc/containerd/config.toml" >>"$TMP/ctd/log" 2>&1
	CONTAINERD_PID=$SPAWNED
	wait_for 20 "ctr version >/dev/null 2>&1"
}
RUNTIME=$TMP/beside/egret
for one in egret plain; do
	next=$(type -P runc)
	[ $one = plain ] || next=$(runc_beside containerd)
	mkdir -p "$TMP/beside"
	cat >"$TMP/beside/$one" <<-SH
		#!/bin/bash
		for ((i = 1; i < \$#; i++)); do
			if [ "\${!i}" = --bundle ]; then n=\$((i + 1)); jq 'del(.linux.resources)' "\${!n}/config.json" >"\${!n}/.new" && mv "\${!n}/.new" "\${!n}/config.json"; fi
		done
		exec "$next" "\$@"
	SH
	chmod 755 "$TMP/beside/$one"
done
mkdir -p "$TMP/ctd" "$TMP/node/etc/containerd" "$TMP/node${RUNTIME%/*}" "$TMP/cni/bin" "$TMP/cni/conf"
cp "$RUNTIME" "$TMP/node$RUNTIME"
CTR_SOCK=$TMP/ctd/sock
cat >"$TMP/node/etc/containerd/config.toml" <<TOML
version = 2
root = "$TMP/ctd/root"
state = "$TMP/ctd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs"]
[grpc]
  address = "$CTR_SOCK"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/egret-test/static:1"
  stream_server_address = "127.0.0.1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "$TMP/beside/plain"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$TMP/cni/bin"
    conf_dir = "$TMP/cni/conf"
TOML
like "$(bash "$ROOT/deploy/egret-setup" --yes --no-units --root "$TMP/node" --runtime "$RUNTIME" containerd 2>&1)" 'containerd' "egret-setup writes the runtime"
echo '{ "cniVersion": "0.4.0", "name": "test", "plugins": [ { "type": "pair" } ] }' >"$TMP/cni/conf/10-test.conflist"
cat >"$TMP/cni/bin/pair" <<SH
#!/bin/bash
# The address of each pod is one more than the last one's.
set -e
exec 9>"$TMP/cni/lock"; flock 9
if [ "\${0##*/} \$CNI_COMMAND" = "loopback ADD" ]; then
	nsenter --net="\$CNI_NETNS" ip link set lo up
	echo '{ "cniVersion": "0.3.1", "interfaces": [ { "name": "lo", "sandbox": "" } ], "ips": [] }'
	exit
fi
case \$CNI_COMMAND in
VERSION) echo '{ "cniVersion": "0.4.0", "supportedVersions": [ "0.4.0" ] }' ;;
ADD)
	n=\$((\$(cat "$TMP/cni/last" 2>/dev/null || echo 1) + 1)); echo \$n >"$TMP/cni/last"
	ip link add "kp\$n" type veth peer name "kq\$n"
	ip link set "kq\$n" netns "\$CNI_NETNS" name "\$CNI_IFNAME"
	nsenter --net="\$CNI_NETNS" sh -ec "ip link set lo up; ip link set \$CNI_IFNAME up; ip addr add 10.77.9.\$n/32 dev \$CNI_IFNAME
		ip route add 10.77.9.1 dev \$CNI_IFNAME; ip route add default via 10.77.9.1"
	ip link set "kp\$n" up; ip route add 10.77.9.\$n/32 dev "kp\$n"
	echo "{ \"cniVersion\": \"0.4.0\", \"interfaces\": [ { \"name\": \"\$CNI_IFNAME\", \"sandbox\": \"\$CNI_NETNS\" } ], \"ips\": [ { \"version\": \"4\", \"interface\": 0, \"address\": \"10.77.9.\$n/32\" } ] }"
	;;
esac
SH
chmod 755 "$TMP/cni/bin/pair"
ln -s pair "$TMP/cni/bin/loopback"
in_host sh -ec 'ip addr add 10.77.9.1/32 dev lo; echo 1 >/proc/sys/net/ipv4/ip_forward
	iptables -t nat -A POSTROUTING -s 10.77.9.0/24 ! -d 10.77.9.0/24 -j MASQUERADE' || fail "the node's network"
containerd_node || { fail "containerd came up" "$(tail -n 20 "$TMP/ctd/log")"; done_testing; }
ctr() { in_host ctr -a "$CTR_SOCK" -n k8s.io "$@"; }
images_into ctr static alpine || done_testing
ALPINE=docker.io/egret-test/alpine:1

# ---- the kubelet's calls ----

cri() { in_host "$ROOT/tests/e2e/cri.py" "$CTR_SOCK" "$@" 2>&1; }
declare -A POD UIDS
pods=()
pods_down() {
	local p
	for p in "${pods[@]}"; do cri stop-pod "$p"; cri remove-pod "$p"; done >/dev/null
}
at_exit pods_down
parent_of() { echo "$PODS/burstable/pod$1"; }
pod() { # name, namespace, handler: ${POD[name]}; what the runtime said in $SAID
	UIDS[$1]=$(cat /proc/sys/kernel/random/uuid)
	SAID=$(cri pod "$2" "$1" "${UIDS[$1]}" "$(parent_of "${UIDS[$1]}")" "$3")
	POD[$1]=$SAID
	[[ $SAID =~ ^[0-9a-f]{64}$ ]] && pods+=("$SAID")
}
container() { # pod, namespace, name, command...: its id in $C, started
	C=$(cri container "${POD[$1]}" "$ALPINE" "$3" "$2" "$1" "${UIDS[$1]}" "$(parent_of "${UIDS[$1]}")" "${@:4}")
	SAID=$(cri start "$C")
}
PLAIN="printf 'GET /hello.txt HTTP/1.0\\r\\nHost: api.test\\r\\n\\r\\n' | nc -w 5 198.51.100.10 8080 2>&1 || echo refused"

# In a container's namespaces, as its own process, without its runtime: that does not start anything while egretd is away.
nsenter_in() {
	local p
	p=$(head -n 1 "$CGROOT$(parent_of "${UIDS[web-1]}")/$1/cgroup.procs")
	in_host bash -c 'echo $$ >"/sys/fs/cgroup$1/cgroup.procs" && exec nsenter -t "$2" -n curl -sS --max-time 5 -H Host:api.test http://198.51.100.10:8080/hello.txt' - \
		"$(parent_of "${UIDS[web-1]}")/$1" "$p" 2>&1
}
pod web-1 ci egret
like "$SAID" '^[0-9a-f]{64}$' "a pod of the RuntimeClass starts" || { diag "$(tail -n 5 "$TMP/egretd.log" "$TMP/ctd/log" | cut -c-600)"; done_testing; }
JOB=$(job_names)
like "$JOB" '^j-[0-9a-f]+$' "it is a job"
container web-1 ci main sleep 600
is "$SAID" '' "its container starts"
G=$C
is "$(job_names)" "$JOB" "and is of the same job"
show=$(in_host "$EGRET" job show "$JOB" --json)
like "$show" "\"kubernetes\".*" "facts: provider"
like "$show" '"ci"' "the namespace, as the runtime says it and not the pod's own annotation"
like "$show" '"web-1"' "the pod"
like "$(cri exec "$G" fetch $ALLOWED $REFUSED | tr '\n' '.')" '200 hello from api.403 Blocked by egret' "allowed, and refused in words"
like "$(cri exec "$G" sh -c "$PLAIN")" 'Blocked by egret' "not past the proxy either"

like "$show" '"confined"' "it is confined"

pod free-1 ci runc
container free-1 ci main sleep 600
F=$C
like "$(cri exec "$F" sh -c "$PLAIN")" 'hello from api' "a pod without the RuntimeClass is untouched"
is "$(job_names)" "$JOB" "and no job"
like "$(cri exec "$F" sh -c 'nc -u -w 1 198.51.100.10 99 </dev/null && echo sent')" 'sent' "its UDP too"

pod dns-1 kube-system egret
container dns-1 kube-system main sleep 600
X=$C
like "$(cri exec "$X" sh -c "$PLAIN")" 'hello from api' "a pod of an exempt namespace is untouched, whatever its RuntimeClass"
is "$(job_names)" "$JOB" "and no job"
unlike "$(cri exec "$X" env)" 'EGRET_JOB' "nothing was laid into it"

pod loose-1 ci egret
L=$(cri container "${POD[loose-1]}" "$ALPINE" main ci loose-1 "${UIDS[loose-1]}" "$(parent_of "${UIDS[loose-1]}")" sleep 600)
cri start "$L" >/dev/null
LOOSE=$(job_names | grep -v "$JOB")
like "$(in_host "$EGRET" job show "$LOOSE" --json)" '"confined"' "another pod is another job"
L=$(in_host env CAPS=CAP_SYS_ADMIN "$ROOT/tests/e2e/cri.py" "$CTR_SOCK" container "${POD[loose-1]}" "$ALPINE" second ci loose-1 "${UIDS[loose-1]}" \
	"$(parent_of "${UIDS[loose-1]}")" sleep 600 2>&1)
SAID=$(cri start "$L")
like "$(in_host "$EGRET" job show "$LOOSE" --json)" '"cooperative"' "a container with SYS_ADMIN makes it cooperative" || diag "$L $SAID"
cri stop-pod "${POD[loose-1]}" >/dev/null; cri remove-pod "${POD[loose-1]}" >/dev/null
in_host "$EGRET" job end "$LOOSE" >/dev/null 2>&1
wait_for 10 "! job_names | grep -q '$LOOSE'"

pod none-1 other egret
unlike "$SAID" '^[0-9a-f]{64}$' "a namespace that no policy names: the pod does not start"
like "$SAID" 'egret' "and the runtime's words say why"

# ---- what was registered once never opens ----

kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
governed=$(nsenter_in "$G")
unlike "$governed" 'hello from api' "egretd killed: the governed pod stays shut"
like "$(cri exec "$F" sh -c "$PLAIN")" 'hello from api' "and the free one as it was"
pod late-1 ci egret
like "$SAID" 'egretd does not run' "no pod of the RuntimeClass starts meanwhile"
daemon_start
like "$(job_names)" "$JOB" "egretd started again: the pod's job is taken up"
like "$(cri exec "$G" fetch $ALLOWED $REFUSED | tr '\n' '.')" '200 hello from api.403 Blocked by egret' "and served"
like "$(cri exec "$F" sh -c "$PLAIN")" 'hello from api' "the free pod is untouched still"

# An attached pod's processes outlive its job: they are nobody's from then on, through a restart too, and the cgroup after them.
free=$(parent_of "${UIDS[free-1]}")/$F
NEW=$(in_host "$EGRET" attach --cgroup "$free" --label provider=kubernetes --label org=ci --label event=pod 2>&1 | grep -o 'j-[0-9a-f]*' | head -n 1)
like "$NEW" '^j-' "the free pod's container is attached" || diag "$(tail -n 3 "$TMP/egretd.log")"
unlike "$(cri exec "$F" sh -c "$PLAIN")" 'hello from api' "then it is governed"
in_host "$EGRET" job end "$NEW" >/dev/null 2>&1
t "that job is over" wait_for 10 "! job_names | grep -q '$NEW'"
like "$(cri exec "$F" sh -c 'echo alive')" 'alive' "its processes are not"
unlike "$(cri exec "$F" sh -c "$PLAIN")" 'hello from api' "and do not open"
known() { bpftool -j map dump pinned "/sys/fs/bpf/egret/$(egret_instance "$TMP/run")/v2/egret_cgroups" | jq length; }
hand=$CGROOT$PODS/hand
mkdir "$hand"
try_hand() { in_host bash -c 'echo $$ >"/sys/fs/cgroup$1/hand/cgroup.procs" && exec curl -sS --max-time 5 -H Host:api.test http://198.51.100.10:8080/hello.txt' - "$PODS" 2>&1; }
like "$(try_hand)" 'hello from api' "a cgroup that was never registered passes"
in_host "${BOUND[@]}" bash -c 'echo $$ >"/sys/fs/cgroup$1/hand/cgroup.procs" && exec sleep 600' - "$PODS" 9>&- &
sleeper=$!
PIDS+=("$sleeper")
wait_for 5 "grep -q . '$hand/cgroup.procs'"
like "$(in_host "$EGRET" attach --cgroup "$PODS/hand" --label provider=kubernetes --label org=ci --label event=pod 2>&1)" 'j-' "attached"
kill $sleeper $(cat "$hand/cgroup.procs"); wait_for 5 "grep -q 'populated 0' '$hand/cgroup.events'"
t "its last process has left: no member any more" wait_for 10 "! in_host '$EGRET' job list --json | grep -q hand"
like "$(try_hand)" 'curl: .7.' "who comes into its cgroup is refused"
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
like "$(try_hand)" 'curl: .7.' "egretd killed: refused"
daemon_start
like "$(try_hand)" 'curl: .7.' "egretd started again: refused"
unlike "$(cri exec "$F" sh -c "$PLAIN")" 'hello from api' "and so is the pod that was attached"
t "it is no caller with any right" sh -c "! nsenter --mount='$HOSTMNT' --net='/run/netns/$HOSTNS' bash -c 'echo \$\$ >/sys/fs/cgroup$PODS/hand/cgroup.procs && exec $EGRET job end $JOB'"
rmdir "$hand"; mkdir "$hand"
like "$(try_hand)" 'hello from api' "another cgroup of that name is another"
rmdir "$hand"

# ---- egret run, and the end ----

like "$(JOB_OPTS=(--label provider=kubernetes --label org=ci --label event=pod); daemon_job curl -sS --max-time 10 $ALLOWED $REFUSED 2>&1 | tr '\n' '.')" 'hello from api.*egret' "egret run makes its jobs below the attach point"
pods_down
pods=()
t "pods deleted: their jobs end" wait_for 40 '[ -z "$(job_names)" ]'
t "and nothing of them is left in the kernel's table" wait_for 15 '[ "$(known)" = 0 ]'
is "$(find "$CGROOT$PODS" -mindepth 1 -maxdepth 1 -name 'j-*' -o -mindepth 1 -maxdepth 1 -name 'c-*')" '' "nor of egret's below the attach point"
containerd_down
daemon_stop
is $? 0 "egretd ends in order"
t "the attach point is left alone" test -d "$CGROOT$PODS/burstable"
done_testing
