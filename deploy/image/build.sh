#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make image`: egret as a container image, of what this machine has: no registry and no container engine is asked. The file is an OCI
# image layout with docker's manifest.json beside it, so that `docker load` and `ctr image import` both take it. Twice the same input
# gives twice the same bytes.
#
#   build.sh BUILD PREFIX PROGRAM...      -> build/image/egret-VERSION.tar
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=$1 prefix=$2
shift 2
version=$(cat VERSION)
arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
out=build/image root=build/image/root blobs=build/image/layout/blobs/sha256
# What egret-setup, the nodes' installer and the probes call.
tools='bash cat chmod cmp cp cut diff dirname env find grep head id install jq ln ls mkdir mktemp mv nsenter readlink rm rmdir sed sha256sum sleep sort stat sync tail test timeout tr wc xargs'

rm -rf "$out"
mkdir -p "$blobs" "$root"/{usr/bin,usr/sbin,usr/lib,usr/lib64,etc/ssl/certs,tmp,run,var/lib,proc,sys,dev}
for one in bin sbin lib lib64; do ln -s "usr/$one" "$root/$one"; done
chmod 1777 "$root/tmp"
deploy/install.sh install "$PWD/$root" "$prefix" "$build" "$@" >/dev/null
rm -rf "$root$prefix"/share/{man,bash-completion} "$root$prefix/lib/systemd"
install -m 755 deploy/kubernetes/node.sh "$root$prefix/libexec/egret/node.sh"
for one in $tools; do install -m 755 "$(type -P "$one")" "$root/usr/bin/$one"; done
ln -s bash "$root/usr/bin/sh"
install -m 755 "$build/static/egret-runc" "$root$prefix/libexec/egret/egret-runc"
strip --strip-unneeded "$root$prefix"/{bin/egret,sbin/egretd} "$root$prefix"/libexec/egret/egret-*
# Each library at the path by which the loader asked for it here.
find "$root/usr" -type f -perm -u+x -exec ldd {} \; 2>/dev/null | sed -nE 's/^[[:space:]]*([^ ]+ => )?(\/[^ ]+) \(0x.*/\2/p' | sort -u | while read -r lib; do
	mkdir -p "$root${lib%/*}"
	cp -L "$lib" "$root$lib"
done
install -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
printf 'PRETTY_NAME="egret %s"\nID=egret\nVERSION_ID=%s\n' "$version" "$version" >"$root/usr/lib/os-release"

flat() { tar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --format=gnu -cf - -C "$1" .; }
blob() { # file: its place by its sum, and its sum
	local sum
	sum=$(sha256sum <"$1" | cut -d' ' -f1)
	mv "$1" "$blobs/$sum"
	echo "$sum"
}
flat "$root" >"$out/layer.tar"
diff_id=$(sha256sum <"$out/layer.tar" | cut -d' ' -f1)
gzip -n -9 "$out/layer.tar"
layer_size=$(stat -c %s "$out/layer.tar.gz")
layer=$(blob "$out/layer.tar.gz")
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
jq -nc --arg created "$created" --arg arch "$arch" --arg diff "sha256:$diff_id" --arg version "$version" --arg prefix "$prefix" '{
	created: $created, architecture: $arch, os: "linux",
	config: { Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], Entrypoint: [$prefix + "/sbin/egretd"],
		Labels: { "org.opencontainers.image.title": "egret", "org.opencontainers.image.version": $version, "org.opencontainers.image.licenses": "Apache-2.0" } },
	rootfs: { type: "layers", diff_ids: [$diff] },
	history: [ { created: $created, created_by: "make image" } ] }' >"$out/config"
config_size=$(stat -c %s "$out/config")
config=$(blob "$out/config")
jq -nc --arg config "sha256:$config" --arg layer "sha256:$layer" --argjson cs "$config_size" --argjson ls "$layer_size" '{
	schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
	config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: $config, size: $cs },
	layers: [ { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: $layer, size: $ls } ] }' >"$out/manifest"
manifest_size=$(stat -c %s "$out/manifest")
manifest=$(blob "$out/manifest")
name=docker.io/library/egret:$version
jq -nc --arg digest "sha256:$manifest" --argjson size "$manifest_size" --arg name "$name" --arg version "$version" --arg arch "$arch" '{
	schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
	manifests: [ { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest, size: $size,
		annotations: { "io.containerd.image.name": $name, "org.opencontainers.image.ref.name": $version },
		platform: { architecture: $arch, os: "linux" } } ] }' >"$out/layout/index.json"
echo '{"imageLayoutVersion":"1.0.0"}' >"$out/layout/oci-layout"
jq -nc --arg config "blobs/sha256/$config" --arg layer "blobs/sha256/$layer" --arg tag "egret:$version" \
	'[ { Config: $config, RepoTags: [$tag], Layers: [$layer] } ]' >"$out/layout/manifest.json"
flat "$out/layout" >"$out/egret-$version.tar"
rm -rf "$out/layout"
echo "$out/egret-$version.tar: $(($(stat -c %s "$out/egret-$version.tar") >> 20)) MiB, manifest sha256:$manifest"
