#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GitLab's custom executor, prepare_exec: no job without an egretd that answers. See runner-hosts.md.
set -euo pipefail
@PREFIX@/bin/egret status >/dev/null || exit "${SYSTEM_FAILURE_EXIT_CODE:-2}"
