#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The bypass suite in a guest of tests/vm, where every class can be shown: see run.
[ -z "${BYPASS_TABLE:-}" ] || set -- --table
BYPASS_GUEST=1 exec bash "$(dirname "$0")/run" --setting own,host,attach "$@"
