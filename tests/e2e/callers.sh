#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may ask a standing egretd for what: callers that are not root, with and without run.policy; frames of any form on the control
# socket; a reload of broken files; and the sentences for a key, a user or a policy that cannot be used.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need python3 setpriv jq
origins_up
daemon_config
installed web '"allow": "GET https://api.test/**"' '"allow": "GET https://files.test/**"'
echo file >"$TMP/www/files.test/f"
code=(curl -sS --max-time 20 -o /dev/null -w '%{http_code} ')
# A copy that everybody may read and execute: the build folder may lie below a closed one.
mkdir "$TMP/bin" && cp "$BUILD"/bin/egret* "$TMP/bin/" && chmod -R a+rX "$TMP/bin"
as_nobody() { # options and command of egret run
	(cd / && timeout -k 5 60 nsenter --net="/run/netns/$HOSTNS" setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$TMP/bin/egret" run --config "$TMP/egret.json" "$@")
}
one_line() { is "$(wc -l <"$TMP/err")" 1 "$1: one sentence" || diag "$(cat "$TMP/err")"; }
narrow() { printf '{ "version": 1, "name": "mine", "rules": [ { "id": "a", "allow": "GET https://api.test/hello.txt" }, { "id": "b", "allow": "GET https://evil.test/**" } ] }' >"$1"; }
narrow "$TMP/mine.json"
printf '{ "name": "key", "provider": "store", "value": "key-token", "for": "any", "hosts": ["api.test"], "inject": { "header": "Authorization", "format": "{token}" } }' >"$TMP/cred.json"

# ---- files that cannot be used, before any daemon ----
POLICY=$TMP/mine.json
job true >"$TMP/out" 2>&1
key=$TMP/state/keys/store.key
t "the first job made a key" test -f "$key"
cp -p "$key" "$TMP/key"
refused_key() { # what
	job true >"$TMP/out" 2>"$TMP/err"
	is $? 2 "$1: exit status 2"
	like "$(cat "$TMP/err")" 'keys/store\.key must .*(0400|hex)' "and the sentence names the file and what to do"
	one_line "$1"
}
wait_for 5 "[ -z \"\$(ip netns pids '$HOSTNS' | grep -v $NGINX_PID)\" ]"
chmod 0644 "$key" && refused_key "a store key that others can read"
chmod 0400 "$key" && chown 65534 "$key" && refused_key "a store key of another owner"
chown 0 "$key" && chmod 0600 "$key" && echo short >"$key" && chmod 0400 "$key" && refused_key "a store key that is cut"
rm -f "$key" && cp -p "$TMP/key" "$key"
job true >"$TMP/out" 2>"$TMP/err"
is $? 0 "put right: the job runs again"
as_nobody --policy "$TMP/mine.json" -- true >"$TMP/out" 2>"$TMP/err"
isnt $? 0 "not root, no daemon"
like "$(cat "$TMP/err")" 'root|sudo' "the sentence says: root"
one_line "not root"
printf '{ "name": "key", "provider": "store", "value": "key-token", "for": [ { "repo": "another", "event": "push" } ], "hosts": ["api.test"], "inject": { "header": "Authorization", "format": "{token}" } }' >"$TMP/other.json"
CREDENTIAL=$TMP/other.json job true >"$TMP/out" 2>"$TMP/err"
isnt $? 0 "a credential that is not for this job"
like "$(cat "$TMP/err")" 'credential key is not for this job' "is said"
one_line "a credential for another"
CREDENTIAL=

# ---- a standing egretd without run.policy ----
wait_for 5 "[ -z \"\$(ip netns pids '$HOSTNS' | grep -v $NGINX_PID)\" ]"
daemon_start || done_testing
as_nobody -- true >"$TMP/out" 2>"$TMP/err"
isnt $? 0 "not root, no run.policy: refused"
like "$(cat "$TMP/err")" 'no policy is named for your jobs.*run.*policy.*sudo' "the sentence says what an admin can do"
one_line "no run.policy"
for verb in 'secret set x' 'secret remove x' 'secret list' 'job end j-000000000000' 'lease revoke --all' 'override audit --repo x --ttl 1s --reason x' \
	'override audit --repo x --ttl 1s --reason x --json' upgrade 'upgrade --json'; do
	# shellcheck disable=SC2086
	is "$(echo v | nsenter --net="/run/netns/$HOSTNS" setpriv --reuid=65534 --regid=65534 --clear-groups env EGRET_RUN_DIR="$TMP/run" "$TMP/bin/egret" $verb 2>"$TMP/err"; echo $?)" 1 \
		"not root: egret $verb is refused, with status 1 and nothing on standard output"
	one_line "not root: egret $verb"
done
is "$(find "$TMP/state/store" -type f | wc -l)" 0 "no secret was written"
JOB_OPTS=(--label repo=none --label event=push)
daemon_job true >"$TMP/out" 2>"$TMP/err"
isnt $? 0 "no policy fits"
like "$(cat "$TMP/err")" 'no installed policy is for this job' "is said"
one_line "no policy fits"
sed 's/"name": "web"/"name": "web2"/' "$TMP/policies/web.json" >"$TMP/policies/web2.json"
kill -HUP "$DAEMON"
wait_for 10 "'$EGRET' status | grep -Eq 'policies[^0-9]*2'"
JOB_OPTS=(--label repo=web --label event=push)
daemon_job true >"$TMP/out" 2>"$TMP/err"
isnt $? 0 "two policies fit equally well"
like "$(cat "$TMP/err")" 'web.* and web.* fit this job equally well' "both are named"
one_line "two policies tie"
rm "$TMP/policies/web2.json"
kill -HUP "$DAEMON"
t "after the reload the job runs" wait_for 10 "daemon_job true"

# ---- broken reloads change nothing ----
said=0
broken() { # what, regex in the log
	kill -HUP "$DAEMON"
	t "$1: said in the log" wait_for 10 "[ \$(grep -Ec 'reload: nothing was changed.*$2' '$TMP/egretd.log') -gt $said ]"
	t "$1: egret status still answers" "$EGRET" status
	is "$(daemon_job "${code[@]}" https://api.test/hello.txt 2>/dev/null)" '200 ' "$1: jobs run by what was there before"
}
echo '{ "version": 1, "name": "web", "rules": [ }' >"$TMP/policies/broken.json"
broken "a file that is no JSON" 'broken\.json:1:[0-9]+'
rm "$TMP/policies/broken.json"
cp "$TMP/policies/web.json" "$TMP/policies/loose.json" && chmod 0666 "$TMP/policies/loose.json"
broken "a file that everybody may write" 'loose\.json.*0666'
rm "$TMP/policies/loose.json"
cp "$TMP/policies/web.json" "$TMP/policies/owned.json" && chown 65534 "$TMP/policies/owned.json"
broken "a file of another owner" 'owned\.json.*uid 65534'
rm "$TMP/policies/owned.json"
ln -s /etc/shadow "$TMP/policies/link.json"
broken "a symbolic link" 'link\.json'
rm "$TMP/policies/link.json"
mkfifo "$TMP/policies/fifo.json"
broken "a pipe" 'fifo\.json'
rm "$TMP/policies/fifo.json"

# ---- the control socket ----
cat >"$TMP/fuzz.py" <<'PY'
import array, os, random, socket, struct, sys
path, seed = sys.argv[1], int(sys.argv[2])
r = random.Random(seed)
types = [0, 1, 2, 3, 16, 17, 18, 19, 32, 33, 35, 48, 50, 64, 65, 66, 67, 80, 96] + list(range(128, 140)) + [0xffff]
def to():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(2); s.connect(path); return s
def field(tag, b): return struct.pack('<HH', tag, len(b)) + b
def some_field():
    tag = r.choice([r.randint(1, 50), r.randint(250, 295), r.randint(0, 65535)])
    return field(tag, r.choice([b'', b'\0', bytes([r.randint(0, 255)]), r.randbytes(8), r.randbytes(r.randint(0, 300)), b'web', b'A' * 5000, b'k=v', b'host']))
def frame():
    f = [some_field() for _ in range(r.choice([0, 1, 2, 5, 40, 300]))]
    n = len(f) if r.random() < 0.8 else r.randint(0, 65535)
    b = struct.pack('<HHI', r.choice(types), n & 0xffff, r.getrandbits(32)) + b''.join(f)
    k = r.random()
    if k < 0.1: b = b[:r.randint(0, len(b))]
    elif k < 0.2:
        b = bytearray(b)
        for _ in range(4): b[r.randrange(len(b))] = r.randint(0, 255)
    elif k < 0.25: b = r.randbytes(r.randint(0, 70000))
    return bytes(b)
null = os.open('/dev/null', os.O_RDWR)
sent = 0
for i in range(400):
    try: s = to()
    except OSError: continue
    for _ in range(r.randint(1, 4)):
        b = frame()
        try:
            if r.random() < 0.3:
                n = r.choice([1, 2, 30, 60])
                s.sendmsg([b], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [null] * n))])
            else: s.send(b)
            sent += 1
        except OSError: break
    if r.random() < 0.5:
        try: s.recv(70000)
        except OSError: pass
    s.close()
# A well-formed RUN without its end: the connection goes away while the job is made.
for i in range(5):
    s = to()
    p, q = os.pipe(); m = os.memfd_create('x'); os.write(m, b'nonsense')
    fds = [m, null, null, null, q]
    b = struct.pack('<HHI', 129, 7, i) + field(49, b'/') + b''.join(field(t, bytes([k])) for k, t in enumerate((274, 275, 276, 277, 278))) + field(28, b'none')
    s.sendmsg([b], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))])
    if i % 2: s.recv(70000)
    s.close(); os.close(p); os.close(q); os.close(m)
print('sent', sent > 300)
PY
fds() { find "/proc/$DAEMON/fd" -mindepth 1 | wc -l; }
jobs_gone() { wait_for 20 "[ \"\$('$EGRET' job list 2>/dev/null | grep -c 'j-')\" = 0 ]"; }
jobs_gone
before=$(fds)
for who in 65534 0; do
	is "$(in_host setpriv --reuid=$who --regid=$who --clear-groups env PATH=/usr/bin:/bin python3 "$TMP/fuzz.py" "$TMP/run/control.sock" 7$who 2>&1)" 'sent True' "400 connections of broken frames by uid $who"
	t "egretd is alive and answers" "$EGRET" status
done
jobs_gone
is "$(daemon_job "${code[@]}" https://api.test/hello.txt 2>"$TMP/err")" '200 ' "and starts jobs"
jobs_gone
sleep 0.5
at_most "$(fds)" "$before" "it holds no more descriptors than before"
cat >"$TMP/many.py" <<'PY'
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (2000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
for i in range(300):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1]); held.append(s)
open(sys.argv[2], 'w')
time.sleep(30)
PY
ticks() { awk '{ print $14 + $15 }' "/proc/$DAEMON/stat"; }
spawn in_host python3 "$TMP/many.py" "$TMP/run/control.sock" "$TMP/held"
many=$SPAWNED
t "300 connections are made" wait_for 15 "[ -e '$TMP/held' ]"
start=$(ticks)
sleep 1
at_most $(($(ticks) - start)) 10 "and egretd does not spin (1/100 s in one second)"
kill "$many"
wait "$many" 2>/dev/null
t "when they are gone it answers" wait_for 10 "'$EGRET' status"
is "$(daemon_job "${code[@]}" https://api.test/hello.txt 2>"$TMP/err")" '200 ' "and starts jobs"
daemon_stop
is $? 0 "SIGTERM ends it with 0"

# ---- with run.policy ----
daemon_config '"run": { "policy": "web" }, "groups": { "jobs": "egret-no-such-group" }'
daemon_start || done_testing
as_nobody -- true >"$TMP/out" 2>"$TMP/err"
isnt $? 0 "not root, and the group that may run jobs is not there: refused"
like "$(cat "$TMP/err")" 'for members of the group egret-no-such-group' "the sentence names the group"
one_line "no group"
daemon_stop
daemon_config '"run": { "policy": "web" }, "groups": { "jobs": "65534", "audit": "65533" }'
daemon_start || done_testing
urls=(https://api.test/hello.txt https://files.test/f https://evil.test/)
is "$(as_nobody -- curl -sS --max-time 20 -w '%{http_code} ' -o /dev/null "${urls[0]}" -o /dev/null "${urls[1]}" -o /dev/null "${urls[2]}" 2>"$TMP/err")" '200 200 403 ' \
	"not root, with run.policy: judged by it" || diag "$(cat "$TMP/err")"
is "$(as_nobody -- id -u)" 65534 "as the caller"
is "$(as_nobody --policy "$TMP/mine.json" -- curl -sS --max-time 20 -w '%{http_code} ' -o /dev/null "${urls[0]}" -o /dev/null "${urls[1]}" -o /dev/null "${urls[2]}" 2>"$TMP/err")" \
	'200 403 403 ' "--policy of one's own only narrows: it takes away, and what it adds is not allowed"
as_nobody --credential "$TMP/cred.json" -- true >"$TMP/out" 2>"$TMP/err"
isnt $? 0 "a credential of one's own that names the store is refused"
like "$(cat "$TMP/err")" 'store|credential' "and it is said"
one_line "a credential with a store"
as_nobody --user root -- true >"$TMP/out" 2>"$TMP/err"
isnt $? 0 "--user root is refused"
like "$(cat "$TMP/err")" 'only root may run a job as somebody else' "and it is said"
as_nobody --label repo=web --label event=push -- true >"$TMP/out" 2>"$TMP/err"
is "$(stream | grep '"kind":"job.start"' | tail -n 1 | grep -o '"assurance":"[a-z]*"')" '"assurance":"unverified"' "labels of such a caller are unverified"
is "$(as_nobody -- "$TMP/bin/egret" run --config "$TMP/egret.json" -- true >/dev/null 2>"$TMP/err"; echo $?)" 125 "inside a job no other is started"

# ---- auditors read, and change nothing ----
as_uid() { # uid and group, egret's words
	(cd / && timeout -k 5 30 nsenter --net="/run/netns/$HOSTNS" setpriv --reuid="$1" --regid="$1" --clear-groups env EGRET_RUN_DIR="$TMP/run" "$TMP/bin/egret" "${@:2}")
}
as_nobody -- sleep 60 >/dev/null 2>&1 &
sleeper=$!
t "a job of uid 65534 runs" wait_for 15 "'$EGRET' job list | grep -q 'j-'"
name=$("$EGRET" job list | grep -o 'j-[0-9a-f]*' | head -n 1)
like "$(as_uid 65533 job list)" "$name" "the auditors' group sees it"
unlike "$(as_uid 65532 job list)" "$name" "another uid does not"
as_uid 65533 job end "$name" >"$TMP/out" 2>"$TMP/err"
isnt $? 0 "an auditor does not end it"
like "$(cat "$TMP/err")" 'auditors change nothing' "and it is said"
isnt "$(as_uid 65533 secret list >/dev/null 2>&1; echo $?)" 0 "nor lists secrets"
isnt "$(as_uid 65533 run --config "$TMP/egret.json" -- true >/dev/null 2>&1; echo $?)" 0 "nor runs jobs"
is "$(setpriv --reuid=65533 --regid=65533 --clear-groups grep -c "\"id\":\"$name\"" "$TMP/state/events.ndjson" | grep -c '^[1-9]')" 1 "the auditors' group reads the log"
t "root ends it" "$EGRET" job end "$name"
wait "$sleeper"
kill -HUP "$DAEMON"
t "event: admin.policy, of a signal" wait_for 10 "stream | jq -en 'any(inputs; .kind == \"admin.policy\" and .message == \"reload, by signal\" and .process.uid == 0)'"
echo v | "$EGRET" secret set callers-x && "$EGRET" secret remove callers-x
"$EGRET" lease revoke --all >/dev/null 2>&1
"$EGRET" override audit --repo none --ttl 1s --reason callers --json >"$TMP/override.json"
is "$? $(jq -c '[.ok, .seconds, (.message | startswith("jobs of this repository, as the runner says, unsigned, "))]' "$TMP/override.json")" "0 [true,1,true]" "egret override --json"
is "$("$EGRET" status --json | jq -r '.overrides')" 1 "the figure of egret status --json"
"$EGRET" override audit --repo second --ttl 1m --reason 'two at once' >/dev/null
is "$("$EGRET" status --json | jq -r '[(.overrides | tonumber) == (.override_list | length), ([.override_list[] | select(startswith("second audit until ") and endswith(": two at once"))] | length)] | join(" ")')" \
	"true 1" "and each of several, in a list"
is "$("$EGRET" status --json | jq -c --stream 'select(length == 2 and (.[0] | length) == 1) | .[0][0]' | sort | uniq -d)" '' "no key stands there twice"
frame() { # uid, type of a message, a NAME (tag 5): the type of the answer
	in_host setpriv --reuid="$1" --regid="$1" --clear-groups env PATH=/usr/bin:/bin python3 -c 'import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(10); s.connect(sys.argv[1])
s.send(struct.pack("<HHI", int(sys.argv[2]), 1, 7) + struct.pack("<HH", 5, len(sys.argv[3])) + sys.argv[3].encode()); print(struct.unpack("<H", s.recv(70000)[:2])[0])' \
		"$TMP/run/control.sock" "$2" "$3" 2>&1
}
# What anybody may ask is no act, whatever name stands in the question (MSG_CA_ROOT); a reload is root's (MSG_RELOAD).
is "$(frame 65532 41 forged) $(frame 65532 136 x) $(frame 0 136 x)" "2 2 1" "no root is there to be shown; a reload is refused to others, and done for root"
t "event: admin.override" wait_for 10 "stream | grep -q 'mode audit has ended for jobs of none'"
for what in 'admin.job ended' 'admin.secret set' 'admin.secret removed' 'admin.secret revoked' 'admin.override mode audit has begun' \
	'admin.override mode audit has ended'; do
	is "$(stream | jq -r "select(.kind == \"${what%% *}\" and (.message | startswith(\"${what#* }\"))) | \"\\(.process.uid) \\(.process.comm)\"" | tail -n 1)" '0 egret' "event: $what, with uid and tool"
done
is "$(stream | jq -r 'select(.kind == "admin.policy" and .message == "reload") | "\(.process.uid) \(.process.comm)"' | sort -u)" '0 python3' "event: admin.policy reload, with uid and tool"
is "$(stream | jq -r 'select(.kind | startswith("admin.")) | select(.process.uid != 0 or (.message | test("forged|secret set x|secret remove x"))) | .message')" '' \
	"nothing that was refused, and nothing that others only read, stands there as an act"

# ---- an upgrade to the same version ----
is "$("$EGRET" upgrade now 2>"$TMP/err"; echo $?)" 2 "egret upgrade takes no word"
is "$(stream | grep -c '"kind":"admin.upgrade"')" 0 "what was refused is no event"
version=$("$EGRET" status --json | jq -r .version)
"$EGRET" upgrade --json >"$TMP/upgrade.json"
is "$? $(jq -c '[.ok, .version]' "$TMP/upgrade.json")" "0 [true,\"$version\"]" "egret upgrade --json"
isnt "$(egret_pids egretd)" "$DAEMON" "another egretd serves"
t "event: admin.upgrade" wait_for 10 "stream | grep -q '\"kind\":\"admin.upgrade\"'"
is "$(stream | jq -r 'select(.kind == "admin.upgrade") | "\(.message) \(.process.uid) \(.process.comm)"')" 'upgrade 0 egret' "with uid and tool, once"
kill -TERM $(egret_pids egretd)
t "it ends when it is asked to" wait_for 20 '[ -z "$(egret_pids egretd)" ]'
done_testing
