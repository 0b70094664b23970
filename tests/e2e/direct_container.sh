#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# soak
# timeout: 300
# Rules `direct` from containers of a job: by the engine's bridge, with the container's own address and port, past the wall at its link;
# a container without a network has the proxy.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
need socat
HOST_MANAGED=$(host_managed '"adopt": "sole"')
host_up
# They say who asked; the way back to the containers is a route, so that nothing hides their addresses.
spawn in_origin socat TCP4-LISTEN:5432,bind=$GOOD,fork,reuseaddr SYSTEM:'echo "from $SOCAT_PEERADDR $SOCAT_PEERPORT"'
spawn in_origin socat TCP4-LISTEN:5434,bind=$GOOD,fork,reuseaddr SYSTEM:'echo "from $SOCAT_PEERADDR $SOCAT_PEERPORT"'
spawn in_origin socat UDP4-RECVFROM:5433,bind=$GOOD,fork,reuseaddr SYSTEM:'echo "from $SOCAT_PEERADDR $SOCAT_PEERPORT"'
wait_port in_origin $GOOD 5432
wait_port in_origin $GOOD 5434
in_origin ip route add 10.77.0.0/16 via 198.51.100.1
installed web "\"direct\": \"$GOOD:5432\"" "\"direct\": \"$GOOD:5433/udp\"" '"allow": "READ https://api.test/**"'
kill -HUP "$DAEMON"
host_docker
images_into docker debian || done_testing
docker network create --subnet 10.77.5.0/24 -o com.docker.network.bridge.enable_ip_masquerade=false straight >/dev/null
JOB=$(host_register web) && like "$JOB" '^j-[0-9a-f]+$' "a job is registered" || { diag "$JOB"; done_testing; }
cat >"$TMP/ask.py" <<'PY'
import socket, sys
kind, port, own = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == 'udp' else socket.SOCK_STREAM)
s.settimeout(2 if kind == 'udp' else 30)
def udp():
    for again in range(15): # a datagram can be lost; what is refused is so at once
        s.sendto(b'x\n', ('198.51.100.10', port))
        try: return s.recv(100).decode().strip()
        except TimeoutError: pass
    return 'no answer'
try:
    s.bind(('0.0.0.0', own))
    if kind == 'udp': print(udp())
    else: s.connect(('198.51.100.10', port)); print(s.recv(100).decode().strip() or 'closed')
except OSError as e: print('refused', e.__class__.__name__)
PY
ask() { docker run --rm -i --network "$1" --ip 10.77.5.9 egret-test/debian:1 python3 - "${@:2}" <"$TMP/ask.py" 2>&1; }
ask_none() { docker run --rm -i --network none egret-test/debian:1 python3 - "$@" <"$TMP/ask.py" 2>&1; }
told() { stream | jq -c 'select(.kind=="connect" and .reason=="direct") | [.verdict, .dest.ip, .dest.port, .dest.proto]'; }
is "$(ask straight tcp 5432 40001)" "from 10.77.5.9 40001" "a container on a bridge: the server sees its own address and port"
is "$(ask straight udp 5433 40002)" "from 10.77.5.9 40002" "UDP too"
wait_for 20 '[ "$(told | wc -l)" = 2 ]'
is "$(told | tr '\n' ' ')" "[\"allow\",\"$GOOD\",5432,\"tcp\"] [\"allow\",\"$GOOD\",5433,\"udp\"] " "each is told"
like "$(ask straight tcp 5434 40003)" '^refused|^closed' "another port is not reached"
like "$(ask straight udp 5434 40004)" '^refused' "nor by UDP"
like "$(ask_none tcp 5432 40005)" '^from 198\.51\.100\.1 ' "without a network the proxy dials"
like "$(ask_none udp 5433 40006)" '^refused' "and UDP has no way"
is "$(told | wc -l)" 2 "none of that is called direct"
job_end "$JOB"
done_testing
