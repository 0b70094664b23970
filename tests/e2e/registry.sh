#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 50 s
# not quick
# timeout: 400
# Image clients against a real registry (docker-registry, its own TLS, HTTP/2 by Go), opened and judged request by request: skopeo in a job, and docker
# push and pull by a dockerd that is a managed unit. The image has one blob of BLOB_MB (256; 1024 in `make soak`), which comes back byte for byte;
# oras (build/oras: `make client-build`) has one of 32 MiB, of 1024 in `make soak`. Then a private registry: the daemon, which has no login, pulls
# and pushes by a credential of its unit's policy, and what was handed out outlives a reload.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
need skopeo docker-registry jq python3
BLOB_MB=${BLOB_MB:-256}
REG=198.51.100.53 PRIV=198.51.100.55 AUTH=198.51.100.54
EXTRA_HOSTS[reg.test]=$REG EXTRA_HOSTS[priv.test]=$PRIV EXTRA_HOSTS[auth.test]=$AUTH
HOST_MANAGED=$(host_managed)", { \"unit\": \"docker.service\", \"engine\": \"docker\", \"root\": \"$TMP/docker/data\", \"unregistered\": \"policy:docker-daemon\" }"
mkdir -p "$TMP/policies"
rules='{ "id": "ping", "allow": "READ https://reg.test/v2/" }, { "id": "app", "allow": "ANY https://reg.test/v2/app/**" }, { "id": "base", "allow": "READ https://reg.test/v2/base/**" }'
daemon_policy() { echo "{ \"version\": 1, \"name\": \"docker-daemon\", \"rules\": [ $rules$1 ] }" >"$TMP/policies/docker-daemon.json"; }
daemon_policy ', { "id": "private", "allow": "ANY https://priv.test/v2/**" }, { "id": "tokens", "allow": "GET https://auth.test/token" }'
if enforced; then host_up '"ca": { "mode": "root" }'; else origins_up; fi
POLICY=$TMP/policies/docker-daemon.json

pki_leaf outside reg DNS:reg.test
cat >"$TMP/reg.yml" <<-YAML
	version: 0.1
	log: { level: error }
	storage: { filesystem: { rootdirectory: $TMP/registry } }
	http: { addr: $REG:443, tls: { certificate: $TMP/reg.pem, key: $TMP/reg.key } }
YAML
spawn in_origin docker-registry serve "$TMP/reg.yml" >"$TMP/reg.log" 2>&1
wait_port in_host $REG 443 || { diag "$(tail -n 5 "$TMP/reg.log")"; exit 1; }

# An image as an OCI layout: one layer with a file that no compressor makes smaller, stored in gzip's form without trying.
cat >"$TMP/image.py" <<'PY'
import gzip, hashlib, io, json, os, sys, tarfile
to, mb = sys.argv[1], int(sys.argv[2])
os.makedirs(to + "/blobs/sha256")
class Sums:  # a file that sums what is written to it
    def __init__(self, f): self.f, self.h, self.n = f, hashlib.sha256(), 0
    def write(self, b):
        self.h.update(b); self.n += len(b); return self.f.write(b)
    def flush(self): self.f.flush()
class Random(io.RawIOBase):
    def __init__(self, n): self.left, self.piece = n, os.urandom(1 << 20)
    def read(self, n=-1):
        n = min(self.left, n); self.left -= n
        return (self.piece * (n // len(self.piece) + 1))[:n]
blob = to + "/blob"
with open(blob, "wb") as f:
    out = Sums(f)
    z = gzip.GzipFile(fileobj=out, mode="wb", compresslevel=0, mtime=0)
    whole = Sums(z)
    with tarfile.open(fileobj=whole, mode="w|", bufsize=1 << 20) as t:
        i = tarfile.TarInfo("big"); i.size = mb << 20
        t.addfile(i, Random(i.size))
    z.close()
layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:" + out.h.hexdigest(), "size": out.n}
os.rename(blob, to + "/blobs/sha256/" + out.h.hexdigest())
def put(kind, o):
    b = json.dumps(o).encode(); d = hashlib.sha256(b).hexdigest()
    open(to + "/blobs/sha256/" + d, "wb").write(b)
    return {"mediaType": kind, "digest": "sha256:" + d, "size": len(b)}
config = put("application/vnd.oci.image.config.v1+json", {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + whole.h.hexdigest()]}})
manifest = put("application/vnd.oci.image.manifest.v1+json", {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer]})
manifest["annotations"] = {"org.opencontainers.image.ref.name": "1"}
json.dump({"schemaVersion": 2, "manifests": [manifest]}, open(to + "/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(to + "/oci-layout", "w"))
print(layer["digest"][7:])
PY
layer=$(python3 "$TMP/image.py" "$TMP/image" "$BLOB_MB") || { fail "an image could be made"; exit 1; }
stored() { find "$TMP/registry" -path "*/sha256/*/$1/data" 2>/dev/null | head -n 1; }

# ---- skopeo, as a job ----
skopeo_job() { JOB_TIMEOUT=150 job env HOME="$TMP" skopeo --insecure-policy --tmpdir "$TMP" "$@" 2>&1; }
start=$(now_ms)
t "skopeo: pushes a blob of $BLOB_MB MiB" skopeo_job copy "oci:$TMP/image:1" docker://reg.test/app/big:1
diag "push: $(($(now_ms) - start)) ms"
is "$(sha "$(stored "$layer")")" "$layer" "skopeo: the registry has it whole"
start=$(now_ms)
t "skopeo: pulls it" skopeo_job copy docker://reg.test/app/big:1 "dir:$TMP/got"
diag "pull: $(($(now_ms) - start)) ms"
is "$(sha "$TMP/got/$layer")" "$layer" "skopeo: the same bytes"
like "$(skopeo_job list-tags docker://reg.test/app/big)" '"1"' "skopeo: list-tags"
rm -rf "$TMP/got"

# ---- oras, as a job ----
oras=$(type -P oras || echo "$ROOT/build/oras/usr/bin/oras")
if [ -x "$oras" ]; then
	oras_job() { JOB_TIMEOUT=150 job env HOME="$TMP" bash -c 'cd "$0" && exec "$@"' "$TMP/oras" "$oras" "$@" 2>&1; }
	mkdir -p "$TMP/oras"
	if [ "$BLOB_MB" -ge 1024 ]; then ln "$TMP/image/blobs/sha256/$layer" "$TMP/oras/blob"; else head -c 33554432 /dev/urandom >"$TMP/oras/blob"; fi
	blob=$(sha "$TMP/oras/blob")
	t "oras: pushes an artifact of $(stat -c %s "$TMP/oras/blob") bytes" oras_job push reg.test/app/artifact:1 --artifact-type application/x.test blob:application/x.blob
	is "$(sha "$(stored "$blob")")" "$blob" "oras: the registry has it whole"
	t "oras: pulls it" oras_job pull -o got reg.test/app/artifact:1
	is "$(sha "$TMP/oras/got/blob")" "$blob" "oras: the same bytes"
	# One at a time: oras 1.2.0 panics where two of its uploads fail at once, each in its way.
	enforced && like "$(oras_job push --concurrency 1 reg.test/base/artifact:1 blob:application/x.blob)" '403' "oras: a push where reading is allowed is refused"
	enforced && like "$(oras_job pull reg.test/other/artifact:1)" '403' "oras: and a pull that no rule names"
	rm -rf "$TMP/oras"
else
	skip "oras" "build/oras is not there: make client-build"
fi
enforced || done_testing
out=$(skopeo_job copy "oci:$TMP/image:1" docker://reg.test/base/big:1)
isnt $? 0 "skopeo: a push to a repository that is for reading fails"
like "$out" 'Blocked by egret: no rule allows POST' "skopeo: prints the reason"
out=$(skopeo_job inspect docker://reg.test/other/big:1)
like "$out" '403, .*Blocke' "skopeo: of a refused pull it prints the answer's first bytes"
like "$(events)" '"kind":"http.request".*"verdict":"deny".*reg\.test/v2/(base|other)/' "the refusals are in the events"
is "$(find "$TMP/registry" -path '*/repositories/base*' -o -path '*/repositories/other*' | head -n 1)" "" "the registry saw nothing of them"

# ---- podman and docker need an engine's rights: docker's daemon as a managed unit, which trusts the host's root ----
"$EGRET" ca >"$TMP/root.pem" || fail "egret ca prints the root"
mkdir -p "$CGROOT$SLICE/docker.service"
DOCKER_WRAP=(env SSL_CERT_FILE="$TMP/root.pem" sh -c 'echo $$ >"$0" && exec "$@"' "/sys/fs/cgroup$SLICE/docker.service/cgroup.procs")
host_docker
docker_says() { timeout 150 nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" "$DOCKER_BIN" -H "unix://$DOCKER_SOCK" "$@" 2>&1; }
start=$(now_ms)
t "docker: pulls the blob of $BLOB_MB MiB" docker_says pull -q reg.test/app/big:1
diag "pull: $(($(now_ms) - start)) ms"
docker tag reg.test/app/big:1 reg.test/app/again:1
images_into docker alpine && docker tag egret-test/alpine:1 reg.test/app/small:1 && docker tag egret-test/alpine:1 reg.test/base/small:1
t "docker: pushes a tag whose blob is there (mount or HEAD)" docker_says push reg.test/app/again:1
t "docker: pushes an image of its own" docker_says push reg.test/app/small:1
docker rmi reg.test/app/small:1 >/dev/null 2>&1
t "docker: pulls it again" docker_says pull -q reg.test/app/small:1
like "$(docker_says push reg.test/base/small:1)" 'Blocked by egret: no rule allows POST' "docker: a push where reading is allowed is refused, in words"
like "$(docker_says pull reg.test/other/small:1)" 'Blocked by egret: no rule allows GET' "docker: a pull that no rule names is refused, in words"
like "$(stream | jq -r 'select(.kind=="http.request" and .verdict=="allow") | .policy.name + " " + .http.method + " " + .http.url' | sort -u)" 'docker-daemon (PUT|PATCH) https://reg.test/v2/app/small' \
	"the daemon's own requests are in the log, judged one by one"

# ---- a private registry, whose tokens come from elsewhere: dockerd knows no password ----
printf 'pass-%s' "$(openssl rand -hex 20)" >"$TMP/secret"
chmod 600 "$TMP/secret"
for a in $PRIV $AUTH; do in_origin ip addr add $a/24 dev "vo$$"; done
for n in priv auth; do pki_leaf outside $n DNS:$n.test; done
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tokens -keyout "$TMP/tokens.key" -out "$TMP/tokens.pem" 2>/dev/null
cat >"$TMP/priv.yml" <<-YAML
	version: 0.1
	log: { level: error }
	storage: { filesystem: { rootdirectory: $TMP/private } }
	http: { addr: $PRIV:443, secret: x, tls: { certificate: $TMP/priv.pem, key: $TMP/priv.key } }
	auth: { token: { realm: 'https://auth.test/token', service: reg.test, issuer: tokens, rootcertbundle: $TMP/tokens.pem } }
YAML
spawn in_origin python3 "$ROOT/tests/e2e/private_origins.py" "$TMP" $AUTH >"$TMP/auth.log" 2>&1
spawn in_origin docker-registry serve "$TMP/priv.yml" >"$TMP/priv.log" 2>&1
wait_port in_host $PRIV 443 && wait_port in_host $AUTH 443 || { diag "$(tail -n 5 "$TMP/priv.log" "$TMP/auth.log")"; exit 1; }
docker tag egret-test/alpine:1 priv.test/app/small:1
isnt "$(docker_says push priv.test/app/small:1 >/dev/null; echo $?)" 0 "the registry is private: without a credential there is no push"
private=', { "id": "private", "allow": "ANY https://priv.test/v2/**" }, { "id": "tokens", "allow": "GET https://auth.test/token", "credential": "robot" }'
printf '{ "name": "robot", "provider": "file", "path": "%s", "for": "any", "tier": "any", "hosts": ["auth.test", "priv.test"], "inject": { "hosts": ["auth.test"], "basic": "robot:{token}" } }' \
	"$TMP/secret" >"$TMP/credentials/robot.json"
daemon_policy "$private"
installed private '"allow": "GET https://priv.test/v2/**"' '"allow": "GET https://auth.test/token", "credential": "robot"'
kill -HUP "$DAEMON"
t "docker: pushes to it, by a credential of its unit's policy" wait_for 20 "docker_says push priv.test/app/small:1 >'$TMP/push.log'" || diag "$(tail -n 3 "$TMP/push.log")"
docker rmi priv.test/app/small:1 egret-test/alpine:1 reg.test/app/small:1 reg.test/base/small:1 >/dev/null 2>&1
t "docker: pulls from it" docker_says pull -q priv.test/app/small:1
like "$(cat "$TMP/served.log")" 'token repository:app/small:pull$' "docker: the scopes are the client's"
is "$(printf %s "$(cat "$TMP/secret")" | "$(helper scan)" $DOCKER_PID >/dev/null 2>&1; echo $?)" 0 "the password is not in dockerd's memory"
is "$(tail -n 1 "$TMP/handed.out" | tr -d '\n' | "$(helper scan)" $DOCKER_PID >/dev/null 2>&1; echo $?)" 0 "nor the last token"

# ---- what was handed out before a reload of credentials is good after it ----
JOB_OPTS=(--label repo=private --label event=push)
daemon_job bash -c "m=\$(curl -sS --max-time 20 'https://auth.test/token?service=reg.test&scope=repository:app/small:pull' | jq -r .token)
	tags() { curl -sS --max-time 20 -o /dev/null -w '%{http_code} ' -H \"Authorization: Bearer \$m\" https://priv.test/v2/app/small/tags/list; }
	tags; touch '$TMP/here'; while [ ! -e '$TMP/reloaded' ]; do sleep 0.05; done; tags" >"$TMP/tags" 2>&1 &
running=$!
wait_for 20 "[ -e '$TMP/here' ]"
asked=$(wc -l <"$TMP/served.log")
sed 's/"robot"/"beside"/; s/auth.test/beside.test/g' "$TMP/credentials/robot.json" >"$TMP/credentials/beside.json"
kill -HUP "$DAEMON"
wait_for 20 "grep -q 'reload: .* 2 credentials' '$TMP/egretd.log'"
touch "$TMP/reloaded"
wait $running
is "$(cat "$TMP/tags")" '200 200 ' "a mark outlives a reload that adds another credential"
is "$(wc -l <"$TMP/served.log")" "$asked" "without another token"
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
