#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GitLab's custom executor, prepare_exec: the job becomes one of egret, before any stage of it, with the facts that the server sent. Its worker is a
# process that only sleeps: stages join its cgroup one after another, cleanup.sh ends it. See runner-hosts.md.
. "${0%/*}/common.sh"
install -d -m 755 "$builds/.egret"
install -d -m 700 -o "$user" "$home"
[ -d "$builds/cache" ] || install -d -m 700 -o "$user" "$builds/cache"
# The runner's file is root's alone; the user's copy goes when it is read.
install -m 400 -o "$user" "${JOB_RESPONSE_FILE:?}" "$home/response.json"
# Root's, one line of options: --keep, --container-label, --service.
options=()
[ ! -r /etc/egret/hooks/gitlab ] || read -ra options </etc/egret/hooks/gitlab || true
# Nothing that the runner waits for is left open in it.
# shellcheck disable=SC2016
exec 3< <(JOB_RESPONSE_FILE=$home/response.json exec setsid "${as[@]}" bash -c '
	egret=$1 home=$2
	shift 2
	job=$("$egret" job register --provider gitlab --worker $$ "$@" --trust "$home/trust" --env "$home/env" 3>&-) || exit
	echo "$job"
	exec sleep infinity </dev/null >/dev/null 2>&1' - "$egret" "$home" "${options[@]}" </dev/null)
read -r job <&3 || true
rm -f "$home/response.json"
case $job in j-*) ;; *) fail "this job could not be registered, so it is not run; the lines above say why" ;; esac
echo "$job" >"$state"
echo "egret: this job is $job; what is refused is shown after its script"
