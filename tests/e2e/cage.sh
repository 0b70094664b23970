#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The cage: a proxy that was taken over (tests/misbehave: the real one, told by a host name what to do, without its system call filter)
# cannot reach loopback, link-local, metadata, the host's own addresses - also those that come later -, private and shared networks or
# egret's synthetic ranges, nor send UDP to other than its nameservers, nor have raw sockets or listeners. What it can dial, a public
# address that no request named, is an alert with the address, told or not. Counted outside by nft.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need jq nft nm strings
origins_up
before_done() { :; } # here they are what is looked for
daemon_config '"synthetic": ["198.51.99.0/24", "2001:db8:99::/64"]'
# Only the good origin's corner: what the configuration allows to all is allowed to the host's address in it too.
sed -i 's|"198.51.100.0/24", "2001:db8:51::/64"|"198.51.100.8/29"|' "$TMP/egret.json"
installed cage '"allow": "GET http://*.act.test/**"' '"allow": "GET https://api.test/**"'

# Nothing of it is in the product.
bad=$BUILD/misbehave/egret-proxy
like "$(strings "$bad" | grep -c misbehave)" '^[1-9]' "the misbehaving proxy says so of itself"
is "$(strings "$BUILD/bin/egret-proxy" "$BUILD"/bin/* | grep -c 'misbehave\|act\.test')" 0 "no program of egret has a word of it"
is "$(nm "$BUILD/bin/egret-proxy" | grep -c '__wrap_\|__real_')" 0 "nor a symbol"
mkdir "$TMP/bin" && cp "$BUILD"/bin/* "$TMP/bin/" && cp "$bad" "$TMP/bin/egret-proxy"
EGRETD=$TMP/bin/egretd

in_origin nft -f - <<-NFT
	table inet seen {
	  counter evil { }
	  counter datagrams { }
	  chain in { type filter hook input priority 0; ip daddr $EVIL meta l4proto tcp counter name "evil"; ip saddr 198.51.100.1 meta l4proto udp counter name "datagrams"; }
	}
NFT
seen() { in_origin nft -j list counter inet seen "$1" | jq '.nftables[].counter // empty | .packets'; }
# That the wire carries it when nothing refuses: from the host itself.
in_host bash -c "echo x >/dev/udp/$EVIL/53"
t "UDP of others is seen on the wire" wait_for 3 "[ \$(seen datagrams) = 1 ]"
t "loopback and the host's address can be dialled by others" bash -c "nsenter --net=/run/netns/$HOSTNS bash -c 'exec 3<>/dev/tcp/127.0.0.1/9' 2>&1 | grep -q refused"

daemon_start || done_testing
cat >"$TMP/serve.sh" <<'SH'
#!/bin/bash
until [ -e "$1/end" ]; do
	if [ -e "$1/ask" ]; then
		url=$(cat "$1/ask") && rm -f "$1/ask"
		curl -sS --max-time 10 -o /dev/null -w '%{http_code}\n' "$url" >"$1/answer.new" 2>&1
		mv "$1/answer.new" "$1/answer"
	fi
	sleep 0.02
done
SH
chmod 755 "$TMP/serve.sh"
JOB_OPTS=(--label repo=cage --label event=push)
daemon_job "$TMP/serve.sh" "$TMP" >"$TMP/job.out" 2>&1 &
running=$!
ask() { # url: as the job; what curl said
	rm -f "$TMP/answer"
	echo "$1" >"$TMP/ask.new" && mv "$TMP/ask.new" "$TMP/ask"
	wait_for 15 "[ -e '$TMP/answer' ]" && cat "$TMP/answer"
}
act() { # what the proxy is told: what came of it
	local words=${1//-/ }
	ask "http://$1.act.test/" >/dev/null
	case $words in *' '*' '*) ;; *' '*) words="$words " ;; esac
	wait_for 5 "grep -q 'misbehave $words:' '$TMP/egretd.log'" || echo "not done"
	sed -n "s/.*misbehave $words: //p" "$TMP/egretd.log" | tail -n 1
}
events_of() { stream | jq -c --arg k "$1" --arg r "$2" --arg ip "$3" 'select(.kind==$k and .reason==$r and .dest.ip==$ip)' | wc -l; }
refused() { # act, reason, ip as text
	is "$(act "$1")" 'Operation not permitted' "$4: refused"
	t "and told: $2" wait_for 5 "[ \$(events_of connect '$2' '$3') -ge 1 ]"
}

is "$(ask https://api.test/hello.txt)" 200 "the proxy serves its job"
refused tcp-7f000001-9 cage_address 127.0.0.1 "loopback"
refused tcp-00000000000000000000000000000001-9 cage_address ::1 "loopback, IPv6"
refused tcp-00000000000000000000ffff7f000001-9 cage_address 127.0.0.1 "loopback, mapped"
refused tcp-a9fe0101-80 cage_address 169.254.1.1 "link-local"
refused tcp-a9fea9fe-80 cage_address 169.254.169.254 "metadata"
refused tcp-fd000ec2000000000000000000000254-80 cage_address fd00:ec2::254 "metadata, IPv6"
refused tcp-0a4d0001-443 cage_address 10.77.0.1 "a private network"
refused tcp-64400001-443 cage_address 100.64.0.1 "a shared (CGNAT) network"
refused tcp-c6120001-443 cage_address 198.18.0.1 "the range of synthetic addresses"
refused tcp-c6336305-443 cage_address 198.51.99.5 "a synthetic range of the configuration"
refused tcp-20010db8009900000000000000000005-443 cage_address 2001:db8:99::5 "one of IPv6"
refused tcp-c6336401-443 host_address 198.51.100.1 "the host's own address"
refused udp-c6336414-53 cage_udp 198.51.100.20 "UDP to other than a nameserver"
is "$(act raw-1)" 'Operation not permitted' "a raw socket: refused"
is "$(act bind-1)" 'Operation not permitted' "a listener: refused"
is "$(seen datagrams)" 1 "no datagram of it was on the wire"

# Addresses that the host gets while it runs.
is "$(act tcp-c633644d-443)" 'went through' "an address that is not the host's can be dialled"
in_host ip addr add 198.51.100.77/24 dev "vh$$"
in_host ip -6 addr add 2001:db8:51::77/64 dev "vh$$" nodad
dial_again() { [ "$(act "$1")" = 'Operation not permitted' ]; }
t "the host gets it: refused within a moment" wait_for 2 "dial_again tcp-c633644d-443"
t "and so an IPv6 one" wait_for 2 "dial_again tcp-20010db8005100000000000000000077-443"
in_host ip addr del 198.51.100.77/24 dev "vh$$"
t "the host loses it: others' again" wait_for 2 "[ \"\$(act tcp-c633644d-443)\" = 'went through' ]"

# What the kernel lets it dial, an alert tells of.
is "$(events_of alert unexplained $EVIL)" 0 "no alert as yet"
is "$(act tcp-c6336414-443)" 'went through' "a public address that no request named can be dialled"
t "it was: seen outside" wait_for 5 "[ \$(seen evil) -ge 1 ]"
t "an alert with the address" wait_for 10 "[ \$(events_of alert unexplained $EVIL) = 1 ]"
like "$(stream | jq -c 'select(.reason=="unexplained" and .dest.ip=="'$EVIL'")')" '"job":\{"id":"j-' "and with its job"
is "$(act lie-c6336414-8443)" 'went through' "told as a dial of another address"
t "an alert too" wait_for 10 "[ \$(stream | jq -c 'select(.reason==\"unexplained\" and .dest.ip==\"$EVIL\" and .dest.port==8443)' | wc -l) = 1 ]"
is "$(ask https://api.test/hello.txt)" 200 "meanwhile its job is served"
is "$(stream | jq -c 'select(.reason=="unexplained" and (.dest.ip != "'$EVIL'") and (.dest.ip != "198.51.100.77"))' | wc -l)" 0 "no alert for what was asked" ||
	diag "$(stream | jq -c 'select(.reason=="unexplained")')"
touch "$TMP/end"
wait $running
daemon_stop
done_testing
