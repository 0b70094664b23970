#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 40 s
# not quick
# egret-runc before a real runc, with bundles made here. egretd is a stand-in (oci_standin.py): what is shown is what the wrapper does with
# egretd's answers, and what a container then finds.
# timeout: 180
. "$(dirname "$0")/../lib.sh"
need_root
need runc python3 busybox openssl
RUNC=$BUILD/bin/egret-runc
[ -x "$RUNC" ] || { echo "not ok 1 - $RUNC is not built"; echo 1..1; exit 1; }
RUN=$TMP/run S=$TMP/standin
mkdir -p "$RUN" "$S"
IDS=()
at_exit 'for c in "${IDS[@]}"; do runc delete --force "$c"; done'

pki_ca job || exit 1
cp "$TMP/job.pem" "$S/ca.pem"
pki_ca public && cat "$TMP/public.pem" "$TMP/job.pem" >"$S/bundle.pem"
pki_ca own
echo a store >"$S/trust.p12"
: >"$S/asked"
says() { printf '%s\n' "$@" >"$S/answer"; }
says job
start_standin() {
	spawn python3 "$ROOT/tests/e2e/oci_standin.py" "$ROOT/userspace/base/proto.h" "$RUN" "$S"
	STANDIN=$SPAWNED
	wait_for 10 "[ -S '$RUN/control.sock' ]"
}
last() { tail -n "${1:-1}" "$S/asked"; }
body() { openssl x509 -in "$1" -outform DER | sha256sum; }

# ---- roots and bundles ----

cat >"$TMP/probe.c" <<'C'
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
static void one(const char *what, long r) { printf("%s:%s\n", what, r < 0 ? strerror(errno) : "open"); }
#if defined(__x86_64__)
static long old_abi(long n, long a, long b)
{
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(0L) : "memory", "r8", "r9", "r10", "r11");
	errno = (int)-r;
	return r < 0 ? -1 : r;
}
#endif
int main(void)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, 17, 38, 40, 44 };
	char what[32], room[256] = { 0 };
	for (unsigned i = 0; i < 8; i++) {
		snprintf(what, sizeof(what), "family-%d", families[i]);
		one(what, syscall(SYS_socket, families[i], families[i] == 38 ? 5 : families[i] > 15 && families[i] != 40 ? 3 : 1, 0));
	}
	one("family-40-high", syscall(SYS_socket, 0x100000028L, 1, 0));
	one("io_uring", syscall(425, 4, room));
#if defined(__x86_64__)
	one("x32-40", syscall(0x40000000L + SYS_socket, 40, 1, 0));
	one("i386-2", old_abi(359, 2, 1));
	one("i386-40", old_abi(359, 40, 1));
	one("i386-socketcall", old_abi(102, 1, 4096));
	one("i386-io_uring", old_abi(425, 4, 0));
#endif
	return 0;
}
C
${CC:-gcc} -static -O1 -D_GNU_SOURCE -o "$TMP/probe" "$TMP/probe.c" || skip_all "no static C library"
root() { # name, with a shell or not
	mkdir -p "$TMP/$1"/rootfs/{bin,proc,sys,dev,tmp,etc}
	cp "$TMP/probe" "$TMP/$1/rootfs/bin/probe"
	[ "${2:-}" = bare ] && return
	mkdir "$TMP/$1/rootfs/run"
	cp "$(command -v busybox)" "$TMP/$1/rootfs/bin/busybox"
	for c in sh cat ls env id sleep mount grep wc true; do ln -s busybox "$TMP/$1/rootfs/bin/$c"; done
}
bundle() { # name, python statements over c (the configuration) and p (its process), [what sh is to run]
	python3 - "$TMP/$1/config.json" "$TMP/spec.json" "$2" "${3:-}" <<-'PY'
		import json, sys
		c = json.load(open(sys.argv[2]))
		p = c["process"]
		p["terminal"] = False
		p.pop("rlimits", None)
		c["root"]["readonly"] = False
		c["linux"]["cgroupsPath"] = "/egret-oci-test"
		p["args"] = ["sh", "-c", sys.argv[4]]
		exec(sys.argv[3])
		json.dump(c, open(sys.argv[1], "w"), indent="\t")
	PY
	cp "$TMP/$1/config.json" "$TMP/$1/config.before"
}
(cd "$TMP" && runc spec && mv config.json spec.json) || exit 1
N=0
new_id() { N=$((N + 1)) ID=egret-oci-$$-$N; IDS+=("$ID"); }
wrapped() { "$RUNC" --egret-run-dir="$RUN" --log "$TMP/log" --log-format json "$@"; }
run_in() { # bundle, script: its output in $OUT
	bundle "$1" "${3:-pass}" "$2"
	new_id
	: >"$TMP/log"
	OUT=$(wrapped run --bundle "$TMP/$1" "$ID" 2>&1 </dev/null)
}

root debian
mkdir -p "$TMP/debian/rootfs/etc/ssl/certs/java" "$TMP/debian/rootfs/usr/local/share/ca-certificates" "$TMP/debian/rootfs/opt"
{ echo "# a comment"; cat "$TMP/own.pem"; } >"$TMP/debian/rootfs/etc/ssl/certs/ca-certificates.crt"
echo old >"$TMP/debian/rootfs/etc/ssl/certs/java/cacerts"
cat "$TMP/public.pem" >"$TMP/debian/rootfs/opt/corp.pem"

# ---- nothing starts without egretd ----

run_in debian 'echo started'
unlike "$OUT" started "no egretd: the container does not start"
like "$(cat "$TMP/log")" '"level":"error","msg":"egret-runc: container .* does not start: egretd does not run: systemctl start egretd"' "no egretd: the runtime's log says what to do"
is "$(cat "$TMP/debian/config.json")" "$(cat "$TMP/debian/config.before")" "no egretd: config.json is as it was"
start_standin || exit 1

says 'fail no job runs for this label'
run_in debian 'echo started'
unlike "$OUT" started "FAILED: the container does not start"
like "$(cat "$TMP/log")" 'no job runs for this label' "FAILED: egretd's sentence is in the log"
is "$(find "$RUN/oci" -mindepth 1 2>/dev/null)" "" "FAILED: nothing was made"
says garbage
run_in debian 'echo started'
unlike "$OUT" started "an answer that is no frame: the container does not start"
says drop
run_in debian 'echo started'
unlike "$OUT" started "no answer: the container does not start"
says job 'join-fail the proxy did not start'
run_in debian 'echo started'
unlike "$OUT" started "JOIN fails: the container does not start"
like "$OUT$(cat "$TMP/log")" 'the proxy did not start' "JOIN fails: the hook's sentence is shown"
is "$(find "$RUN/oci" -mindepth 1)" "" "JOIN fails: nothing stays"
says job 'slow 30'
begun=$(now_ms)
run_in debian 'echo started'
unlike "$OUT" started "a slow egretd: the container does not start"
at_most $(($(now_ms) - begun)) 14000 "a slow egretd: given up within its bound"
like "$(cat "$TMP/log")" 'did not answer within 10 seconds' "a slow egretd: said so"
stop_pid "$STANDIN"
rm -f "$RUN/control.sock"
start_standin

# ---- Debian-like ----

says job 'set NPM_TOKEN=placeholder"\'
run_in debian 'cat /etc/ssl/certs/ca-certificates.crt >/tmp/b; echo own=$(grep -c BEGIN /tmp/b) comment=$(grep -c comment /tmp/b)
	cat /run/egret/ca.pem; cat /etc/ssl/certs/java/cacerts; cat /usr/local/share/ca-certificates/egret.crt >/dev/null && echo anchor
	env; grep -E "CapBnd|CapEff" /proc/self/status; (echo x >/run/egret/x) 2>/dev/null || echo read-only' \
	"p['env'] += ['HTTPS_PROXY=http://p', 'SSL_CERT_FILE=/opt/corp.pem', 'PIP_CERT=/gone', 'JAVA_TOOL_OPTIONS=-Xmx1g']; p['capabilities'] = {k: ['CAP_NET_RAW', 'CAP_KILL', 'CAP_NET_ADMIN'] for k in p['capabilities']}"
like "$OUT" '^own=2 comment=0$' "debian: the image's certificates and the CA, nothing between them"
like "$OUT" '^a store$' "debian: Java's store is covered"
like "$OUT" '^anchor$' "debian: the CA is an anchor too"
like "$OUT" '^CURL_CA_BUNDLE=/run/egret/bundle.pem$' "debian: variables point to the bundle"
like "$OUT" '^SSL_CERT_FILE=/run/egret/SSL_CERT_FILE.pem$' "debian: a bundle of the image's own is extended"
like "$OUT" '^PIP_CERT=/run/egret/bundle.pem$' "debian: one that is not there becomes the bundle"
like "$OUT" '^JAVA_TOOL_OPTIONS=-Xmx1g -Djavax.net.ssl.trustStore=/run/egret/trust.p12' "debian: Java's options are lengthened"
like "$OUT" '^NPM_TOKEN=placeholder"\\$' "debian: placeholders arrive, whatever is in them"
like "$OUT" '^EGRET_JOB=j-00000001$' "debian: the job's name"
unlike "$OUT" 'HTTPS_PROXY' "debian: proxies are gone"
is "$(grep -Eo 'Cap(Bnd|Eff):.*' <<<"$OUT" | tr -s '\t\n' ' ')" "CapEff: 0000000000000020 CapBnd: 0000000000000020 " "debian: NET_RAW and NET_ADMIN are gone"
like "$OUT" '^read-only$' "debian: the job cannot write there"
is "$(last 2 | cut -d' ' -f1 | paste -sd' ')" "MSG_PREPARE MSG_JOIN" "one question for create, one for join"
like "$(last)" "TAG_CONTAINER=$ID TAG_CGROUP=/egret-oci-test TAG_PID=[0-9]+ TAG_FLAGS=1" "JOIN says the pid, and that it was spliced"
is "$(find "$RUN/oci" -mindepth 1)" "" "a foreground run leaves nothing"
is "$(cd "$TMP/debian/rootfs" && find run usr -name '*egret*')" "" "nor in the image"
new_id
wrapped run --bundle "$TMP/debian" "$ID" >/dev/null 2>&1 </dev/null
is "$(grep -o '"destination":"/run/egret"' "$TMP/debian/config.json" | wc -l)" 1 "the same bundle again is not spliced twice"
says nobody
run_in debian 'ls -d /run/egret; env; probe; grep CapBnd /proc/self/status' "p['env'] += ['HTTPS_PROXY=http://p']; p['capabilities'] = {k: ['CAP_NET_RAW', 'CAP_KILL'] for k in p['capabilities']}"
unlike "$OUT" 'CURL_CA_BUNDLE|^/run/egret$' "no job: no trust"
like "$OUT" 'HTTPS_PROXY=http://p' "no job: the environment stays"
like "$OUT" 'CapBnd:.*0000000000000020' "no job: NET_RAW is gone all the same"
like "$OUT" '^family-40:Address family' "no job: families are closed all the same"
says job raw
run_in debian 'grep CapBnd /proc/self/status' "p['capabilities'] = {k: ['CAP_NET_RAW', 'CAP_KILL', 'CAP_NET_ADMIN'] for k in p['capabilities']}"
like "$OUT" 'CapBnd:.*0000000000002020' "a policy may leave NET_RAW"

# ---- other roots ----

says job
root alpine
mkdir -p "$TMP/alpine/rootfs/etc/ssl/certs"
cp "$TMP/own.pem" "$TMP/alpine/rootfs/etc/ssl/certs/ca-certificates.crt"
ln -s certs/ca-certificates.crt "$TMP/alpine/rootfs/etc/ssl/cert.pem"
run_in alpine 'echo $(grep -c BEGIN /etc/ssl/cert.pem) $(mount | grep -c "on /etc/ssl")'
like "$OUT" '^2 1$' "alpine: a link to the bundle is covered once"

root bare bare
bundle bare "p['args'] = ['/bin/probe']"
new_id
OUT=$(wrapped run --bundle "$TMP/bare" "$ID" 2>&1 </dev/null)
like "$OUT" '^family-2:open$' "distroless: no shell, no bundle, no /run: it runs"
is "$(ls "$TMP/bare/rootfs")" "$(printf '%s\n' bin dev etc proc sys tmp)" "distroless: /run was taken away again"
root empty
run_in empty 'echo $(grep -c BEGIN /run/egret/bundle.pem) $SSL_CERT_FILE'
like "$OUT" '^2 /run/egret/bundle.pem$' "no bundle: public roots and the CA"

root links
mkdir -p "$TMP/links/rootfs/etc/ssl/certs" "$TMP/outside"
echo secret >"$TMP/outside/file"
ln -s "$TMP/outside/file" "$TMP/links/rootfs/etc/ssl/certs/ca-certificates.crt"
ln -s ../../../../../../../../../../../..$TMP/outside "$TMP/links/rootfs/etc/pki"
mkdir -p "$TMP/links/rootfs/usr/local/share"
ln -s "$TMP/outside" "$TMP/links/rootfs/usr/local/share/ca-certificates"
run_in links 'ls /run/egret; grep -c secret /run/egret/bundle.pem'
like "$OUT" '^0$' "links out of the root lead nowhere"
is "$(ls "$TMP/outside")" file "and nothing is made there"

root fifo
mkdir -p "$TMP/fifo/rootfs/etc/ssl/certs"
mkfifo "$TMP/fifo/rootfs/etc/ssl/certs/ca-certificates.crt"
mkfifo "$TMP/fifo/rootfs/opt"
run_in fifo 'echo $SSL_CERT_FILE' "p['env'] += ['SSL_CERT_FILE=/opt']"
like "$OUT" '^/run/egret/bundle.pem$' "a pipe where a bundle should be is left alone"
root broken
mkdir -p "$TMP/broken/rootfs/etc/ssl/certs"
echo '-----BEGIN CERTIFICATE-----' >"$TMP/broken/rootfs/etc/ssl/certs/ca-certificates.crt"
run_in broken 'grep -c BEGIN /etc/ssl/certs/ca-certificates.crt'
like "$OUT" '^2$' "a broken bundle is covered with public roots and the CA"

run_in debian 'ls /run/egret; wc -l </etc/ssl/certs/ca-certificates.crt' "c['root']['readonly'] = True"
like "$OUT" '^bundle.pem$' "a read-only root takes the mounts"
mkdir "$TMP/ro"
mount --bind "$TMP/debian/rootfs" "$TMP/ro" && mount -o remount,bind,ro "$TMP/ro"
at_exit "umount '$TMP/ro'"
run_in debian 'echo $CURL_CA_BUNDLE $NODE_EXTRA_CA_CERTS x$JAVA_TOOL_OPTIONS; grep -c BEGIN $CURL_CA_BUNDLE' "c['root']['path'] = '$TMP/ro'"
like "$OUT" '^/etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt x$' "a root where nothing can be made: variables name the covered file"
like "$OUT" '^2$' "which holds the CA"
like "$(cat "$TMP/log")" '"level":"warning".*takes no folder /run/egret' "and the log says so"

run_in debian 'id; grep -c BEGIN /run/egret/bundle.pem /etc/ssl/certs/ca-certificates.crt' "p['user'] = {'uid': 1000, 'gid': 1000}"
like "$OUT" 'uid=1000' "not root: it runs"
like "$OUT" '^/run/egret/bundle.pem:2$' "not root: the files can be read"

mkdir "$TMP/volume"
cat "$TMP/own.pem" "$TMP/public.pem" >"$TMP/volume/ca-certificates.crt"
run_in debian 'grep -c BEGIN /etc/ssl/certs/ca-certificates.crt' \
	"c['mounts'] += [{'destination': '/etc/ssl/certs', 'type': 'bind', 'source': '$TMP/volume', 'options': ['rbind', 'ro']}]"
like "$OUT" '^3$' "a volume over the bundle's folder: its file is the one that is covered"
run_in debian 'ls /run/egret' "c['mounts'] += [{'destination': '/run', 'type': 'tmpfs', 'source': 'tmpfs'}]"
like "$OUT" '^bundle.pem$' "a tmpfs on /run"

# ---- engines' sockets ----

mkdir -p "$TMP/eng/inside" "$TMP/eng/plain"
python3 - "$TMP/eng" <<-'PY'
	import socket, sys
	for name in ("docker.sock", "other.sock"):
	    socket.socket(socket.AF_UNIX).bind(sys.argv[1] + "/" + name)
PY
ln -s docker.sock "$TMP/eng/link"
ln -s / "$TMP/eng/top"
sockets() { # sources...: what the container finds of them, and what egretd was told
	local list=
	for s; do list+="{'destination': '/mnt$s', 'type': 'bind', 'source': '$s', 'options': ['rbind', 'rw']},"; done
	run_in debian "for s in $*; do [ -S /mnt\$s -o -d /mnt\$s ] && echo there || echo hidden; done" "c['mounts'] += [$list]"
	echo "$(tr '\n' ' ' <<<"$OUT")$(last 2 | head -n 1 | grep -o 'TAG_FLAGS=.*')"
}
is "$(sockets "$TMP/eng/docker.sock" "$TMP/eng/link")" "there there TAG_FLAGS=2" "engine_socket keep: sockets are mounted, and egretd knows"
says job hide
is "$(sockets "$TMP/eng/docker.sock" "$TMP/eng/other.sock")" "hidden there TAG_FLAGS=2" "hide: an engine's is left out, another stays"
is "$(sockets "$TMP/eng/link" "$TMP/eng/inside/../docker.sock" "$TMP/eng/plain")" "hidden hidden there TAG_FLAGS=2" "hide: also by a link and by a crooked path"
is "$(sockets "$TMP/eng/plain")" "there TAG_FLAGS=0" "hide: other mounts are not counted"
is "$(sockets "$TMP/eng/top")" "there TAG_FLAGS=4" "a folder with a socket in it, by a link: mounted, and counted"
says job
run_in debian 'echo started' "p['env'] += ['BIG=' + 'x' * (5 << 20)]"
unlike "$OUT" '^started' "a config.json over 4 MiB is refused"
like "$(cat "$TMP/log")" 'config.json: larger than 4 MiB' "with words"
run_in debian 'echo started' "p['env'] += ['V%d=%s' % (i, 'y' * 100) for i in range(8000)]"
like "$OUT" '^started' "8,000 variables are taken"
printf '{"process":{},"process":{}}' >"$TMP/debian/config.json"
new_id
wrapped run --bundle "$TMP/debian" "$ID" >/dev/null 2>&1
like "$(tail -n 1 "$TMP/log")" 'config.json: at byte 14: this key comes twice' "a key that comes twice is refused"

# ---- what bites ----

ALLOW_SOCKET="c['linux']['seccomp'] = {'defaultAction': 'SCMP_ACT_ALLOW', 'architectures': ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'], 'syscalls': [{'names': ['socket', 'socketcall'], 'action': 'SCMP_ACT_LOG'}]}"
for profile in none "$ALLOW_SOCKET"; do
	word=without
	[ "$profile" = none ] && profile=pass || word=with
	bundle bare "p['args'] = ['/bin/probe']; $profile"
	new_id
	OUT=$(wrapped run --bundle "$TMP/bare" "$ID" 2>&1 </dev/null)
	for one in family-1 family-2 family-10 family-16; do like "$OUT" "^$one:open$" "$word a profile: $one works"; done
	for one in family-17 family-38 family-40 family-44 family-40-high; do
		like "$OUT" "^$one:Address family not supported" "$word a profile: $one is refused"
	done
	like "$OUT" '^io_uring:Function not impl' "$word a profile: io_uring is refused"
	if [ "$(uname -m)" = x86_64 ]; then
		like "$OUT" '^i386-2:open$' "$word a profile: 32-bit programs have INET"
		like "$OUT" '^x32-40:(Address family|Function not)' "$word a profile: no vsock by x32"
		like "$OUT" '^i386-40:Address family not supported' "$word a profile: no vsock by i386"
		like "$OUT" '^i386-socketcall:Function not impl' "$word a profile: no socketcall by i386"
		like "$OUT" '^i386-io_uring:Function not impl' "$word a profile: no io_uring by i386"
	fi
done

# ---- exec, delete ----

bundle debian "p['args'] = ['sleep', '1000']"
new_id
# What it creates keeps its output open.
wrapped create --bundle "$TMP/debian" "$ID" >"$TMP/created" 2>&1 </dev/null
is "$?" 0 "create"
t "start" wrapped start "$ID"
python3 - "$TMP" <<-'PY'
	import json, sys
	p = json.load(open(sys.argv[1] + "/debian/config.before"))["process"]
	p["args"] = ["sh", "-c", "env; probe; grep CapBnd /proc/self/status; ls /proc/self/fd"]
	p["env"] += ["HTTPS_PROXY=http://p", "SSL_CERT_FILE=/x", "STEP=1", "JAVA_TOOL_OPTIONS=-Dstep"]
	p["capabilities"] = {k: ["CAP_NET_RAW", "CAP_KILL"] for k in p["capabilities"]}
	json.dump(p, open(sys.argv[1] + "/process.json", "w"))
PY
cp "$TMP/process.json" "$TMP/process.before"
for form in "--process $TMP/process.json" "--process=$TMP/process.json" "-p $TMP/process.json"; do
	OUT=$(wrapped exec $form "$ID" 2>&1 </dev/null)
	like "$OUT" '^SSL_CERT_FILE=/run/egret/bundle.pem$' "exec ${form%% *}: variables"
done
like "$OUT" '^STEP=1$' "exec: its own variables stay"
like "$OUT" '^JAVA_TOOL_OPTIONS=-Dstep -Djavax' "exec: Java's options"
like "$OUT" '^EGRET_JOB=j-00000001$' "exec: what egretd gave"
unlike "$OUT" HTTPS_PROXY "exec: proxies are gone"
like "$OUT" '^family-40:Address family' "exec: families are closed"
like "$OUT" 'CapBnd:.*0000000000000020' "exec: NET_RAW is gone"
unlike "$OUT" '^2[0-9][0-9]$' "exec: no descriptor is left to it"
is "$(cat "$TMP/process.json")" "$(cat "$TMP/process.before")" "exec: the engine's file is as it was"
like "$(last)" "MSG_PREPARE TAG_CONTAINER=$ID TAG_FLAGS=1" "exec: egretd was asked first"
OUT=$(wrapped exec -e HTTP_PROXY=a -e STEP=2 -e SSL_CERT_FILE=/x "$ID" env 2>&1 </dev/null)
like "$OUT" '^STEP=2$' "exec with words: -e adds"
like "$OUT" '^SSL_CERT_FILE=/run/egret/bundle.pem$' "exec with words: not what egret set"
unlike "$OUT" HTTP_PROXY "exec with words: no proxy"
OUT=$(wrapped exec --cap CAP_NET_RAW "$ID" true 2>&1 </dev/null)
isnt $? 0 "exec --cap is refused"
says 'fail the job has ended'
OUT=$(wrapped exec -p "$TMP/process.json" "$ID" 2>&1 </dev/null)
isnt $? 0 "exec: FAILED refuses"
like "$OUT" 'the job has ended' "exec: with egretd's words"
unlike "$OUT" STEP "exec: nothing ran"
says job
like "$(wrapped state "$ID")" '"status": "running"' "state is passed through"
OUT=$(wrapped delete "$ID" 2>&1)
isnt $? 0 "delete of a running container is the runtime's to refuse"
t "and its files stay" test -s "$RUN/oci/$ID/in/ca.pem"
t "kill is passed through" wrapped kill "$ID" KILL
wait_for 10 "wrapped state '$ID' | grep -q stopped"
t "delete" wrapped delete "$ID"
is "$(find "$RUN/oci" -mindepth 1)" "" "delete takes the files with it"
is "$(cd "$TMP/debian/rootfs" && find run usr -name '*egret*')" "" "and what was made in the root"

# ---- as privileged as it gets ----

says job
ALL=$(awk '/^CapBnd/ { print $2 }' /proc/self/status)
ALL_NAMES=$(capsh --decode="$ALL" 2>/dev/null | sed 's/.*=//')
if [ -n "$ALL_NAMES" ]; then
	bundle bare "p['args'] = ['/bin/probe']; p['capabilities'] = {k: '${ALL_NAMES^^}'.split(',') for k in p['capabilities']}; p['noNewPrivileges'] = False; c['linux'].pop('seccomp', None); c['linux'].pop('maskedPaths', None); c['linux'].pop('readonlyPaths', None)"
	new_id
	OUT=$(wrapped run --bundle "$TMP/bare" "$ID" 2>&1 </dev/null)
	for one in family-17 family-38 family-40 family-44 i386-40; do [ "$(uname -m)" != x86_64 ] && [ $one = i386-40 ] || like "$OUT" "^$one:Address family" "every capability, no profile: $one is refused"; done
	like "$OUT" '^io_uring:Function not impl' "every capability, no profile: io_uring is refused"
	run_in debian 'grep CapBnd /proc/self/status' "p['capabilities'] = {k: '${ALL_NAMES^^}'.split(',') for k in p['capabilities']}; p['noNewPrivileges'] = False"
	is $((16#$(awk '/^CapBnd/ { print $2 }' <<<"$OUT"))) $((16#$ALL & ~(3 << 12))) "every capability but NET_RAW and NET_ADMIN stays"
else
	skip "every capability" "capsh is not installed"
fi

# ---- crun ----

if command -v crun >/dev/null; then
	# It wants cgroup2 alone, and no device rules where it may not raise its limits.
	v2() { unshare -m --propagation private sh -c 'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"' - "$@"; }
	crunned() { v2 "$RUNC" --egret-run-dir="$RUN" --egret-runtime="$(type -P crun)" --root "$TMP/crun" --log "$TMP/log" --log-format json "$@"; }
	at_exit 'for c in "${IDS[@]}"; do v2 crun --root "$TMP/crun" delete --force "$c"; done'
	BARE="c['linux'].pop('resources', None)"
	bundle debian "$BARE" 'grep -c BEGIN /etc/ssl/certs/ca-certificates.crt; env; probe'
	new_id
	OUT=$(crunned run --bundle "$TMP/debian" "$ID" 2>&1 </dev/null)
	like "$OUT" '^2$' "crun: the bundle is covered"
	like "$OUT" '^CURL_CA_BUNDLE=/run/egret/bundle.pem$' "crun: variables"
	like "$OUT" '^family-40:Address family' "crun: families are closed"
	like "$(last)" "MSG_JOIN TAG_CONTAINER=$ID .*TAG_PID=[0-9]+ TAG_FLAGS=1" "crun: its createRuntime hook joins"
	bundle debian "$BARE" 'sleep 1000'
	new_id
	crunned create --bundle "$TMP/debian" "$ID" >"$TMP/created" 2>&1 </dev/null
	is "$?" 0 "crun: create"
	t "crun: start" crunned start "$ID"
	OUT=$(crunned exec --process "$TMP/process.json" "$ID" 2>&1 </dev/null)
	like "$OUT" '^SSL_CERT_FILE=/run/egret/bundle.pem$' "crun: exec of a process's JSON"
	like "$OUT" '^family-40:Address family' "crun: exec: families are closed"
	OUT=$(crunned exec -e STEP=2 -e HTTPS_PROXY=a -e PATH=/bin "$ID" env 2>&1 </dev/null)
	like "$OUT" '^STEP=2$' "crun: exec with words"
	like "$OUT" '^SSL_CERT_FILE=/run/egret/bundle.pem$' "crun: and the variables"
	unlike "$OUT" HTTPS_PROXY "crun: no proxy"
	like "$(crunned exec "$ID" env 2>&1 </dev/null)" '^PATH=' "crun: exec without a variable has the container's"
	t "crun: kill" crunned kill "$ID" KILL
	wait_for 10 "crunned state '$ID' | grep -q stopped"
	t "crun: delete" crunned delete "$ID"
	is "$(find "$RUN/oci" -mindepth 1)" "" "crun: delete takes the files with it"
else
	skip "crun" "crun is not installed"
fi

# ---- the command line, the hook alone ----

new_id
OUT=$(wrapped create --new-option "$ID" 2>&1)
like "$OUT" 'the option --new-option of create is not known' "an unknown option of create is refused"
OUT=$("$RUNC" --egret-runtime="$RUNC" --version 2>&1)
like "$OUT" 'not the absolute path of another program' "never itself"
cp "$RUNC" "$TMP/copy"
OUT=$("$RUNC" --egret-runtime="$TMP/copy" --version 2>&1)
like "$OUT" 'is egret-runc again' "nor a copy of itself"
mkdir "$TMP/first" && ln -s "$RUNC" "$TMP/first/runc"
like "$(PATH="$TMP/first:$PATH" runc --version)" '^runc version' "as runc in front of PATH it finds the real one"
state() { printf '{"ociVersion":"1.0.2","id":"%s","status":"created","pid":%s,"bundle":"%s"}' "$1" "$2" "$TMP/alpine"; }
OUT=$(state abc 4242 | "$RUNC" hook --egret-run-dir="$RUN" --egret-engine=podman 2>&1)
is "$?" 0 "the hook of hooks.d"
is "$(last)" "MSG_JOIN TAG_CONTAINER=abc TAG_ENGINE=podman TAG_CGROUP=/egret-oci-test TAG_PID=4242 TAG_FLAGS=0" "says what is known, and that nothing was spliced"
for bad in '' '{}' '{"id":"a"}' "$(state a/b 1)" "$(state a 0)" "$(state a -1)" "$(head -c 70000 /dev/zero | tr '\0' ' ')$(state a 1)"; do
	"$RUNC" hook --egret-run-dir="$RUN" <<<"$bad" >/dev/null 2>&1
	is "$?" 1 "a state that is not one is refused: ${bad:0:20}"
done
t "hooks.d file is JSON" python3 -c "import json; h = json.load(open('$ROOT/deploy/oci/99-egret.json')); assert h['stages'] == ['createRuntime'] and h['version'] == '1.0.0'"
done_testing
