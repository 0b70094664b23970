#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GitLab's custom executor, config_exec: folders of its own for each job, below the one that config.toml gives. See runner-hosts.md.
. "${0%/*}/common.sh"
printf '{ "builds_dir": "%s", "cache_dir": "%s", "builds_dir_is_shared": false, "driver": { "name": "egret" } }\n' "$home/builds" "$builds/cache"
