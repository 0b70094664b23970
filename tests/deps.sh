#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does make see every change? As if each header had been written to, make must compile again each file that names it; without a change it has
# nothing to do; an archive that is gone, or whose folder has one source more or less, is made again. Compiles nothing: asks `make -n`. Called by
# tests/run lint when BUILD is built. TAP. DEPS_ALL=1 asks about each header alone (a minute), else about all at once.
. "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1
need make git
git rev-parse --git-dir >/dev/null 2>&1 || skip_all "this is no checkout"
[ -e "$BUILD/lib/libproxy.a" ] && [ -e "$BUILD/tests/kernel/attach" ] || skip_all "nothing is built"
would() { make -n --no-print-directory BUILD="$BUILD" "$@" programs test-build 2>&1; }

sum=$(would)
# What is stale already says nothing of the rest.
if grep -qE ' -o |rcsD' <<<"$sum"; then skip_all "the build is older than the sources: make build, make test-build"; fi

mapfile -t headers < <(git ls-files 'userspace/*.h' 'bpf/*.h' 'tests/*.h')
# Which source names which header, as a compiler finds it: "HEADER SOURCE" lines.
git ls-files 'userspace/*.c' 'tests/unit/*.c' 'tests/kernel/*.c' 'tests/chaos/*.c' 'tests/bypass/*.c' 'tests/misbehave/*.c' 'bpf/*.c' | xargs grep -oE '^#include "[^"]+"' |
	sed 's/:#include "/ /; s/"$//' | while read -r f h; do
	for at in "${f%/*}" userspace bpf tests; do
		[ ! -e "$at/$h" ] || { echo "$at/$h $f"; break; }
	done
done | awk '{ n = split($1, p, "/"); m = 0; for (i = 1; i <= n; i++) if (p[i] == "..") m--; else q[++m] = p[i]; s = q[1]; for (i = 2; i <= m; i++) s = s "/" q[i]; print s, $2 }' >"$TMP/names"
# make knows a file by how it was written: `cases/../case.h` is a name of its own.
find "$BUILD" -name '*.d' -exec grep -ohE '[^ ]+/\.\./[^ :]+\.h' {} + | sort -u | while read -r f; do echo "$(realpath -m --relative-to=. "$f") $f"; done >"$TMP/crooked"
missed() { # header...: sources that name one of them and would not be compiled
	printf '%s\n' "$@" >"$TMP/asked"
	# shellcheck disable=SC2046
	would $(sed 's/^/-W /' "$TMP/asked"; awk 'NR == FNR { a[$1] = 1; next } $1 in a { print "-W", $2 }' "$TMP/asked" "$TMP/crooked") |
		grep -oE '(userspace|tests|bpf)/[^ ]*\.c( |$)' | tr -d ' ' | sort -u >"$TMP/made"
	awk 'NR == FNR { a[$1] = 1; next } $1 in a { print $2 }' "$TMP/asked" "$TMP/names" | sort -u | comm -13 "$TMP/made" -
}
is "$(missed "${headers[@]}")" '' "each file that names a header is compiled when it changes"
if [ -n "${DEPS_ALL:-}" ]; then
	for h in "${headers[@]}"; do is "$(missed "$h")" '' "$h"; done
fi

mv "$BUILD/lib/libproxy.a" "$TMP/" && gone=$(would)
mv "$TMP/libproxy.a" "$BUILD/lib/"
like "$gone" 'rcsD .*/libproxy\.a' "an archive that is gone is made again"
cp -p "$BUILD/lib/libproxy.a.list" "$TMP/"
sed -i 's|[^ ]*/answer\.o||' "$BUILD/lib/libproxy.a.list" && added=$(would)
sed "s|\$| $BUILD/obj/proxy/left.o|" "$TMP/libproxy.a.list" >"$BUILD/lib/libproxy.a.list" && removed=$(would)
cp -p "$TMP/libproxy.a.list" "$BUILD/lib/"
like "$added" 'rcsD .*/libproxy\.a' "and one whose folder has a source more"
like "$removed" 'rcsD .*/libproxy\.a' "or one less"
done_testing
