#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# oras, which Debian has from 13 on, for tests/e2e/registry.sh: that package, fetched from where this host has its own, with lists of its own
# (nothing that is installed changes, apt checks the signatures), and unpacked. Called by `make client-build`.
#
#   tests/oras.sh DIR
set -euo pipefail
to=$1
mkdir -p "$to/usr/bin"
if own=$(type -P oras); then
	ln -s "$own" "$to/usr/bin/oras"
	exit
fi
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Component: main' | sed -n 1p)
[ -n "$mirror" ] || { echo "oras: apt knows no mirror of Debian; run apt-get update" >&2; exit 1; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/lists/partial" "$tmp/cache/archives/partial"
: >"$tmp/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$tmp/sources.list"
apt=(apt-get -qq -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::http::Timeout=20 -o Dir::Etc::sourcelist="$tmp/sources.list"
	-o Dir::Etc::sourceparts=- -o Dir::State="$tmp" -o Dir::State::status="$tmp/status" -o Dir::Cache="$tmp/cache")
"${apt[@]}" -o APT::Update::Error-Mode=any update
(cd "$tmp" && "${apt[@]}" download oras)
dpkg-deb -x "$tmp"/oras_*.deb "$to"
