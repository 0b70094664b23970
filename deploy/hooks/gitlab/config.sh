#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GitLab's custom executor, config_exec: folders of its own for each job, under the one that config.toml gives. See runner-hosts.md.
set -euo pipefail
builds=${1:?config_args: the folder for builds} job=${CUSTOM_ENV_CI_JOB_ID:?}
case $job in *[!0-9]*) echo "egret: CI_JOB_ID is no number" >&2 && exit "${SYSTEM_FAILURE_EXIT_CODE:-2}" ;; esac
printf '{ "builds_dir": "%s", "cache_dir": "%s", "builds_dir_is_shared": false, "driver": { "name": "egret" } }\n' \
	"$builds/$job/builds" "$builds/cache"
