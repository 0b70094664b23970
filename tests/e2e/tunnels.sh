#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# Tunnels in numbers and at their ends: resets carried over behind what was said before them, 2,000 at once that rest and speak, more with
# bytes that nobody takes than the kernel's quota of pipes for one uid has room for, and much data both ways in flat memory.
# GIB=10 for more of it (make soak).
# timeout: 600
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need python3
GIB=${GIB:-1}
[ "$(ulimit -Hn)" -ge 12000 ] || skip_all "a process may have only $(ulimit -Hn) descriptors here"
origins_up
config '"limits": { "connections": 4096 }'
policy '"allow": "tcp://api.test:2222-2225"'
# Small buffers, so that bytes which nobody takes soon stand in the pipes.
in_host bash -c 'echo 4096 16384 65536 >/proc/sys/net/ipv4/tcp_rmem; echo 4096 16384 65536 >/proc/sys/net/ipv4/tcp_wmem'

# 2222 echoes; 2223 speaks, then resets; 2224 reads nothing until a file is there, then all, and says how much; 2225 takes or sends GiB.
cat >"$TMP/server.py" <<'PY'
import asyncio, os, socket, struct, sys
where, tmp = sys.argv[1], sys.argv[2]
async def echo(r, w):
    while data := await r.read(65536): w.write(data); await w.drain()
    w.close()
async def reset(r, w):
    try: how = (await r.readline()).decode().strip()
    except ConnectionResetError: how = ''
    sock = w.get_extra_info('socket')
    if how == 'reset-me':
        w.write(b'x' * 20000); await w.drain(); await asyncio.sleep(0.2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); w.transport.abort(); return
    if how != 'stay': w.close(); return # who asked whether the port is open
    try: await r.read(); end = 'end'
    except ConnectionResetError: end = 'reset'
    open(tmp + '/saw', 'w').write('%s\n' % end); w.close()
async def stuck(r, w):
    r._transport.pause_reading()
    while not os.path.exists(tmp + '/read'): await asyncio.sleep(0.1)
    r._transport.resume_reading()
    n = 0
    while data := await r.read(65536): n += len(data)
    w.write(b'%d\n' % n); w.close()
async def bulk(r, w):
    word, n = (await r.readline() or b'none 0').split(); n = int(n); chunk = bytes(1 << 20)
    if word == b'get':
        for _ in range(n): w.write(chunk); await w.drain()
    else:
        got = 0
        while data := await r.read(1 << 20): got += len(data)
        w.write(b'%d\n' % got)
    w.close()
async def main():
    for port, fn in (2222, echo), (2223, reset), (2224, stuck), (2225, bulk):
        await asyncio.start_server(fn, where, port, backlog=4096, limit=1 << 20 if port == 2225 else 4096)
    await asyncio.Event().wait()
asyncio.run(main())
PY
spawn in_origin bash -c 'ulimit -n 12000; echo 4096 16384 65536 >/proc/sys/net/ipv4/tcp_rmem; exec python3 "$@"' - "$TMP/server.py" $GOOD "$TMP"
for port in 2222 2223 2224 2225; do wait_port in_host $GOOD $port; done

# The job: does what it is told, a line each in, a line each out.
cat >"$TMP/job.py" <<'PY'
import resource, select, socket, struct, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
def to(port): return socket.create_connection(('api.test', port), 20)
def all_of(s):
    n = 0
    try:
        while c := s.recv(1 << 20): n += len(c)
        return n, 'end'
    except ConnectionResetError: return n, 'reset'
held, stuck, where = [], [], socket.getaddrinfo('api.test', 2224, socket.AF_INET)[0][4]
def do(word, *a):
    if word == 'reset':
        s = to(2223); s.sendall(b'reset-me\n'); return all_of(s)
    if word == 'abort':
        s = to(2223); s.sendall(b'stay\n'); time.sleep(0.3)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close(); return 'gone',
    if word == 'hold':
        held.extend(to(2222) for _ in range(int(a[0]))); return len(held),
    if word == 'speak':
        for s in held: s.sendall(b'y' * 1000)
        good = 0
        for s in held:
            s.settimeout(20); n = 0
            while n < 1000 and (c := s.recv(1000 - n)): n += len(c)
            good += n == 1000
        return good,
    if word == 'drop':
        for s in held: s.close()
        held.clear(); return 0,
    if word == 'stick':
        for _ in range(int(a[0])):
            s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            s.connect(where); s.setblocking(False); stuck.append([s, 0])
        end = time.monotonic() + 60; poll = select.poll(); by = {e[0].fileno(): e for e in stuck}
        for e in stuck: poll.register(e[0], select.POLLOUT)
        # Until none has taken a byte for a while.
        while time.monotonic() < end and (ready := poll.poll(1500)):
            for fd, _ in ready:
                try: by[fd][1] += by[fd][0].send(b'z' * 16384)
                except BlockingIOError: pass
        return len(stuck), min(e[1] for e in stuck)
    if word == 'unstick':
        right = 0
        for s, n in stuck: s.setblocking(True); s.settimeout(60); s.shutdown(socket.SHUT_WR)
        for s, n in stuck: right += s.makefile().readline() == '%d\n' % n; s.close()
        sent = sum(n for _, n in stuck); stuck.clear(); return right, sent
    if word == 'get':
        s = to(2225); s.sendall(b'get %d\n' % int(a[0])); return all_of(s)
    if word == 'put':
        s = to(2225); s.sendall(b'put 0\n'); chunk = bytes(1 << 20)
        for _ in range(int(a[0])): s.sendall(chunk)
        s.shutdown(socket.SHUT_WR); return int(s.makefile().readline()), 'taken'
for line in sys.stdin:
    try: print(*do(*line.split()), flush=True)
    except Exception as e: print('failed', repr(e), flush=True)
PY
mkfifo "$TMP/in" "$TMP/out"
JOB_TIMEOUT=590 job python3 "$TMP/job.py" <"$TMP/in" >"$TMP/out" 2>"$TMP/job.err" &
PIDS+=($!)
exec 8>"$TMP/in" 9<"$TMP/out"
ask() {
	local answer
	echo "$*" >&8
	read -r -t "${WAIT:-60}" -u 9 answer || answer="no answer: $(tail -n 3 "$TMP/job.err")"
	echo "$answer"
}
proxy=
wait_for 20 '[ -n "$(egret_pids egret-proxy)" ]' && proxy=$(egret_pids egret-proxy)
pipes() { find "/proc/$proxy/fd" -lname 'pipe:*' | wc -l; }
memory() { awk '/^(RssAnon|RssShmem):/ { s += $2 } END { print s }' "/proc/$proxy/status"; }
last() { events | grep -F "\"kind\":\"$1\"" | tail -n 1; }

is "$(ask reset)" '20000 reset' "a server speaks and resets: both come through"
wait_for 5 '[ -n "$(last connect.end)" ]'
like "$(last connect.end)" '"bytes":\{"out":9,"in":20000\}' "and its bytes are counted"
is "$(ask abort)" gone "a client resets"
wait_for 5 "[ -s '$TMP/saw' ]"
is "$(cat "$TMP/saw")" reset "and the server sees a reset, not an end"

rest=$(pipes)
is "$(ask hold 2000)" 2000 "2,000 tunnels"
is "$(ask speak)" 2000 "each carries a word and its answer"
is "$(ask speak)" 2000 "and again"
at_most $(($(pipes) - rest)) 32 "descriptors of pipes while they rest"

is "$(ask stick 1200 | cut -d' ' -f1)" 1200 "beside them 1,200 whose bytes nobody takes"
stuck=$(pipes)
[ "$stuck" -ge 2200 ] && pass "they hold pipes ($stuck descriptors): over the kernel's quota of 1,024 pipes a uid" || fail "they hold pipes" "$stuck descriptors"
is "$(ask speak)" 2000 "the others carry their words none the less"
touch "$TMP/read"
answer=$(ask unstick)
is "${answer% *}" 1200 "read at last, each got what was sent (${answer#* } bytes in all)"
is "$(ask drop)" 0 "all are closed"
t "and the pipes are gone" wait_for 10 '[ $(($(pipes) - rest)) -le 32 ]'
wait_for 20 "[ \$(grep -c '\"connect.end\"' '$TMP/events.ndjson') -ge 3202 ]"
is "$(grep '"connect.end"' "$TMP/events.ndjson" | sed -n 's/.*"out":\([0-9]*\).*/\1/p' | awk '{ s += $1 } END { print s }')" \
	$((9 + 5 + 2000 * 3 * 1000 + ${answer#* })) "the events' bytes are what was sent"

in_host bash -c 'echo 4096 131072 6291456 >/proc/sys/net/ipv4/tcp_rmem; echo 4096 16384 4194304 >/proc/sys/net/ipv4/tcp_wmem'
ask get 16 >/dev/null
before=$(memory)
is "$(WAIT=500 ask get $((GIB * 1024)))" "$((GIB << 30)) end" "$GIB GiB to the job"
is "$(WAIT=500 ask put $((GIB * 1024)))" "$((GIB << 30)) taken" "$GIB GiB from the job"
at_most $(($(memory) - before)) 512 "kB more memory of the proxy"
wait_for 5 "[ \$(grep -c '\"connect.end\"' '$TMP/events.ndjson') -ge 3205 ]"
like "$(last connect.end)" "\"out\":$(((GIB << 30) + 6))," "all counted"
exec 8>&- 9<&-
done_testing
