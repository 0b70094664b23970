# SPDX-License-Identifier: Apache-2.0
# Debian's kernels for tests/vm/run.sh: fetched once with apt, by lists of its own (neither /etc/apt nor what is installed changes),
# unpacked into build/vm/cache with the modules that the tests need, in the order in which they load. Remove the cache to get newer ones.
# Sourced; needs lib.sh.

CACHE=$ROOT/build/vm/cache
MIRROR=http://deb.debian.org
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
# What egret uses and what the ways round want to try; a kernel that has one built in, or does not have it, is no matter.
MODULES='bridge veth sch_ingress cls_bpf act_gact inet_diag tcp_diag udp_diag raw_diag sctp dccp_ipv4 dccp_ipv6 smc vsock vsock_loopback tun overlay
	nf_tables nft_counter xt_tcpudp macvlan ipvlan udp_tunnel l2tp_ip l2tp_ip6 rxrpc pppoe llc2 tipc rds'

apt_own() { # command...: apt with state, lists and cache of its own
	local tool=$1 own=$TMP/apt
	shift
	"$tool" -q -o APT::Architecture=amd64 -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=20 \
		-o Acquire::Check-Valid-Until=false -o Dir::Etc::sourcelist="$own/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$own" \
		-o Dir::State::status="$own/status" -o Dir::Cache="$own/cache" "$@"
}
apt_ready() {
	[ ! -e "$TMP/apt/ready" ] || return 0
	[ -r $KEYRING ] || { echo "no $KEYRING to check Debian's packages with"; return 1; }
	mkdir -p "$TMP/apt/lists/partial" "$TMP/apt/cache/archives/partial" || return 1
	: >"$TMP/apt/status"
	local line
	for line in 'debian bookworm' 'debian-security bookworm-security' 'debian bookworm-backports' 'debian trixie-backports' 'debian sid'; do
		echo "deb [signed-by=$KEYRING] $MIRROR/${line% *} ${line#* } main"
	done >"$TMP/apt/sources.list"
	timeout 90 bash -c "$(declare -f apt_own); TMP='$TMP'; apt_own apt-get -o APT::Update::Error-Mode=any update" >"$TMP/apt/log" 2>&1 ||
		{ echo "Debian's package lists cannot be fetched: $(grep -m 1 '^[EW]:' "$TMP/apt/log")"; return 1; }
	touch "$TMP/apt/ready"
}
# The packages of a series: one that has all, or (since 7.x) the kernel and its modules apart. `newest`: the highest that is there.
kernel_packages() { # series
	local v
	if [ "$1" = newest ]; then
		v=$(apt_own apt-cache pkgnames linux-modules- | sed -n 's/^linux-modules-\([0-9][^ ]*-cloud-amd64\)$/\1/p' | sort -V | tail -n 1)
		[ -n "$v" ] || return 1
		apt_own apt-cache pkgnames "linux-binary-$v" | grep -qx "linux-binary-$v" && echo "linux-binary-$v linux-modules-$v" ||
			echo "linux-binary-unsigned-$v linux-modules-$v"
	else
		apt_own apt-cache pkgnames "linux-image-$1." | grep -E "^linux-image-$1\.[0-9.]+[-0-9a-z+.]*cloud-amd64\$" | sort -V | tail -n 1
	fi
}
# Puts vmlinuz and the modules into the cache; says why not.
kernel_get() { # series
	local to=$CACHE/$1 tmp=$TMP/kernel names version dir path m n=100
	[ ! -s "$to/vmlinuz" ] || [ ! -e "$to/complete" ] || return 0
	apt_ready || return 1
	names=$(kernel_packages "$1")
	[ -n "$names" ] || { echo "Debian has no Linux $1 now"; return 1; }
	rm -rf "$tmp" && mkdir -p "$tmp/deb" "$tmp/out" "$tmp/tree"
	# shellcheck disable=SC2086
	(cd "$tmp/deb" && apt_own apt-get download $names) >"$TMP/apt/log" 2>&1 || { echo "$names cannot be fetched: $(grep -m 1 '^E:' "$TMP/apt/log")"; return 1; }
	for m in "$tmp"/deb/*.deb; do dpkg-deb -x "$m" "$tmp/tree" || return 1; done
	cp "$(find "$tmp/tree" -type f -name 'vmlinuz*' | head -n 1)" "$tmp/out/vmlinuz" || { echo "$names has no kernel"; return 1; }
	dir=$(find "$tmp/tree" -type d -path '*/lib/modules/*' -prune | head -n 1)
	version=${dir##*/}
	[ "$dir" = "$tmp/tree/lib/modules/$version" ] || { mkdir -p "$tmp/tree/lib/modules" && mv "$dir" "$tmp/tree/lib/modules/$version"; } || return 1
	depmod -b "$tmp/tree" "$version" 2>/dev/null || { echo "depmod cannot read the modules of $version"; return 1; }
	# shellcheck disable=SC2086
	for m in $MODULES; do modprobe -d "$tmp/tree" -S "$version" --show-depends "$m" 2>/dev/null; done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$tmp/list"
	while read -r path; do
		n=$((n + 1))
		m=${path##*/}
		case $path in
		*.xz) xz -dc "$path" >"$tmp/out/$n-${m%.xz}" ;;
		*.zst) zstd -qdc "$path" >"$tmp/out/$n-${m%.zst}" ;;
		*) cp "$path" "$tmp/out/$n-$m" ;;
		esac || return 1
	done <"$tmp/list"
	ls "$tmp/out/"*-veth.ko >/dev/null 2>&1 || { echo "$names has no module veth"; return 1; }
	touch "$tmp/out/complete"
	mkdir -p "$CACHE" && rm -rf "$to" && mv "$tmp/out" "$to" || return 1
	rm -rf "$tmp"
}
