#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make deb`: the Debian package of this tree, built in a copy of it below build/deb, and looked at by lintian. Needs no root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=$(cat VERSION)
grep -q "^egret ($version)" deploy/debian/changelog || { echo "deb: deploy/debian/changelog does not begin with version $version" >&2; exit 1; }
out=build/deb src=build/deb/egret-$version
rm -rf "$out"
mkdir -p "$src"
if git rev-parse --git-dir >/dev/null 2>&1; then git ls-files -z; else find . -path ./build -prune -o -path ./.git -prune -o -type f -printf '%P\0'; fi |
	tar --null --files-from=- --ignore-failed-read -cf - | tar -C "$src" -xf -
cp -R deploy/debian "$src/debian"
rm "$src/debian/build.sh"
(cd "$src" && dpkg-buildpackage -us -uc -b -j"$(nproc)") >"$out/build.log" 2>&1 || { tail -n 30 "$out/build.log" >&2; exit 1; }
rm -rf "$src"
# lintian leaves files behind in its temporary folder.
mkdir "$out/tmp"
TMPDIR=$PWD/$out/tmp lintian --allow-root --fail-on error,warning "$out"/egret_"$version"_*.deb
rm -rf "$out/tmp"
ls "$out"/egret_"$version"_*.deb
