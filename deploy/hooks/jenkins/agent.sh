#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Jenkins, a static agent: `agent.sh NAME COMMAND...` runs the agent's program as one job of egret, which lasts as long as the agent. For
# "Prefix Start Agent Command" of an SSH agent, or ExecStart= of an agent's unit. Not by build: Jenkins has no hook on the agent that comes
# before a Jenkinsfile's own code; see runner-hosts.md.
set -euo pipefail
name=${1:?the name of the agent}
shift
[ $# -gt 0 ] || { echo "usage: agent.sh NAME COMMAND..." >&2; exit 2; }
options=()
[ ! -r /etc/egret/hooks/jenkins ] || read -ra options </etc/egret/hooks/jenkins || true
folder=$(mktemp -d "${TMPDIR:-/tmp}/egret-trust.XXXXXX")
# Standard output is the agent's channel.
@PREFIX@/bin/egret job register --provider jenkins --label "runner=$name" --worker $$ "${options[@]}" \
	--trust "$folder" --env "$folder/env" >&2
while IFS= read -r line; do export "${line?}"; done <"$folder/env"
exec "$@"
