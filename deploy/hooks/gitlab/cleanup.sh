#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GitLab's custom executor, cleanup_exec: the job's own folder. Its stages have ended their jobs of egret themselves, and what a killed one
# left ends with its worker. See runner-hosts.md.
set -euo pipefail
builds=${1:?cleanup_args: the folder for builds} job=${CUSTOM_ENV_CI_JOB_ID:?}
case $job in '' | *[!0-9]*) exit 0 ;; esac
rm -rf --one-file-system -- "${builds:?}/$job"
