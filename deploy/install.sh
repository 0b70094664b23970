#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Puts a build where a package would, or takes it away again. Starts nothing, changes no configuration: installing egret alone changes
# nothing on a host.
#
#   install.sh install|uninstall DESTDIR PREFIX BUILD PROGRAM...
#
# One list of files serves both ways, so that nothing that was put is left.
set -euo pipefail
[ $# -ge 5 ] || { echo "install: usage: install.sh install|uninstall DESTDIR PREFIX BUILD PROGRAM..." >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."
what=$1 dest=$2 prefix=$3 build=$4
shift 4
root=$dest$prefix
case $what in install | uninstall) ;; *) echo "install: nothing is called $what" >&2; exit 2 ;; esac

folders=() # of our own: removed when they are empty
own() { folders+=("$root/$1"); }
put() { # mode, folder below PREFIX, files...
	local mode=$1 to=$root/$2 f
	shift 2
	[ $# -gt 0 ] || return 0
	if [ "$what" = uninstall ]; then
		for f; do rm -f "$to/${f##*/}"; done
		return
	fi
	install -d -m 755 "$to"
	install -m "$mode" "$@" "$to/"
}
fill() { # mode, folder, file with @PREFIX@, [name]
	local to=$root/$2/${4:-${3##*/}}
	if [ "$what" = uninstall ]; then
		rm -f "$to"
		return
	fi
	install -d -m 755 "${to%/*}"
	sed "s|@PREFIX@|$prefix|g" "$3" >"$to"
	chmod "$1" "$to"
}
shopt -s nullglob
if [ "$what" = install ]; then
	# Who may run jobs and who may read, without being root (egret.json(5), groups): empty, and kept when egret goes.
	if [ -z "$dest" ]; then
		for group in egret egret-audit; do getent group "$group" >/dev/null || groupadd --system "$group"; done
	fi
	for bin; do [ -x "$build/bin/$bin" ] || { echo "install: $build/bin/$bin is not there: run \"make build\"" >&2; exit 1; }; done
	grep -qF "$prefix/libexec/egret" "$build/bin/egretd" || {
		echo "install: this build is for another prefix than $prefix: make clean; make PREFIX=$prefix build install" >&2
		exit 1
	}
fi
for bin; do
	case $bin in
	egret) put 755 bin "$build/bin/$bin" ;;
	egretd) put 755 sbin "$build/bin/$bin" ;;
	*) put 755 libexec/egret "$build/bin/$bin" ;;
	esac
done
fill 755 sbin deploy/egret-setup
own libexec/egret
own libexec/egret/hooks
for ci in deploy/hooks/*/; do
	ci=${ci%/} ci=${ci##*/}
	for f in "deploy/hooks/$ci"/*; do
		if [ -x "$f" ]; then fill 755 "libexec/egret/hooks/$ci" "$f"; else fill 644 "libexec/egret/hooks/$ci" "$f"; fi
	done
	own "libexec/egret/hooks/$ci"
done
for page in docs/man/*.[15678]; do put 644 "share/man/man${page##*.}" "$page"; done
own share/egret
put 644 share/egret policies/*.schema.json
policies=()
for f in policies/*.json; do case $f in *.schema.json | *.test.json) ;; *) policies+=("$f") ;; esac; done
own share/egret/policies
put 644 share/egret/policies "${policies[@]}"
own share/egret/systemd
for f in deploy/systemd/dropin/*.conf; do fill 644 share/egret/systemd "$f"; done
# For podman and CRI-O: offered here, enabled by whoever copies it to their hooks.d.
for f in deploy/oci/*.json; do
	own share/egret/hooks.d
	fill 644 share/egret/hooks.d "$f"
done
own share/doc/egret
put 644 share/doc/egret README.md LICENSE docs/*.md
put 644 share/bash-completion/completions deploy/completion/egret
for f in deploy/systemd/*.service deploy/systemd/*.slice; do fill 644 lib/systemd/system "$f"; done

if [ "$what" = install ]; then
	echo "installed below $root; nothing was started"
	exit 0
fi
for ((i = ${#folders[@]} - 1; i >= 0; i--)); do rmdir "${folders[i]}" 2>/dev/null || true; done
echo "removed from $root"
for kept in /etc/egret /var/lib/egret /run/egret; do [ ! -e "$dest$kept" ] || echo "kept: $dest$kept"; done
[ -n "$dest" ] || [ ! -e /run/egret/lock ] || echo "an egretd may still run: systemctl stop egretd, or kill it"
