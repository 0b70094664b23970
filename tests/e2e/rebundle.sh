#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 50 s
# not quick
# soak
# timeout: 300
# Bundles that are made anew inside a job: update-ca-certificates, dpkg-reconfigure and an upgrade of ca-certificates by apt, in a long container and in
# a Dockerfile's RUN. It works, clients trust the job's CA afterwards, and no image that is made of it (docker commit, docker build) carries the CA.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
NAMES='api.test apt.test'
. "$ROOT/tests/e2e/origins.sh"
NAMES='api.test apt.test'
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
need apt-ftparchive dpkg-deb
HOST_MANAGED=$(host_managed '"adopt": "sole"')
host_up
installed web '"allow": "READ https://api.test/**"' '"allow": "READ https://apt.test/**"'
kill -HUP "$DAEMON"

# An apt origin with a newer ca-certificates, which is the image's own with another version, so that its scripts are the real ones.
repo=$TMP/www/apt.test arch=$(dpkg --print-architecture)
tar=$(image_archive debian) || done_testing
mkdir -p "$TMP/deb/DEBIAN" "$repo/pool"
tar -xOf "$tar" layer.tar | tar -C "$TMP/deb" -x ./usr/sbin/update-ca-certificates ./usr/share/ca-certificates ./etc/ca-certificates ./var/lib/dpkg/info 2>/dev/null
for f in postinst config templates triggers; do mv "$TMP/deb/var/lib/dpkg/info/ca-certificates.$f" "$TMP/deb/DEBIAN/$f" 2>/dev/null; done
rm -r "$TMP/deb/var"
printf 'Package: ca-certificates\nVersion: 29991231\nArchitecture: all\nMaintainer: t <t@t.test>\nDepends: openssl, debconf\nDescription: roots\n' >"$TMP/deb/DEBIAN/control"
dpkg-deb --root-owner-group -b "$TMP/deb" "$repo/pool/ca-certificates_29991231_all.deb" >/dev/null || fail "a newer ca-certificates could be packed"
dist=dists/stable/main/binary-$arch
(cd "$repo" && mkdir -p "$dist" && apt-ftparchive packages pool >"$dist/Packages" && gzip -k "$dist/Packages" &&
	apt-ftparchive -o APT::FTPArchive::Release::Suite=stable -o APT::FTPArchive::Release::Components=main \
		-o APT::FTPArchive::Release::Architectures="$arch" release dists/stable >"$TMP/Release" && cp "$TMP/Release" dists/stable/Release)
echo 'deb [trusted=yes] https://apt.test stable main' >"$TMP/sources.list"
UPGRADE='apt-get -o Acquire::Retries=0 -o Acquire::Languages=none update && DEBIAN_FRONTEND=noninteractive apt-get install -y ca-certificates'

runc=$(runc_beside)
DOCKER_PATH=${runc%/*}:$PATH
host_docker
images_into docker debian || done_testing
D=egret-test/debian:1
JOB=$(host_register web)
like "$JOB" '^j-' "a job is registered" || done_testing

# ---- a container that stays, and its steps ----
docker run -d --name long $D sleep 600 >/dev/null
docker cp "$TMP/sources.list" long:/etc/apt/sources.list >/dev/null
has_ca='f=/etc/ssl/certs/ca-certificates.crt; tr -d "\n" <$f | grep -qF "$(grep -v CERT /run/egret/ca.pem | tr -d "\n")" && echo has || echo lacks'
step() { docker exec long "$@" 2>&1; }
is "$(step sh -c "$has_ca")" has "the bundle has the job's CA"
out=$(step update-ca-certificates); is $? 0 "update-ca-certificates" || diag "$out"
out=$(step update-ca-certificates --fresh); is $? 0 "update-ca-certificates --fresh" || diag "$out"
is "$(step sh -c "$has_ca")" has "and the bundle has the CA again, by the anchor"
out=$(step sh -c "$UPGRADE"); is $? 0 "apt-get update and install of a newer ca-certificates" || diag "$(tail -n 12 <<<"$out")"
out=$(step env DEBIAN_FRONTEND=noninteractive dpkg-reconfigure ca-certificates); is $? 0 "dpkg-reconfigure" || diag "$out"
is "$(step curl -sS --max-time 20 $ALLOWED)" 'hello from api' "curl still trusts the job's CA"
is "$(step env -i curl -sS --max-time 20 $ALLOWED)" 'hello from api' "and without any variable"

# ---- images made of it ----
BODY=$(docker exec long grep -v CERT /run/egret/ca.pem | head -n 4 | tail -n 1)
carries() { # image: where its files hold the CA; what egret left in it
	docker create --name look "$1" true >/dev/null
	mkdir "$TMP/look"
	# What egret could have changed, and every name.
	docker export look | tee >(tar -C "$TMP/look" -x etc run usr/local 2>/dev/null; : >"$TMP/look/done") | tar -t | grep -i egret | grep -v '^usr/share/' | sed 's|^|left: /|; s|/$||'
	wait_for 20 "[ -e '$TMP/look/done' ]"
	docker rm look >/dev/null
	grep -rlF -- "$BODY" "$TMP/look" | sed "s|^$TMP/look||"
	(cd "$TMP/look" && find etc/ssl/certs -name '*egret*' -o -xtype l -lname '*egret*' | sed 's/^/link: /')
	rm -rf "$TMP/look"
}
docker run -d --name untouched $D sleep 600 >/dev/null
docker commit untouched committed:0 >/dev/null
docker commit long committed:1 >/dev/null
is "$(carries committed:0)" "left: /run/egret" "docker commit of a running container: an empty folder stays"
is "$(carries committed:1)" "left: /run/egret" "and of one whose bundle was made anew"
is "$(docker exec untouched sh -c "$has_ca") $(step sh -c "$has_ca")" "has has" "the containers go on with the CA"
is "$(docker exec untouched env -i curl -sS --max-time 20 $ALLOWED 2>&1)" 'hello from api' "and with curl"
docker stop -t 0 long untouched >/dev/null
docker commit untouched committed:2 >/dev/null
docker commit long committed:3 >/dev/null
is "$(carries committed:2)" "" "docker commit of a stopped container: nothing stays"
is "$(carries committed:3)" "" "and of one whose bundle was made anew"
docker start long >/dev/null
is "$(step sh -c "$has_ca")" has "started again it has the CA again"
docker rm -f long untouched >/dev/null

# ---- RUN ----
ctx=$TMP/ctx
mkdir -p "$ctx" && cp "$TMP/sources.list" "$ctx/"
for kit in 0 1; do
	name=$([ $kit = 0 ] && echo "the classic builder" || echo BuildKit)
	build() { timeout 150 nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" env DOCKER_BUILDKIT=$kit "$DOCKER_BIN" -H "unix://$DOCKER_SOCK" build -t built:$kit --no-cache $([ $kit = 0 ] || echo --progress=plain) "$ctx" 2>&1; }
	printf 'FROM %s\nRUN true\n' $D >"$ctx/Dockerfile"
	out=$(build); is $? 0 "$name: a step that does nothing" || diag "$(tail -n 5 <<<"$out")"
	is "$(carries built:$kit)" "" "$name: nothing of egret's is in the image"
	is "$(docker run --rm --runtime runc built:$kit sha256sum /etc/ssl/certs/ca-certificates.crt)" "$(docker run --rm --runtime runc $D sha256sum /etc/ssl/certs/ca-certificates.crt)" "$name: and its bundle is the base's"
	cat >"$ctx/Dockerfile" <<-DOCKERFILE
		FROM $D
		COPY sources.list /etc/apt/sources.list
		RUN $UPGRADE && curl -sS --max-time 20 $ALLOWED && env -i curl -sS --max-time 20 $ALLOWED
		RUN rm -rf /etc/ssl/certs /usr/local/share/ca-certificates
		RUN mkdir /etc/ssl/certs && update-ca-certificates --fresh && env -i curl -sS --max-time 20 $ALLOWED
	DOCKERFILE
	out=$(build); is $? 0 "$name: apt-get install of a newer ca-certificates; then a bundle where none was; and curl" || diag "$(tail -n 20 <<<"$out")"
	is "$(carries built:$kit)" "" "$name: nothing of egret's is in the image"
	is "$(docker run --rm --runtime runc built:$kit sh -c 'grep -c BEGIN /etc/ssl/certs/ca-certificates.crt; ls -d /usr/local/share/ca-certificates /etc/ssl/certs')" \
		"$(docker run --rm --runtime runc $D sh -c 'grep -c BEGIN /etc/ssl/certs/ca-certificates.crt; ls -d /usr/local/share/ca-certificates /etc/ssl/certs')" "$name: its bundle has as many roots as the base's"
done
docker_down >/dev/null
daemon_stop
is $? 0 "egretd ends cleanly"
done_testing
