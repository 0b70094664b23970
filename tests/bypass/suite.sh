#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# timeout: 900
# The bypass suite, every setting: see run.
exec "$(dirname "$0")/run"
