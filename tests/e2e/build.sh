#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# timeout: 400
# docker build: steps of the classic builder and of BuildKit under the policy docker-build, apt-get update allowed and refused; docker push and pull by a
# dockerd that is a managed unit itself, under the policy docker-daemon, against a real registry.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/packages.sh"
NAMES='api.test apt.test other.test'
EXTRA_HOSTS[reg.test]=198.51.100.53
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
need apt-ftparchive dpkg-deb
HOST_MANAGED=$(host_managed '"unregistered": "policy:docker-build"')", { \"unit\": \"docker.service\", \"engine\": \"docker\", \"root\": \"$TMP/docker/data\", \"unregistered\": \"policy:docker-daemon\" }"
mkdir -p "$TMP/policies"
library() { # name, rules...: a policy that the configuration names
	local name=$1 r i=0
	shift
	{
		printf '{ "version": 1, "name": "%s", "mode": "enforce", "rules": [' "$name"
		for r; do i=$((i + 1)); printf '%s\n  { "id": "r%d", %s }' "$([ $i = 1 ] || echo ,)" $i "$r"; done
		printf '\n] }\n'
	} >"$TMP/policies/$name.json"
}
library docker-build '"allow": "READ https://apt.test/**"'
library docker-daemon '"allow": "tls://reg.test:443"'
host_up

make_apt

# A registry of its own, at 198.51.100.53 in the origins' namespace.
pki_leaf outside reg DNS:reg.test
cat >"$TMP/reg.yml" <<-YAML
	version: 0.1
	log: { level: error }
	storage: { filesystem: { rootdirectory: $TMP/registry } }
	http: { addr: 198.51.100.53:443, tls: { certificate: $TMP/reg.pem, key: $TMP/reg.key } }
YAML

# dockerd in a unit of the slice, and egret-runc where BuildKit's executor looks for its runc.
runc=$(runc_beside)
DOCKER_PATH=${runc%/*}:$PATH
mkdir -p "$CGROOT$SLICE/docker.service"
DOCKER_WRAP=(env SSL_CERT_FILE="$TMP/outside.pem" sh -c 'echo $$ >"$0" && exec "$@"' "/sys/fs/cgroup$SLICE/docker.service/cgroup.procs")
host_docker
images_into docker alpine debian || done_testing
D=egret-test/debian:1

ctx=$TMP/ctx
mkdir -p "$ctx"
printf 'deb [trusted=yes] https://apt.test stable main\n' >"$ctx/allowed.list"
printf 'deb [trusted=yes] https://other.test stable main\n' >"$ctx/refused.list"
dockerfile() { # list
	cat >"$ctx/Dockerfile" <<-DOCKERFILE
		FROM egret-test/debian:1
		COPY $1.list /etc/apt/sources.list
		RUN apt-get -o Acquire::Retries=0 -o Acquire::Languages=none update && apt-get install -y egret-hello && cat /usr/share/egret-hello/hello
	DOCKERFILE
}
for kit in 0 1; do
	name=$([ $kit = 0 ] && echo "the classic builder" || echo BuildKit)
	build() { DOCKER_BUILDKIT=$kit timeout 120 nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" env DOCKER_BUILDKIT=$kit "$DOCKER_BIN" -H "unix://$DOCKER_SOCK" build -t built:1 --no-cache $([ $kit = 0 ] || echo --progress=plain) "$ctx" 2>&1; }
	dockerfile allowed
	out=$(build)
	is $? 0 "$name: apt-get update and install from an allowed origin" || diag "$(tail -n 20 <<<"$out")"
	like "$out" '(^|[^-])hello$' "$name: and what was installed is there"
	dockerfile refused
	out=$(build)
	isnt $? 0 "$name: from another origin it fails"
	like "$out" 'Blocked by egret|no rule allows' "$name: in words, in the build's log"
done
# The image that was built has the base's own bundle, and no file of egret's with anything in it.
docker create --name built built:1 true >/dev/null && docker create --name base $D true >/dev/null
is "$(docker cp built:/etc/ssl/certs/ca-certificates.crt - | tar -xO | sha256sum)" "$(docker cp base:/etc/ssl/certs/ca-certificates.crt - | tar -xO | sha256sum)" "the built image's bundle is the base's"
is "$(docker export built | tar -t -v | awk '$6 ~ /^run\/egret\// && $3 > 0')" "" "nothing of egret's is in the built image"
is "$(docker inspect -f '{{.Config.Env}}' built:1 | grep -c egret)" 0 "nor in its environment"
docker rm built base >/dev/null
like "$(in_host "$EGRET" job list --json)" 'docker-build|docker-daemon' "jobs by the configuration's policies"

# ---- pull and push: dockerd's own traffic ----
if command -v docker-registry >/dev/null; then
	spawn in_origin docker-registry serve "$TMP/reg.yml" >>"$TMP/registry.log" 2>&1
	wait_port in_origin 198.51.100.53 443
	docker tag egret-test/alpine:1 reg.test/alpine:1
	t "docker push to an allowed registry" docker push -q reg.test/alpine:1
	docker rmi reg.test/alpine:1 >/dev/null
	t "docker pull from it" docker pull -q reg.test/alpine:1
	isnt "$(docker pull -q evil.test/x:1 >"$TMP/pull" 2>&1; echo $?)" 0 "docker pull from another: refused"
	unlike "$(origin_log)" '^evil' "which was never contacted"
else
	skip "docker pull" "docker-registry is not installed"
fi
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
