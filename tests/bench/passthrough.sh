#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bytes passed through unopened: CPU of the proxy per GiB to the client and from it, and per small message there and back, egret (rule
# tcp://) beside HAProxy in tcp mode with splice(2), one thread each on one CPU, client and server on the other. Samples in turn; medians,
# and the median of the rounds' own ratios. CPU is the scheduler's own count (schedstat); what the kernel's programs cost a packet is in it
# where the proxy's own system calls run them. Called by run.sh. ROUNDS (7), MIB (512), MESSAGES (10000). PERF=FILE: a profile.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need haproxy python3 taskset
ROUNDS=${ROUNDS:-7} MIB=${MIB:-512} MESSAGES=${MESSAGES:-10000}
PROXY_CPU=0 LOAD_CPU=1
origins_up >/dev/null
policy '"allow": "tcp://api.test:2222"'
cat >"$TMP/server.py" <<'PY'
import socket, sys, threading
def serve(c):
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    way, n = (c.makefile('rb', 0).readline() or b'none 0').split(); n = int(n); b = bytearray(1 << 20)
    if way == b'get':
        for _ in range(n): c.sendall(b)
    elif way == b'put':
        while c.recv_into(b): pass
        c.sendall(b'all')
    else:
        while k := c.recv_into(b): c.sendall(memoryview(b)[:k])
    c.close()
s = socket.create_server((sys.argv[1], 2222))
while True:
    c, _ = s.accept(); threading.Thread(target=serve, args=(c,), daemon=True).start()
PY
cat >"$TMP/client.py" <<'PY'
import socket, sys
host, way, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
c = socket.create_connection((host, 2222)); c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
c.sendall(b'%s %d\n' % (way.encode(), n)); b = bytearray(1 << 20); got = 0
if way == 'get':
    while k := c.recv_into(b): got += k
    assert got == n << 20, got
elif way == 'put':
    for _ in range(n): c.sendall(b)
    c.shutdown(socket.SHUT_WR); assert c.recv(3, socket.MSG_WAITALL) == b'all'
else:
    for _ in range(n):
        c.sendall(b'm' * 200); k = 0
        while k < 200: k += c.recv_into(b)
print('well')
PY
spawn taskset -c $LOAD_CPU nsenter --net="/run/netns/$ORIGINNS" python3 "$TMP/server.py" $GOOD
wait_port in_host $GOOD 2222 || exit 1
cat >"$TMP/haproxy.cfg" <<-CONF
	global
	  nbthread 1
	  maxconn 1000
	defaults
	  mode tcp
	  timeout connect 10s
	  timeout client 900s
	  timeout server 900s
	  option splice-request
	  option splice-response
	frontend f
	  bind 198.51.100.1:2222
	  default_backend b
	backend b
	  server o $GOOD:2222
CONF
spawn taskset -c $PROXY_CPU nsenter --net="/run/netns/$HOSTNS" haproxy -db -f "$TMP/haproxy.cfg" >"$TMP/haproxy.out" 2>&1
haproxy=$SPAWNED
wait_port in_host 198.51.100.1 2222 || { cat "$TMP/haproxy.out"; exit 1; }

cat >"$TMP/load.sh" <<'SH'
#!/bin/bash
for ((i = 0; ; i++)); do
	until [ -e "$1/ask.$i" ]; do
		[ ! -e "$1/end" ] || exit 0
		sleep 0.02
	done
	taskset -c "$2" python3 "$1/client.py" $(<"$1/ask.$i") >"$1/answer.new" 2>&1
	mv "$1/answer.new" "$1/answer.$i"
done
SH
chmod 755 "$TMP/load.sh"
JOB_TIMEOUT=3600 job "$TMP/load.sh" "$TMP" $LOAD_CPU >"$TMP/job.out" 2>&1 &
running=$!
PIDS+=("$running")
wait_for 20 '[ -n "$(egret_pids egret-proxy)" ] && [ -n "$(egret_pids egret-audit)" ]' || { cat "$TMP/job.out"; exit 1; }
egret=$(egret_pids egret-proxy)
for p in $egret $(egret_pids egret-audit) $(egret_pids egretd) $(egret_pids egret-broker); do taskset -apc $PROXY_CPU "$p" >/dev/null; done
asked=0
load() { # way, kind, n: its words in $said
	if [ "$1" = egret ]; then
		echo "api.test $2 $3" >"$TMP/ask.new" && mv "$TMP/ask.new" "$TMP/ask.$asked"
		wait_for 120 "[ -e '$TMP/answer.$asked' ]"
		said=$(cat "$TMP/answer.$asked")
		asked=$((asked + 1))
	else
		said=$(taskset -c $LOAD_CPU nsenter --net="/run/netns/$HOSTNS" python3 "$TMP/client.py" 198.51.100.1 "$2" "$3" 2>&1)
	fi
	[ "$said" = well ] || fail "$1 $2: a sample could be taken" "$said"
}
cpu_ns() { cut -d' ' -f1 "/proc/${!1}/schedstat"; }
sample() { # way, kind, n, what one unit is of n and ns
	local from
	from=$(cpu_ns "$1")
	load "$1" "$2" "$3" || return 1
	awk -v ns=$(($(cpu_ns "$1") - from)) -v n="$3" -v kind="$2" 'BEGIN { print kind == "talk" ? ns / n / 1000 : ns / n * 1024 / 1e9 }' >>"$TMP/$1.$2"
}
for way in haproxy egret; do load $way get 64; load $way put 64; done
for ((round = 0; round < ROUNDS; round++)); do
	for kind in get put talk; do
		for way in haproxy egret; do sample $way $kind "$([ $kind = talk ] && echo "$MESSAGES" || echo "$MIB")"; done
	done
done
if [ -n "${PERF:-}" ]; then
	load egret "${PERF_KIND:-get}" 4096 &
	sleep 0.5
	perf record -q -g -F 999 -p "$egret" -o "$PERF" -- sleep 2 >/dev/null 2>&1
	wait $!
fi
touch "$TMP/end"
wait $running
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
for kind in get put talk; do
	printf '%-5s HAProxy %8.3f   egret %8.3f   %s   egret : HAProxy %.3f   (%s)\n' $kind "$(median <"$TMP/haproxy.$kind")" "$(median <"$TMP/egret.$kind")" \
		"$([ $kind = talk ] && echo 'us a message' || echo 's a GiB')" "$(paste "$TMP/egret.$kind" "$TMP/haproxy.$kind" | awk '{ print $1 / $2 }' | median)" \
		"$(sort -g "$TMP/egret.$kind" | sed -n '1p;$p' | tr '\n' ' ')"
done
[ "$TESTS_FAILED" = 0 ]
