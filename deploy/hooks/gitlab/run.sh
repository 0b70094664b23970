#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GitLab's custom executor, run_exec: BUILDS USER SCRIPT STAGE. The stage enters the cgroup of its job, then becomes USER, then runs: none of it is
# outside the job. What it leaves running lives until cleanup.sh. See runner-hosts.md.
. "${0%/*}/common.sh"
script=${3:?} stage=${4:?}
[ -n "$job" ] || fail "no job of egret was made for this job: is prepare_exec set?"
cgroup=$("${as[@]}" "$egret" job show "$job" --json | sed -n 's/.*"cgroup":"\([^"]*\)".*/\1/p') || true
[ -n "$cgroup" ] || fail "job $job is over: its worker was killed, or somebody ended it"
status=0
# The script is root's to read; the variables are read by whom they are for.
# shellcheck disable=SC2016
(
	echo "$BASHPID" >"$cgroup/cgroup.procs" || exit "${SYSTEM_FAILURE_EXIT_CODE:-2}"
	exec "${as[@]}" bash -c '
		while IFS= read -r line; do export "${line?}"; done <"$1"
		cd "$2" && exec bash' - "$home/env" "$home" <"$script"
) || status=$?
case $stage in
build_script | step_* | after_script) "${as[@]}" "$egret" summary --job "$job" || true ;;
esac
[ "$status" = 0 ] || exit "${BUILD_FAILURE_EXIT_CODE:-1}"
