#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 50 s
# not quick
# timeout: 300
# The wall at the links of docker's containers: there from the start and for networks joined later, none where there is no link, put back
# when somebody takes it away, taken over by another egretd, and gone with the container. What is sent is a datagram of a socket that is
# not the job's, from inside the container's network: to be heard on the host, or not.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
need tc bpftool jq python3
HOST_MANAGED=$(host_managed '"adopt": "sole"')
host_up
installed web '"allow": "READ https://api.test/**"'
kill -HUP "$DAEMON"
host_docker
images_into docker alpine || done_testing
A=egret-test/alpine:1
PINS=/sys/fs/bpf/egret/$(egret_instance "$TMP/run")

spawn in_host python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 9999))
while True: print(s.recv(99).decode(), flush=True)' >"$TMP/heard"

pid_of() { docker inspect -f '{{.State.Pid}}' "$1"; }
in_net() { nsenter --net="/proc/$(pid_of "$1")/ns/net" "${@:2}"; } # container, command: of no job
sides() { # container: names of the host's sides of its links
	local i
	for i in $(in_net "$1" ip -j link | jq '.[] | select(.ifname | startswith("eth")) | .link_index // empty'); do in_host ip -j link | jq -r ".[] | select(.ifindex == $i) | .ifname"; done
}
walls() { in_host tc filter show dev "$1" ingress | grep -c 'pref 1 bpf.* handle 0x6567 egret_link'; } # interface
filters() { in_host tc filter show dev "$1" ingress | grep -c handle; }
entries() { find "$PINS" -name egret_links | head -n 1 | xargs -r bpftool -j map dump pinned | jq length; }
N=0
say_from() { # container, address: sets WORD
	WORD=word$((N += 1))
	in_net "$1" python3 -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'$WORD', ('$2', 9999))" 2>/dev/null
}
heard() { wait_for "${2:-3}" "grep -qx $1 '$TMP/heard'"; }
# The counter tells that the datagram, or the question for whom it is, came to the wall.
refused() { find "$PINS" -name egret_refused | head -n 1 | xargs -r -I{} bpftool -j map lookup pinned {} key 21 0 0 0; }
stopped() { # container, address, what it means
	local was
	was=$(refused)
	say_from "$1" "$2"
	if wait_for 5 "[ '$was' != \"\$(refused)\" ]" && ! heard "$WORD" 1; then pass "$3"; else fail "$3" "$(cat "$TMP/heard"; tail -n 5 "$TMP/egretd.log")"; fi
}

JOB=$(host_register web) && like "$JOB" '^j-[0-9a-f]+$' "a job is registered" || done_testing
docker network create jobnet >/dev/null
docker network create later >/dev/null
LATER=$(docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' later)

# ---- from the start ----
docker run -d --name one $A sleep 600 >/dev/null
V=$(sides one)
is "$(walls "$V")" 1 "a container on docker's bridge: the wall stands at its link"
is "$(filters "$V")" 1 "once"
stopped one 10.77.0.1 "a socket that is not the job's is not heard"
like "$(docker exec one fetch https://api.test/hello.txt 2>&1)" '^200' "and what the policy allows goes its way"
docker run -d --name two --network jobnet $A sleep 600 >/dev/null
is "$(walls "$(sides two)")" 1 "a container on a network of its own"
docker run -d --name none --network none $A sleep 600 >/dev/null
is "$(sides none)" '' "one without a network has no link"
like "$(docker exec none fetch https://api.test/hello.txt 2>&1)" '^200' "and is served"
is "$(entries)" 2 "the kernel knows of two links"

# ---- later ----
docker network connect later one
t "a network that is joined later gets the wall too" wait_for 5 "[ \$(for v in \$(sides one); do walls \$v; done | paste -sd+ | bc) = 2 ]"
stopped one "$LATER" "and nobody is heard by it"
is "$(entries)" 3 "the kernel knows of three"
docker network disconnect later one
t "a network that is left is forgotten" wait_for 5 "[ \"\$(entries)\" = 2 ]"

# ---- somebody takes it away ----
in_host tc filter del dev "$V" ingress
say_from one 10.77.0.1
t "without the wall the same is heard" heard "$WORD"
t "it is put back" wait_for 45 "[ \"\$(walls $V)\" = 1 ]"
stopped one 10.77.0.1 "and holds"
wait_for 5 "stream | grep -q '\"kind\":\"alert\"'"
like "$(stream | jq -c 'select(.kind == "alert") | [.message, .walls, .job.id]')" "the program at a link.*tc.*$JOB" "that is an alert"

# ---- a link without a side on the host ----
if in_net none ip tuntap add dev t0 mode tun 2>/dev/null; then
	t "a link that has no side on this host is named" wait_for 5 "grep -q 'link t0 (tun) has no side on this host' '$TMP/egretd.log'"
	in_net none ip link del t0
else
	skip "a link that has no side on this host is named" "no tun device"
fi

# ---- a container with NET_ADMIN: links that hide the others, and one moved into a namespace of its own ----
docker run -d --name loose $A sleep 600 >/dev/null
W=$(sides loose)
ADDR=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' loose)
is "$(walls "$W")" 1 "a container that will hide its links has the wall"
seq 2 99 | sed 's/.*/link add d& index & type bridge/' | in_net loose ip -force -batch - 2>/dev/null
# As many that lead out of the namespace, but not to the host.
nsenter --net="/proc/$(pid_of loose)/ns/net" unshare --net sleep 600 &
AWAY=$!
HERE=$(readlink "/proc/$$/ns/net")
wait_for 5 "[ \"\$(readlink /proc/$AWAY/ns/net)\" != '$HERE' ] && [ \"\$(readlink /proc/$AWAY/ns/net)\" != \"\$(readlink /proc/$(pid_of loose)/ns/net)\" ]"
seq 102 199 | sed "s/.*/link add v& index & type veth peer name w& netns $AWAY/" | in_net loose ip -force -batch - 2>/dev/null
in_net loose ip link set eth0 netns "$AWAY"
docker network connect later loose
t "a network that is joined beside two hundred links gets the wall" wait_for 10 "[ \$(for v in \$(sides loose); do walls \$v; done | paste -sd+ | bc) = 1 ]"
is "$(walls "$W") $(filters "$W")" '1 1' "the link that was moved on keeps it"
stopped loose "$LATER" "nobody is heard by the one"
nsenter --net=/proc/$AWAY/ns/net sh -c "ip addr add $ADDR/16 dev eth0; ip link set eth0 up"
was=$(refused)
nsenter --net=/proc/$AWAY/ns/net python3 -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'moved', ('10.77.0.1', 9999))" 2>/dev/null ||
	nsenter --net=/proc/$AWAY/ns/net python3 -c "import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0)); s.send(b'\\xff' * 12 + b'\\x08\\x00' + b'moved' * 10)"
t "nor by the other" wait_for 5 "[ '$was' != \"\$(refused)\" ]"

# ---- another egretd ----
was=$(in_host tc filter show dev "$V" ingress | sed -n 's/.* id \([0-9]*\).*/\1/p')
kill -9 "$DAEMON"
wait "$DAEMON" 2>/dev/null
stopped one 10.77.0.1 "without an egretd the wall stands"
daemon_start
t "another egretd takes it over" wait_for 10 "[ \"\$(in_host tc filter show dev $V ingress | sed -n 's/.* id \\([0-9]*\\).*/\\1/p')\" != '$was' ]"
is "$(filters "$V") $(entries)" '1 4' "in the place of the one before"
is "$(walls "$W") $(filters "$W")" '1 1' "also at the link that was moved on"
kill $AWAY
docker rm -f loose >/dev/null
t "with the container its links are forgotten" wait_for 45 "[ \"\$(entries)\" = 2 ]"
stopped one 10.77.0.1 "and it holds"

# ---- the end ----
docker rm -f one >/dev/null
t "a container that is gone leaves no entry" wait_for 10 "[ \"\$(entries)\" = 1 ]"
job_end "$JOB"
wait_for 15 "[ -z \"\$(docker ps -q)\" ]"
t "nor does a job" wait_for 10 "[ \"\$(entries)\" = 0 ]"
is "$(in_host bash -c 'for v in $(ip -j link | jq -r ".[].ifname"); do tc filter show dev $v ingress; done' | grep -c egret)" 0 "no filter is left"
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
