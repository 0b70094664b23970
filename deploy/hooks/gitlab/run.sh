#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GitLab's custom executor, run_exec SCRIPT STAGE: each stage becomes a job of egret with the facts that the server sent, and ends with what
# it left running. run_args may name the user that stages run as. See runner-hosts.md.
set -euo pipefail
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
egret=@PREFIX@/bin/egret as=()
if [ $# = 3 ]; then
	as=(setpriv "--reuid=$1" "--regid=$(id -g "$1")" --init-groups --no-new-privs)
	shift
fi
script=${1:?} stage=${2:?}
# Root's, one line of options: --keep, --container-label, --service.
options=()
[ ! -r /etc/egret/hooks/gitlab ] || read -ra options </etc/egret/hooks/gitlab || true
folder=$(mktemp -d "${TMPDIR:-/tmp}/egret-trust.XXXXXX")
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
if ! job=$($egret job register --provider gitlab --worker $$ "${options[@]}" --trust "$folder" --env "$folder/env"); then
	echo "egret: this stage could not be registered, so it is not run" >&2
	exit "${SYSTEM_FAILURE_EXIT_CODE:-2}"
fi
status=0
(
	while IFS= read -r line; do export "${line?}"; done <"$folder/env"
	exec "${as[@]}" bash "$script"
) || status=${BUILD_FAILURE_EXIT_CODE:-1}
case $stage in
build_script | step_* | after_script) $egret summary --job "$job" || true ;;
esac
$egret job end "$job" || exit "${SYSTEM_FAILURE_EXIT_CODE:-2}"
exit "$status"
