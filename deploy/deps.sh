#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that a part of egret needs, and only those that are missing. Called by the Makefile and the demo.
#
#   deploy/deps.sh build|demo|test|deb|image ...
#
# Nothing missing: says nothing, asks no network, ends at once. A word per package: `a|b` is any of several (the first is
# installed), `a@cmd` is also there when the command `cmd` (or that path) exists.
set -euo pipefail

build_packages='gcc make pkg-config libc6-dev linux-libc-dev clang llvm bpftool@/usr/sbin/bpftool|linux-tools-common@/usr/sbin/bpftool
	libbpf-dev libelf-dev zlib1g-dev libnl-3-dev libnl-route-3-dev libcjson-dev libllhttp-dev|node-llhttp libc-ares-dev libssl-dev
	libpsl-dev libidn2-dev libseccomp-dev libcap-ng-dev libsystemd-dev libcurl4-openssl-dev libcjose-dev libnghttp2-dev'
demo_packages='nginx@nginx curl@curl iproute2@ip openssl@openssl util-linux@nsenter ca-certificates gcc@cc'
deb_packages='debhelper@dh po-debconf@po2debconf dpkg-dev@dpkg-buildpackage fakeroot@fakeroot lintian@lintian'
image_packages='jq@jq'
test_packages="$demo_packages"' libcmocka-dev clang-format@clang-format cppcheck@cppcheck nftables@nft jq@jq socat@socat
	wget@wget git@git fcgiwrap apt-utils@apt-ftparchive python3-pip@pip3 python3-requests|python3-pip nodejs@node npm@npm
	default-jdk-headless@javac openjdk-17-jdk-headless@javac wrk@wrk nghttp2-client@h2load libclang-rt-dev|libclang-rt-14-dev|libclang-rt-18-dev|clang
	qemu-system-x86@qemu-system-x86_64 busybox-static cpio@cpio xz-utils@xz zstd@zstd kmod@modprobe
	docker.io@dockerd docker-cli@docker|docker.io containerd@containerd runc@runc crun@crun podman@podman netavark iptables@iptables
	redis-server@redis-server postgresql openssh-server@/usr/sbin/sshd debootstrap@debootstrap docker-registry@docker-registry mandoc@mandoc
	skopeo@skopeo twine@twine gh@gh git-lfs@git-lfs maven@mvn python3-grpcio python3-httpx python3-aiohttp python3-hpack python3-websockets apache2-bin@apache2 haproxy@haproxy'

die() {
	echo "deps: $*" >&2
	exit 1
}

[ $# -gt 0 ] || die "say what for: build, demo, test, deb or image"
words=
for part; do
	case $part in
	build) words+=" $build_packages" ;;
	demo) words+=" $demo_packages" ;;
	test) words+=" $test_packages $deb_packages debootstrap@debootstrap python3-yaml libcap2-bin@capsh" ;;
	deb) words+=" $deb_packages" ;;
	image) words+=" $image_packages" ;;
	*) die "nothing is called '$part': it is build, demo, test, deb or image" ;;
	esac
done

# What a distribution without dpkg needs is said, not guessed.
if ! command -v dpkg-query >/dev/null; then
	missing=
	for tool in gcc clang bpftool; do command -v "$tool" >/dev/null || missing+=" $tool"; done
	[ -z "$missing" ] || die "this is no Debian or Ubuntu and lacks$missing: install what deploy/deps.sh lists under its own names"
	exit 0
fi

declare -A have=()
plain=$(tr ' |\t' '\n\n\n' <<<"$words" | sed 's/@.*//' | sort -u | sed '/^$/d')
# dpkg-query fails when one name is unknown, and still prints the others.
while read -r name status; do
	[ "$status" = installed ] && have[$name]=1
done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $plain 2>/dev/null || true)
# From Debian 13 on node-llhttp is there without the sources that are wanted of it.
[ -e /usr/share/llhttp/llhttp.c ] || unset 'have[node-llhttp]'

want=()
for word in $words; do
	IFS='|' read -ra choices <<<"$word"
	found=
	for choice in "${choices[@]}"; do
		name=${choice%@*}
		if [ -n "${have[$name]:-}" ] || { [ "$name" != "$choice" ] && command -v "${choice#*@}" >/dev/null; }; then
			found=1
			break
		fi
	done
	[ -n "$found" ] || want+=("${word}")
done
[ ${#want[@]} -gt 0 ] || exit 0

names() {
	local word
	for word in "${want[@]}"; do
		word=${word%%|*}
		echo -n "${word%@*} "
	done
}
if [ "$(id -u)" != 0 ]; then
	die "these packages are missing and only root installs: $(names)(sudo deploy/deps.sh $*)"
fi

. /etc/os-release
case "${ID:-} ${VERSION_ID:-}" in
"debian "* | "ubuntu "*) ;;
*) echo "deps: tried on Debian 12 and 13 and Ubuntu 24.04; this is ${PRETTY_NAME:-unknown}" >&2 ;;
esac

export DEBIAN_FRONTEND=noninteractive
echo "deps: missing: $(names)" >&2
echo "deps: apt-get update" >&2
apt-get -qq -o Dpkg::Use-Pty=0 update >&2 || echo "deps: apt-get update failed; trying with the lists at hand" >&2

# The name of each that this release knows.
install=()
for word in "${want[@]}"; do
	IFS='|' read -ra choices <<<"$word"
	pick=
	for choice in "${choices[@]}"; do
		name=${choice%@*}
		candidate=$(apt-cache policy "$name" 2>/dev/null | sed -n 's/^  Candidate: //p')
		if [ -n "$candidate" ] && [ "$candidate" != '(none)' ]; then
			pick=$name
			break
		fi
	done
	if [ -z "$pick" ]; then
		case $word in
		# Of two JDKs one is enough.
		default-jdk-headless* | openjdk-*) continue ;;
		esac
		die "no package ${word//|/ or } in ${PRETTY_NAME:-this release}: are its sources (on Ubuntu: universe) enabled?"
	fi
	# One JDK is enough: the default one is asked for first.
	case " ${install[*]} $pick" in *default-jdk-headless*openjdk-*) continue ;; esac
	install+=("$pick")
	# Ubuntu's bpftool is a wrapper that needs one kernel's tools.
	[ "$pick" != linux-tools-common ] || install+=(linux-tools-generic)
done

# Web servers that come as tools must not start as services: neither now nor at the next boot.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi
echo "deps: apt-get install ${install[*]}" >&2
apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${install[@]}" >&2 ||
	die "apt-get could not install ${install[*]}: see its words above"
for name in nginx haproxy fcgiwrap docker.io containerd redis-server postgresql openssh-server docker-registry; do
	case " ${install[*]} " in
	*" $name "*)
		if [ -d /run/systemd/system ]; then
			name=${name/openssh-server/ssh}
			systemctl -q disable --now "${name%.io}.service" 2>/dev/null || true
			case $name in fcgiwrap | docker.io | ssh) systemctl -q disable --now "${name%.io}.socket" 2>/dev/null || true ;; esac
			echo "deps: $name is here as a tool; its service stays off" >&2
		fi
		;;
	esac
done
