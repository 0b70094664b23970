#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# timeout: 240
# The container image, and what the Kubernetes manifests do on a node: loaded by dockerd and by containerd; then the two DaemonSets' containers
# are started by dockerd with the command, capabilities and mounts that stand in deploy/kubernetes/daemonset.yaml, on a tree of files in
# place of the node's. What a kubelet does with the manifests is not tested: there is none here.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/engines.sh"
need_root
need_egret
need jq dockerd containerd ctr python3
python3 -c 'import yaml' 2>/dev/null || skip_all "python3-yaml is not installed"
K=$ROOT/deploy/kubernetes
version=$(cat "$ROOT/VERSION")
t "make image" make -s -C "$ROOT" BUILD="$BUILD" deps-build= image || done_testing
TAR=$ROOT/build/image/egret-$version.tar

# ---- the file ----

mkdir "$TMP/oci" && tar -C "$TMP/oci" -xf "$TAR"
is "$(cd "$TMP/oci/blobs/sha256" && for f in *; do [ "$(sha256sum <"$f" | cut -d' ' -f1)" = "$f" ] || echo "$f"; done)" '' "each blob has the name of its sum"
one=$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' "$TMP/oci/index.json")
is "$(jq -r '[.config, .layers[]] | .[] | "\(.size) \(.digest)"' "$TMP/oci/blobs/sha256/$one" | while read -r size sum; do stat -c "%s $size" "$TMP/oci/blobs/sha256/${sum#*:}"; done | awk '$1 != $2')" '' \
	"sizes are true"
is "$(tar -tvzf "$TMP/oci/$(jq -r '.[0].Layers[0]' "$TMP/oci/manifest.json")" | awk '$2 != "0/0" || /^-..s|^-.....s|^-.......w/')" '' "all is root's, nothing is setuid or for all to write"

# ---- manifests ----

like "$(python3 - "$K" <<-'PY'
	import sys, yaml, glob
	docs = {}
	for f in glob.glob(sys.argv[1] + "/*.yaml"):
	    for d in yaml.safe_load_all(open(f)):
	        docs[d["kind"], d.get("metadata", {}).get("name")] = d
	rc = docs["RuntimeClass", "egret"]
	for name in ("egretd", "egret-node"):
	    d = docs["DaemonSet", name]
	    spec = d["spec"]["template"]["spec"]
	    assert d["spec"]["selector"]["matchLabels"] == d["spec"]["template"]["metadata"]["labels"]
	    assert ("ServiceAccount", spec["serviceAccountName"]) in docs and spec["automountServiceAccountToken"] is False
	    assert rc["scheduling"]["nodeSelector"].items() <= spec["nodeSelector"].items()
	    volumes = {v["name"] for v in spec["volumes"]}
	    for c in spec["containers"] + spec.get("initContainers", []):
	        s = c["securityContext"]
	        assert s["privileged"] is False and s["capabilities"]["drop"] == ["ALL"] and s["readOnlyRootFilesystem"]
	        assert {m["name"] for m in c["volumeMounts"]} <= volumes
	assert rc["handler"] == "egret"
	import json
	json.loads(docs["ConfigMap", "egret"]["data"]["egret.json"])
	print("sound")
	PY
)" '^sound$' "the manifests agree with each other"
python3 -c 'import sys, yaml
for d in yaml.safe_load_all(open(sys.argv[1])):
    if d["kind"] == "ConfigMap": print(d["data"]["egret.json"])' "$K/config.yaml" >"$TMP/shipped.json"
t "egretd reads the configuration in them" "$EGRET" config show --config "$TMP/shipped.json"

# ---- engines ----

net_up || { fail "network namespaces could be made"; done_testing; }
engines_up || done_testing
docker_up || done_testing
like "$(docker load -i "$TAR" 2>&1)" "Loaded image: egret:$version" "docker load"
is "$(docker run --rm "egret:$version" --version 2>&1)" "egretd $version" "docker run"
containerd_up || done_testing
like "$(ctr image import "$TAR" 2>&1)" "egret:$version" "ctr image import"
is "$(ctr_run "$RIG_PARENT/ctr/one" "docker.io/library/egret:$version" one /usr/bin/egret --version 2>&1)" "egret $version" "ctr run"

# ---- the node ----

NODE=$TMP/node
mkdir -p "$NODE/etc/containerd" "$NODE/opt/egret" "$NODE/var/lib/egret/setup" "$TMP/state" "$TMP/run"
printf 'version = 2\nroot = "%s"\nstate = "%s"\n[grpc]\n  address = "%s"\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "example/pause:1"\n  stream_server_address = "127.0.0.1"\n' \
	"$TMP/crid/root" "$TMP/crid/state" "$TMP/crid/sock" >"$NODE/etc/containerd/config.toml"
cp "$NODE/etc/containerd/config.toml" "$TMP/toml.before"
jq --arg run "$TMP/run" --arg state "$TMP/state" --arg at "$RIG_PARENT/kubepods" '. + { run_dir: $run, state_dir: $state, attach: $at }' "$TMP/shipped.json" >"$TMP/egret.json"
# One container of a DaemonSet, as docker's arguments or as an OCI bundle's config.json. Folders of the node become the test's; a
# capability that this machine has not got is left out, and this test's process stands in for the node's first: not every machine lets one
# look at that. docker 20.10 does not know CAP_BPF: egretd's is started by runc.
cat >"$TMP/container.py" <<'PY'
import json, sys, yaml
form, path, name, container, tmp, lacking, extra, node = sys.argv[1:9]
for d in yaml.safe_load_all(open(path)):
    if d["metadata"]["name"] == name: spec = d["spec"]["template"]["spec"]
c = [x for x in spec["containers"] + spec.get("initContainers", []) if x["name"] == container][0]
s = c["securityContext"]
caps = [x for x in s["capabilities"]["add"] if x not in lacking.split(",")]
env = [e["name"] + "=" + ("no" if "RESTART" in e["name"] else e["value"]) for e in c.get("env", [])]
place, mounts, empty = { v["name"]: v for v in spec["volumes"] }, [], []
for m in c["volumeMounts"]:
    v, at = place[m["name"]], m["mountPath"]
    if "emptyDir" in v: empty.append(at); continue
    src = v["hostPath"]["path"] if "hostPath" in v else tmp + "/config/" + v["configMap"]["name"]
    if src == "/run/egret": src = at = tmp + "/run"
    elif src == "/var/lib/egret": src = at = tmp + "/state"
    elif not src.startswith("/sys/") and "hostPath" in v: src = tmp + "/node" + src
    mounts.append((src, at, "ro" if m.get("readOnly") else "rw"))
assert s["capabilities"]["drop"] == ["ALL"]
if form == "docker":
    out = ["--cap-drop", "ALL"] + (["--read-only"] if s["readOnlyRootFilesystem"] else [])
    for x in caps: out += ["--cap-add", x]
    for x in env: out += ["-e", x]
    for x in empty: out += ["--tmpfs", x]
    for x in mounts: out += ["-v", ":".join(x)]
    if spec.get("hostPID"): out += ["--pid", "host"]
    print("\n".join(out + ["--entrypoint", c["command"][0], "IMAGE"] + c["command"][1:]))
    sys.exit()
j = json.load(sys.stdin) # of `runc spec`
p = j["process"]
p.update(args=c["command"], terminal=False, noNewPrivileges=not s["allowPrivilegeEscalation"])
p["env"] = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "EGRET_RUN_DIR=" + tmp + "/run", "EGRET_NODE_PID=" + node] + env
p["rlimits"] = []
all_caps = ["CAP_" + x for x in caps]
p["capabilities"] = { k: all_caps for k in ("bounding", "effective", "permitted") }
j["root"] = { "path": "rootfs", "readonly": s["readOnlyRootFilesystem"] }
off = [k for k, w in (("pid", "hostPID"), ("network", "hostNetwork")) if spec.get(w)]
l = j["linux"]
# What containerd gives a container that is not privileged: a cgroup namespace of its own.
l["namespaces"] = [n for n in l["namespaces"] if n["type"] not in off + ["cgroup"]] + [{ "type": "cgroup" }]
l["cgroupsPath"] = extra
l["resources"] = {}
if s.get("seccompProfile", {}).get("type") == "Unconfined": l.pop("seccomp", None)
j["mounts"] = [m for m in j["mounts"] if m["destination"] != "/sys/fs/cgroup"]
for x in empty: j["mounts"].append({ "destination": x, "type": "tmpfs", "source": "tmpfs" })
for src, at, mode in mounts: j["mounts"].append({ "destination": at, "type": "bind", "source": src, "options": ["rbind", mode] })
json.dump(j, sys.stdout)
PY
lacking=
capsh --has-b=cap_sys_resource 2>/dev/null || lacking=SYS_RESOURCE
as_manifest() { # DaemonSet, container, docker's own words...: runs it
	local args
	mapfile -t args < <(python3 "$TMP/container.py" docker "$K/daemonset.yaml" "$1" "$2" "$TMP" "$lacking" '' '')
	shift 2
	docker run "$@" "${args[@]/#IMAGE/egret:$version}"
}
like "$(as_manifest egret-node install --rm 2>&1)" 'containerd reads its configuration at its next start' "the init container installs"
like "$(in_host "$NODE/opt/egret/bin/egret-runc" --version 2>&1)" '^runc version' "egret-runc runs on a node that has none of its libraries"
like "$(ldd "$NODE/opt/egret/bin/egret-runc" 2>&1)" 'statically linked|not a dynamic' "as it asks for none"
like "$(as_manifest egret-node install --rm 2>&1)" 'nothing to do' "a second time changes nothing"
mkdir -p "$TMP/crid"
spawn nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" containerd -c "$NODE/etc/containerd/config.toml" >"$TMP/crid/log" 2>&1
crid=$SPAWNED
t "a real containerd starts with it" wait_for 20 "in_host ctr -a '$TMP/crid/sock' version"
like "$(in_host ctr -a "$TMP/crid/sock" plugins ls | grep ' cri ')" 'ok' "its CRI plugin takes it" || diag "$(grep -E 'level=(warn|error)' "$TMP/crid/log" | grep -i cri | cut -c-300)"
dump=$(containerd -c "$NODE/etc/containerd/config.toml" config dump); dump=$(grep -E 'BinaryName|sandbox_image' <<<"$dump")
like "$dump" 'BinaryName = "/opt/egret/bin/egret-runc"' "the handler egret is egret-runc"
like "$dump" 'example/pause:1' "what was there stays"
stop_pid "$crid"

mkdir -p "$TMP/bundle/rootfs"
tar -C "$TMP/bundle/rootfs" -xzf "$TMP/oci/$(jq -r '.[0].Layers[0]' "$TMP/oci/manifest.json")"
# As a kubelet lays a ConfigMap: links to links.
mkdir -p "$TMP/config/egret/..1" "$TMP/config/egret-policies/..1" "$TMP"/bundle/rootfs/{config/egret,config/policies,etc/egret} # mount points, as engines make them
mv "$TMP/egret.json" "$TMP/config/egret/..1/"
echo '{ "version": 1, "name": "any", "mode": "enforce", "for": [ { "repo": "any", "event": "push" } ], "rules": [ { "id": "a", "allow": "GET https://api.test/**" } ] }' \
	>"$TMP/config/egret-policies/..1/any.json"
for one in egret egret-policies; do ln -s ..1 "$TMP/config/$one/..data"; done
ln -s ..data/egret.json "$TMP/config/egret/egret.json" && ln -s ..data/any.json "$TMP/config/egret-policies/any.json"
(cd "$TMP" && runc spec -b "$TMP/bundle") && python3 "$TMP/container.py" oci "$K/daemonset.yaml" egretd egretd "$TMP" "$lacking" "$RIG_PARENT/egretd" $$ \
	<"$TMP/bundle/config.json" >"$TMP/bundle/new.json" && mv "$TMP/bundle/new.json" "$TMP/bundle/config.json"
runc_do() { in_host runc --root "$TMP/runc" "$@"; }
at_exit 'runc_do kill egretd KILL; runc_do delete -f egretd'
egretd_start() { runc_do delete -f egretd >/dev/null 2>&1; runc_do run -d -b "$TMP/bundle" egretd >>"$TMP/egretd.log" 2>&1; }
probe=$(python3 -c 'import sys, yaml
for d in yaml.safe_load_all(open(sys.argv[1])):
    if d["metadata"]["name"] == "egretd": print(" ".join(d["spec"]["template"]["spec"]["containers"][0]["startupProbe"]["exec"]["command"]))' "$K/daemonset.yaml")
egretd_start
t "egretd serves as its probe asks" wait_for 20 "runc_do exec egretd $probe" || diag "$(tail -n 5 "$TMP/egretd.log")"
pid=$(runc_do state egretd | jq .pid)
is "$(sed -n 's/^NoNewPrivs:[[:space:]]*//p' "/proc/$pid/status") $(($(capsh --decode="$(sed -n 's/^CapBnd:[[:space:]]*//p' "/proc/$pid/status")" | tr ',' '\n' | wc -l) <= 16))" '0 1' \
	"it has no more than the manifest's capabilities"
is "$(runc_do exec egretd /usr/bin/egret run --label repo=any --label event=push -- /usr/bin/bash -c 'echo from a job' 2>&1)" 'from a job' "and makes a job with these"
t "hand-over" runc_do exec egretd /usr/libexec/egret/node.sh hand-over
t "egretd ends" wait_for 10 "! kill -0 $pid"
t "its broker stays" sh -c "cat /sys/fs/cgroup/*/egretd-$(egret_instance "$TMP/run").slice/broker/cgroup.procs | grep -q ."
egretd_start
t "the next one serves" wait_for 20 "runc_do exec egretd $probe"
like "$(tail -n 20 "$TMP/egretd.log")" 'handed over' "the first one said so"
runc_do kill egretd TERM
t "and ends in order" wait_for 20 "[ \"\$(runc_do state egretd | jq -r .status)\" = stopped ]"
runc_do delete -f egretd
like "$(docker run --rm -v "$NODE:/host" --entrypoint /usr/libexec/egret/node.sh "egret:$version" remove 2>&1)" 'removed' "deleted: the preStop hook removes"
t "config.toml is what it was, byte for byte" cmp "$TMP/toml.before" "$NODE/etc/containerd/config.toml"
is "$(find "$NODE" -type f ! -path '*/config.toml')" '' "nothing is left"
done_testing
