#!/bin/bash -p
# SPDX-License-Identifier: Apache-2.0
# GitHub Actions, ACTIONS_RUNNER_HOOK_JOB_COMPLETED: what was refused, in the log and in the job's summary; then the job ends, and what
# it left running is killed. Runs in the job it ends, and believes nothing but egretd. Set by root's drop-in; see runner-hosts.md.
set -euo pipefail
PATH=/usr/sbin:/usr/bin:/sbin:/bin
egret=@PREFIX@/bin/egret
job=$($egret job show --json | sed -n 's/^{"id":"\(j-[0-9a-f]*\)".*/\1/p') || true
if [ -z "$job" ]; then
	echo "egret: no job of egret to end here"
	exit 0
fi
$egret summary --job "$job" --format github || true
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then $egret summary --job "$job" --format markdown >>"$GITHUB_STEP_SUMMARY" || true; fi
$egret job end "$job"
