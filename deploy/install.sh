#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Puts a build where a package would: install.sh DESTDIR PREFIX BUILD. Starts nothing, changes no configuration: installing egret alone
# changes nothing on a host.
set -euo pipefail
[ $# = 3 ] || { echo "install: usage: install.sh DESTDIR PREFIX BUILD" >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dest=$1 prefix=$2 build=$3
root=$dest$prefix

put() { # mode, folder below PREFIX, files...
	local mode=$1 to=$root/$2
	shift 2
	[ $# -gt 0 ] || return 0
	install -d -m 755 "$to"
	install -m "$mode" "$@" "$to/"
}
shopt -s nullglob
for bin in egret egretd egret-proxy egret-broker egret-audit egret-compile egret-init; do
	[ -x "$build/bin/$bin" ] || { echo "install: $build/bin/$bin is not there: run \"make build\"" >&2; exit 1; }
done
put 755 bin "$build/bin/egret"
put 755 sbin "$build/bin/egretd"
put 755 libexec/egret "$build"/bin/egret-{proxy,broker,audit,compile,init}
for page in docs/man/*.[158]; do put 644 "share/man/man${page##*.}" "$page"; done
for page in docs/man/*.[57]; do put 644 "share/man/man${page##*.}" "$page"; done
put 644 share/egret policies/*.schema.json
policies=()
for f in policies/*.json; do case $f in *.schema.json | *.test.json) ;; *) policies+=("$f") ;; esac; done
put 644 share/egret/policies "${policies[@]}"
put 644 share/doc/egret README.md LICENSE docs/architecture.md docs/threat-model.md
put 644 share/bash-completion/completions deploy/completion/egret
install -d -m 755 "$root/lib/systemd/system"
sed "s|@PREFIX@|$prefix|g" deploy/systemd/egretd.service >"$root/lib/systemd/system/egretd.service"
chmod 644 "$root/lib/systemd/system/egretd.service"
echo "installed below $root; nothing was started"
