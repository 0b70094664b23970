#!/bin/bash -p
# SPDX-License-Identifier: Apache-2.0
# GitHub Actions, ACTIONS_RUNNER_HOOK_JOB_STARTED: the job that begins becomes a job of egret, before its first step. Fails the job when
# that fails: without it the job would have no network, or the runner's own. Set by root's drop-in; see runner-hosts.md.
set -euo pipefail
PATH=/usr/sbin:/usr/bin:/sbin:/bin
# Root's, one line of options: --keep, --containers-only, --container-label, --service.
options=()
[ ! -r /etc/egret/hooks/github ] || read -ra options </etc/egret/hooks/github || true
if ! job=$(@PREFIX@/bin/egret job register --provider github --worker github "${options[@]}" \
	--trust "${RUNNER_TEMP:?}/egret" --env "${GITHUB_ENV:?}"); then
	echo "::error title=egret::This job could not be registered with egret, so it is not run; the lines above say why"
	exit 1
fi
echo "egret: this job is $job; what is refused is shown at its end"
