#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GitLab's custom executor, cleanup_exec: the job ends, and what its stages left running is killed; then its folder goes. See runner-hosts.md.
. "${0%/*}/common.sh"
status=0
if [ -n "$job" ] && "${as[@]}" "$egret" job show "$job" >/dev/null 2>&1; then
	"${as[@]}" "$egret" job end "$job" >/dev/null || status=1
fi
rm -rf --one-file-system -- "${home:?}" "${state:?}"
exit $status
