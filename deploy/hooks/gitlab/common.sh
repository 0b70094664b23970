#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the four hooks of GitLab's custom executor share; sourced, with BUILDS USER of config.toml as $1 and $2. Nothing here comes from CUSTOM_ENV_*:
# a job's own `variables:` come before GitLab's there. What names the job between the hooks is the folder of the job response, the runner's own.
set -euo pipefail
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022
egret=@PREFIX@/bin/egret
fail() {
	echo "egret: $*" >&2
	exit "${SYSTEM_FAILURE_EXIT_CODE:-2}"
}
builds=${1:-} user=${2:-}
[ -d "$builds" ] && id -u "$user" >/dev/null 2>&1 || fail "config.toml must give each hook the folder for builds and the user that stages run as"
key=${JOB_RESPONSE_FILE:-} key=${key%/*} key=${key##*/}
case $key in '' | .* | *[!A-Za-z0-9_.-]*) fail "JOB_RESPONSE_FILE is not as GitLab's runner sets it: $key" ;; esac
home=$builds/$key             # the user's
state=$builds/.egret/$key     # root's: the job of egret
as=()
[ "$(id -u)" = "$(id -u "$user")" ] || as=(setpriv "--reuid=$(id -u "$user")" "--regid=$(id -g "$user")" --init-groups --no-new-privs)
job=
[ ! -r "$state" ] || read -r job <"$state" || true
case $job in *[!j0-9a-f-]*) fail "$state does not name a job" ;; esac
