#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# timeout: 300
# upstream.netns: job. The host itself may not reach the origin, the container's address may, as a pod's under a NetworkPolicy: what a
# container asks for leaves by its own link with its own address, is judged by the rules of that link, and is recorded as what it is; what
# the container sends itself stays behind the wall, also with the addresses and ports of the proxy's connection. Who could change the
# namespace's routes is not let in.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
need socat iptables python3 jq bpftool tc pgrep
HOST_MANAGED=$(host_managed '"adopt": "sole"')
UPSTREAM_MORE='"netns": "host"'
NGINX_EXTRA="server { listen $GOOD:8081; location / { return 200 'from \$remote_addr'; } }"
EXTRA_HOSTS[from.test]=$GOOD
host_up
says() { spawn in_origin socat "TCP4-LISTEN:$2,bind=$1,fork,reuseaddr" "SYSTEM:echo $3 from \$SOCAT_PEERADDR; read word; echo \$word" && wait_port in_origin "$1" "$2"; }
says $GOOD 5432 good
says $GOOD 5433 good
says $EVIL 5432 evil
in_origin ip route add 10.77.0.0/16 via 198.51.100.1
installed web "\"allow\": \"tcp://$GOOD:5432\"" "\"allow\": \"tcp://$GOOD:5433\"" '"allow": "READ https://api.test/**"' '"allow": "READ http://from.test:8081/**"'
kill -HUP "$DAEMON"
host_docker
images_into docker debian || done_testing
docker network create --subnet 10.77.5.0/24 -o com.docker.network.bridge.enable_ip_masquerade=false straight >/dev/null
# The host's own packets to the origin are refused at once, so that nobody waits; of the containers', what the policy of their link says.
in_host iptables -I OUTPUT -d 198.51.100.0/24 -p tcp --syn -j REJECT --reject-with tcp-reset
in_host iptables -I FORWARD -s 10.77.5.0/24 -d $GOOD -p tcp --dport 5433 -j REJECT --reject-with tcp-reset
cat >"$TMP/ask.py" <<'PY'
import socket, sys
s = socket.socket(); s.settimeout(20)
try:
    s.connect((sys.argv[1], int(sys.argv[2]))); s.sendall(b'word\n')
    print(s.makefile().read().replace('\n', ' ').strip() or 'closed')
except OSError as e: print('refused', e.__class__.__name__)
PY
cat >"$TMP/fetch.py" <<'PY'
import urllib.request, sys
try: print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode().strip())
except Exception as e: print(e)
PY
D=egret-test/debian:1
stay() { docker run -d --name "$1" --network straight --ip "$2" $D sleep 600 >/dev/null; } # name, address
ask() { docker exec -i "$1" python3 - "${@:2}" <"$TMP/ask.py" 2>&1; }		# container, address, port
fetched() { docker exec -i "$1" python3 - "$2" <"$TMP/fetch.py" 2>&1; }			# container, URL
in_net() { nsenter --net="/proc/$(docker inspect -f '{{.State.Pid}}' "$1")/ns/net" "${@:2}"; } # container, command: of no job
refused() { find /sys/fs/bpf/egret/"$(egret_instance "$TMP/run")" -name egret_refused | head -n 1 | xargs -r -I{} bpftool -j map lookup pinned {} key 21 0 0 0; }
side() { in_host ip -j link | jq -r ".[] | select(.ifindex == $(in_net "$1" ip -j link show eth0 | jq '.[0].link_index')) | .ifname"; }
wall() { in_host tc filter show dev "$1" ingress | grep -c 'pref 1 bpf.* handle 0x6567 egret_link'; }
sources() { pgrep -f 'egret-proxy --sockets' | while read -r p; do [ "$(readlink "/proc/$p/ns/net")" = "$(readlink "/proc/$(docker inspect -f '{{.State.Pid}}' "$1")/ns/net")" ] && echo "$p"; done; } # container

# ---- without it ----
JOB=$(host_register web) && like "$JOB" '^j-[0-9a-f]+$' "a job is registered" || { diag "$JOB"; done_testing; }
stay one 10.77.5.9
like "$(ask one $GOOD 5432)" '^(closed|refused)' "dialled from the host's namespace nobody reaches the origin"
like "$(fetched one http://from.test:8081/)" '502' "by HTTP neither"
docker rm -f one >/dev/null
job_end "$JOB"
daemon_stop

# ---- with it ----
UPSTREAM_MORE='"netns": "job"'
daemon_config "\"managed\": [ $HOST_MANAGED ]"
daemon_start || done_testing
JOB=$(host_register web) && like "$JOB" '^j-[0-9a-f]+$' "a job is registered" || { diag "$JOB"; done_testing; }
stay one 10.77.5.9
is "$(ask one $GOOD 5432)" "good from 10.77.5.9 word" "from the job's: the origin sees the container's address"
is "$(fetched one https://api.test/hello.txt)" "hello from api" "by HTTPS too"
like "$(ask one $GOOD 5433)" '^(closed|refused)' "what the host refuses this link is refused, whatever the policy of the job says"
stay two 10.77.5.8
is "$(fetched one http://from.test:8081/a) $(fetched two http://from.test:8081/a) $(fetched one http://from.test:8081/b)" "from 10.77.5.9 from 10.77.5.8 from 10.77.5.9" \
	"each container's requests go by its own link, and none by another's connection"
wait_for 20 "stream | grep -q '\"ip\":\"$GOOD\",\"port\":5432'"
like "$(stream | jq -c "select(.job.id == \"$JOB\" and .dest.port == 5432) | [.kind, .verdict, .dest.ip]" | sort -u)" "connect.*allow.*$GOOD" "the record has the address"

# ---- what the container sends itself ----
was=$(refused)
in_net one timeout 2 bash -c "exec 3<>/dev/tcp/$GOOD/5432" 2>/dev/null
isnt "$?" 0 "a socket that is neither's does not reach what the proxy reaches"
isnt "$(refused)" "$was" "the wall says so"

# ---- translated on the way ----
V=$(side two)
in_net two iptables -t nat -A OUTPUT -d $GOOD -p tcp --dport 5432 -j DNAT --to-destination $EVIL:5432
in_host tc filter del dev "$V" ingress
is "$(ask two $GOOD 5432)" "evil from 10.77.5.8 word" "rules of the namespace turn the proxy's packets to another address, without the wall"
in_net two ip link add d0 type veth peer name d1 # so that egretd looks at its links now
t "which is put back" wait_for 45 "[ \"\$(wall $V)\" = 1 ]"
was=$(refused)
like "$(ask two $GOOD 5432)" '^(closed|refused)' "with it they do not arrive"
isnt "$(refused)" "$was" "the wall says so"
in_net two iptables -t nat -F OUTPUT
is "$(ask two $GOOD 5432)" "good from 10.77.5.8 word" "and what is not turned does"

# ---- who is not let in ----
like "$(docker run --rm --network straight --cap-add NET_ADMIN $D true 2>&1)" 'upstream.netns is .*job.* confined jobs' "a container with NET_ADMIN is refused, in words"
like "$(docker run --rm --network straight --privileged $D true 2>&1)" 'upstream.netns is .*job' "a privileged one too"
is "$(docker run --rm --network straight --cap-add NET_RAW $D echo ran 2>&1)" ran "NET_RAW is taken away, as from any container"
is "$(docker run --rm --network container:one -i $D python3 - $GOOD 5432 <"$TMP/ask.py" 2>&1)" "good from 10.77.5.9 word" "another container of the job in the same namespace"
like "$(docker run --rm --network none -i $D python3 - $GOOD 5432 <"$TMP/ask.py" 2>&1)" '^(closed|refused)' "one without a link reaches nothing"
JOB_OPTS=(--label repo=web --label event=push)
like "$(daemon_job true 2>&1)" 'upstream.netns is "job".* --net host' "a job of egret run, which has no link, is refused"
JOB_OPTS+=(--net host)
like "$(daemon_job curl -s --max-time 20 http://from.test:8081/ 2>&1)" 'refused|502' "one on the host's network dials from the host's, which may not"
in_host iptables -D OUTPUT 1
like "$(daemon_job curl -s --max-time 20 http://from.test:8081/ 2>&1)" 'from 198.51.100.1' "or may"
in_host iptables -I OUTPUT -d 198.51.100.0/24 -p tcp --syn -j REJECT --reject-with tcp-reset

# ---- who dies ----
S=$(sources one)
is "$(wc -w <<<"$S")" 1 "one process makes the sockets of a namespace"
PROXY=$(pgrep -f "egret-proxy $JOB")
kill -9 "$S"
t "without it the proxy is another soon" wait_for 20 "[ ! -e /proc/$PROXY ] && [ \"\$(sources one | wc -l)\" = 1 ]"
t "and serves" wait_for 20 "[ \"\$(ask one $GOOD 5432)\" = 'good from 10.77.5.9 word' ]"
# Nothing can be executed in it then: somebody waits there for a sign.
docker exec one sh -c 'touch /tmp/here; while [ ! -e /tmp/go ]; do sleep 0.1; done; python3 /tmp/ask.py 198.51.100.10 5432' >"$TMP/later" 2>&1 &
LATER=$!
docker exec -i one sh -c 'cat >/tmp/ask.py' <"$TMP/ask.py"
ONE=$(docker inspect -f '{{.State.Pid}}' one)
wait_for 20 "nsenter --mount=/proc/$ONE/ns/mnt test -e /tmp/here" || diag "nobody waits in it"
kill -9 "$DAEMON"
wait "$DAEMON" 2>/dev/null
nsenter --mount="/proc/$ONE/ns/mnt" touch /tmp/go
wait $LATER
is "$(cat "$TMP/later")" "good from 10.77.5.9 word" "without an egretd it serves"
daemon_start
is "$(ask one $GOOD 5432)" "good from 10.77.5.9 word" "and with another one"
stay three 10.77.5.7
is "$(ask three $GOOD 5432)" "good from 10.77.5.7 word" "also a container that comes then"
S=$(sources three)
docker rm -f three >/dev/null
t "which takes its source along" wait_for 10 "[ ! -e /proc/${S:-none} ]"

# ---- a policy that leaves NET_RAW ----
docker rm -f one two >/dev/null
job_end "$JOB"
sed -i 's/"rules": \[/"capabilities": ["NET_RAW"], "rules": [/' "$TMP/policies/web.json"
loads=$(stream | grep -c '"kind":"policy.load"')
kill -HUP "$DAEMON"
wait_for 10 "[ \$(stream | grep -c '\"kind\":\"policy.load\"') -gt $loads ]" || fail "the policies are read again"
JOB=$(host_register web)
like "$(docker run --rm --network straight --cap-add NET_RAW $D true 2>&1)" 'upstream.netns is .*job.*NET_RAW' "where the policy leaves NET_RAW no container is let in"
job_end "$JOB"
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
is "$(pgrep -f 'egret-proxy --sockets' | wc -l)" 0 "nothing is left"
done_testing
