#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# `make install` and `make uninstall` into a folder of the test: all that the programs and units name is there, it runs from there, and
# nothing is left after. egret-setup on a tree of files: what it adds, what it leaves alone, what it refuses, and that undo is exact.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
need_root
need_egret
need jq unshare
D=$TMP/tree
make_it() { make -s -C "$ROOT" BUILD="$BUILD" "$@" DESTDIR="$D" deps-build= ; }
list() { (cd "$1" && find . -mindepth 1 | sort); }

mkdir -p "$D/usr/share/man/man8" "$D/etc/egret" "$D/var/lib/egret"
echo theirs >"$D/usr/share/man/man8/other.8"
echo '{}' >"$D/etc/egret/egret.json"
list "$D" >"$TMP/before"
t "make install" make_it install
for f in "$BUILD"/bin/egret*; do
	f=${f##*/}
	t "$f is installed" test -n "$(find "$D/usr" -name "$f" -type f -perm -u+x)"
done
is "$(find "$D/usr/share/man" -name '*.[158]' | wc -l)" "$(($(find "$ROOT/docs/man" -name '*.[158]' | wc -l) + 1))" "each man page is"
t "the units name no @PREFIX@" test -z "$(grep -rl '@PREFIX@' "$D/usr")"
is "$(find "$D" -type f -perm /022 | wc -l)" 0 "nothing that others could write"
missing=
for f in $(grep -rhoE '/usr/(s?bin|libexec/egret|share/egret)/[A-Za-z0-9._/-]+' "$D/usr/lib/systemd" "$D/usr/share/egret/systemd" | sort -u); do
	case $f in */hooks/*) [ -d "$ROOT/deploy/hooks" ] || continue ;; esac
	[ -e "$D$f" ] || missing+=" $f"
done
is "$missing" '' "what units and drop-ins name is there"
if command -v systemd-analyze >/dev/null; then
	# Of a unit that lies in another root verify complains of programs only.
	is "$(systemd-analyze verify --man=no --root="$D" egretd.service egret.slice egretd.slice 2>&1 | grep -E 'egret' | grep -vE 'not executable|Failed to prepare|not found')" '' \
		"systemd-analyze verify has nothing to say of the units"
fi
# The tree over /usr in a mount namespace: the programs find each other where they are installed.
inside() {
	unshare -m bash -c 'd=$1; shift; mount -t overlay -o "lowerdir=$d/usr:/usr" overlay /usr && exec "$@"' - "$D" "$@"
}
like "$(inside /usr/bin/egret --version 2>&1)" '^egret [0-9]' "egret runs from there"
like "$(inside /usr/bin/egret doctor 2>&1)" 'ok +kernel' "and finds egretd"
t "shipped policies are found by name" inside /usr/bin/egret policy check --help
t "make install again" make_it install
like "$(make_it uninstall)" 'kept: .*/etc/egret' "make uninstall says what it keeps"
find "$D" -depth -type d -empty -path '*/usr/*' -delete
list "$D" | grep -v '^\./usr$' >"$TMP/after"
is "$(comm -13 "$TMP/before" "$TMP/after")" '' "and leaves nothing of its own"
is "$(cat "$D/usr/share/man/man8/other.8")" theirs "nor takes what is another's"
like "$(make_it PREFIX=/opt/other install 2>&1)" 'another prefix' "a build for another prefix is refused"

# ---- egret-setup ----

R=$TMP/host
mkdir -p "$TMP/prefix/share/egret/systemd" "$R/etc/docker" "$R/etc/systemd/system" "$R/etc/containerd" "$R/opt"
for f in "$ROOT"/deploy/systemd/dropin/*.conf; do sed 's|@PREFIX@|/usr|g' "$f" >"$TMP/prefix/share/egret/systemd/${f##*/}"; done
sed "s|@PREFIX@|$TMP/prefix|g" "$ROOT/deploy/egret-setup" >"$TMP/egret-setup"
install -m 755 /bin/true "$R/opt/egret-runc"
setup() { bash "$TMP/egret-setup" --root "$R" --runtime /opt/egret-runc "$@" </dev/null 2>&1; }
J=$R/etc/docker/daemon.json
field() { jq -r "$1" "$J"; }
same() { cmp -s "$TMP/was" "$J" && echo same; }

echo '{"log-level": "warn",   "runtimes": {"kata": {"path": "/x"}}, "exec-opts": ["native.cgroupdriver=systemd"], "default-runtime": "kata"}' >"$TMP/was"
cp "$TMP/was" "$J"
like "$(setup docker)" 'nothing was changed' "docker: nobody answers, nothing is changed"
is "$(same)" same "docker: not a byte"
t "docker: set up" setup --yes docker
is "$(field '[."log-level", .runtimes.kata.path, .runtimes.egret.path, ."default-runtime", ."cgroup-parent"] | join(" ")')" \
	'warn /x /opt/egret-runc egret egret-docker.slice' "docker: three keys are added, the others stay"
is "$(jq -c '.managed' "$R/etc/egret/conf.d/60-egret-setup.json")" '[{"unit":"docker.service","engine":"docker","unregistered":"deny"}]' "docker: it is managed"
like "$(cat "$R/etc/systemd/system/docker.service.d/10-egret.conf")" 'After=egretd.service' "docker: it starts after egretd"
like "$(setup --yes docker)" 'nothing to do' "docker: a second time changes nothing"
t "docker: undone" setup --yes --undo docker
is "$(same)" same "docker: byte for byte"
is "$(cd "$R" && find . -type f -path '*egret*' ! -name egret-runc)" '' "docker: nothing is left"
setup --yes docker >/dev/null
jq '.debug = true' "$J" >"$TMP/new" && cp "$TMP/new" "$J"
setup --yes docker --cgroup-driver cgroupfs >/dev/null
is "$(field '."cgroup-parent"')" /egret.slice/docker "docker: cgroupfs driver"
setup --yes --undo docker >/dev/null
is "$(jq -cS . "$J")" "$(jq -cS '.debug = true' "$TMP/was")" "docker: undo of a file that was changed since keeps the change"
rm "$J"
setup --yes docker >/dev/null
t "docker: without a file one is made" test -s "$J"
setup --yes --undo docker >/dev/null
t "docker: and goes again" test ! -e "$J"
for bad in '[1]' '{"a":1}{"b":2}' '{"a":1,"a":2}' '{"runtimes":{"a":{"path":"/a"},"a":{"path":"/b"}}}' '{"n":12345678901234567890}' '{' '{"runtimes":[]}'; do
	echo "$bad" >"$J"
	setup --yes docker >"$TMP/said" && fail "docker: $bad is refused" || like "$(cat "$TMP/said")" 'daemon.json' "docker: $bad is refused"
	is "$(cat "$J")" "$bad" "docker: and left alone"
done
rm "$J" && ln -s /etc/passwd "$J"
like "$(setup --yes docker)" 'no regular file' "docker: a link is refused"
rm "$J"
install -m 755 -d "$R/etc/egret" && echo '{ "managed": [] }' >"$R/etc/egret/egret.json"
like "$(setup --yes docker)" 'left alone; what belongs there.*docker.service' "an administrator's own list is left alone"
setup --yes --undo docker >/dev/null
rm "$R/etc/egret/egret.json"
rm "$R/opt/egret-runc"
like "$(setup --yes docker)" 'there is no .*egret-runc' "without egret-runc docker is not touched"
install -m 755 /bin/true "$R/opt/egret-runc"

T=$R/etc/containerd/config.toml
printf 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "example/pause:1"\n  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\n    SystemdCgroup = true\n' >"$T"
cp "$T" "$TMP/toml"
t "containerd: set up" setup --yes containerd
if command -v containerd >/dev/null; then
	dump=$(containerd -c "$T" config dump 2>&1)
	like "$dump" 'BinaryName = "/opt/egret-runc"' "containerd: it understands the block"
	like "$dump" 'example/pause:1' "containerd: and keeps its own settings"
	is "$(grep -c 'SystemdCgroup = true' <<<"$dump")" 2 "containerd: egret's runtime has the cgroup driver of the other"
fi
like "$(setup --yes containerd)" 'nothing to do' "containerd: a second time changes nothing"
setup --yes --undo containerd >/dev/null
t "containerd: undone byte for byte" cmp "$TMP/toml" "$T"
setup --yes containerd >/dev/null && echo '# a line more' >>"$T"
setup --yes --undo containerd >/dev/null
is "$(cat "$T")" "$(cat "$TMP/toml"; echo '# a line more')" "containerd: undo of a file that was changed since keeps the change"
echo 'disabled_plugins = ["cri"]' >"$T"
like "$(setup --yes containerd)" 'no version = 2 or 3' "containerd: a form that is not known is refused"

like "$(setup --yes github)" 'no actions.runner' "github: no runner, no change"
printf '[Service]\nUser=daemon\n' >"$R/etc/systemd/system/actions.runner.acme-web.one.service"
cp "$R/etc/systemd/system/actions.runner.acme-web.one.service" "$R/etc/systemd/system/actions.runner.acme-web.two.service"
t "github: set up" setup --yes github
for one in one two; do
	like "$(cat "$R/etc/systemd/system/actions.runner.acme-web.$one.service.d"/*.conf | tr '\n' ' ')" 'Slice=egret.slice.*HOOK_JOB_STARTED=/.*HOOK_JOB_COMPLETED=/' "github: runner $one"
	like "$(cat "$R/etc/systemd/system/actions.runner.acme-web.$one.service.d/12-egret-bounds.conf")" '^CapabilityBoundingSet=~CAP_NET_RAW CAP_NET_ADMIN CAP_SYS_ADMIN$' "which keeps no capability for packet sockets"
done
is "$(jq -c '.managed[0]' "$R/etc/egret/conf.d/60-egret-setup.json")" \
	'{"unit":"actions.runner.*.service","registrar":"daemon","unregistered":"policy:github-runner"}' "github: its user may register"
like "$(setup --yes gitlab)" 'no gitlab-runner.service' "gitlab: not there, no change"
printf '[Service]\n' >"$R/etc/systemd/system/gitlab-runner.service"
t "gitlab: set up" setup --yes gitlab
t "its unit is bound too" test -s "$R/etc/systemd/system/gitlab-runner.service.d/12-egret-bounds.conf"
is "$(jq -c '[.managed[].unit]' "$R/etc/egret/conf.d/60-egret-setup.json")" '["actions.runner.*.service","gitlab-runner.service"]' "both are managed"
chown -R root:root "$R/etc/egret"
t "egretd reads what was written" sh -c "'$BUILD/bin/egret' config show --config '$R/etc/egret/conf.d/60-egret-setup.json' | grep -q gitlab-runner"
setup --yes --undo github gitlab >/dev/null
is "$(cd "$R" && find . -type f -path '*egret*' ! -name egret-runc)" '' "nothing is left"
is "$(setup --yes podman >/dev/null; echo $?)" 2 "an unknown word is a fault of use"
done_testing
