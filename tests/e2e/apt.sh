#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# apt against an https repository, as an ordinary user with folders of its own: update and download work, and a refused repository says why.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/packages.sh"
need apt-get apt-ftparchive dpkg-deb
origins_up

repo=$TMP/www/apt.test
make_apt
policy '"allow": "READ https://apt.test/**"'

root=$TMP/apt
mkdir -p "$root"/{state/lists/partial,cache/archives/partial,etc/trusted.gpg.d,etc/preferences.d,log}
touch "$root/state/status"
echo "deb [trusted=yes] https://apt.test stable main" >"$root/etc/sources.list"
chmod -R a+rwX "$root"
conf=(-o Dir::State="$root/state" -o Dir::State::status="$root/state/status" -o Dir::Cache="$root/cache" -o Dir::Etc="$root/etc" -o Dir::Log="$root/log"
	-o Dir::Etc::sourcelist="$root/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=root -o Acquire::Languages=none
	-o Acquire::Retries=0 -o Acquire::http::Proxy=false -o Acquire::https::Proxy=false -o APT::Get::List-Cleanup=0 -o Dpkg::Use-Pty=0)
[ -n "$EGRET_DIRECT" ] || JOB_OPTS=(--user nobody)
t "apt-get update" job apt-get "${conf[@]}" -qq update
like "$(job apt-cache "${conf[@]}" policy egret-hello 2>&1)" 'Candidate: 1\.0' "the package is known"
t "apt-get download" job bash -c 'cd "$0" && exec apt-get "$@"' "$root" "${conf[@]}" -qq download egret-hello
is "$(sha "$root/egret-hello_1.0_all.deb")" "$(sha "$repo/pool/egret-hello_1.0_all.deb")" "the package is the same bytes"
if enforced; then
	echo "deb [trusted=yes] https://evil.test stable main" >"$root/etc/sources.list"
	like "$(job apt-get "${conf[@]}" update 2>&1)" '403 +Blocked by egret: no rule allows GET evil\.test' "apt prints the reason phrase"
fi
done_testing
