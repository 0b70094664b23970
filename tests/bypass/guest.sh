#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The bypass suite in a guest of tests/vm, where every class can be shown: see run. With BYPASS_FEW the cases alone that no other place can
# show: what needs a module of the kernel's, or what only an LSM program closes.
[ -z "${BYPASS_FEW:-}" ] || set -- --case @guest
[ -z "${BYPASS_TABLE:-}" ] || set -- "$@" --table
BYPASS_GUEST=1 exec bash "$(dirname "$0")/run" --setting own,host,attach "$@"
