#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 20 s
# Long lists of a standing egretd: hundreds of leases, of which some are over, told whole to root and to an auditor, also where the reader is slow.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need jq
JOBS=26 EACH=24
origins_up
daemon_config '"groups": { "audit": "65533" }'
rules=()
for i in $(seq $EACH); do
	rules+=("\"allow\": \"GET https://api.test/$i\", \"credential\": \"credential-number-$i\"")
	printf '{ "name": "credential-number-%d", "provider": "store", "value": "one", "for": "any", "tier": "any", "hosts": ["api.test"], "inject": { "header": "Authorization", "format": "{token}" } }' "$i" \
		>"$TMP/credentials/$i.json"
done
installed web "${rules[@]}"
printf 'value-of-one-0123456789' | "$EGRET" secret set one
mkdir "$TMP/bin" && cp "$EGRET" "$TMP/bin/egret" && chmod -R a+rX "$TMP/bin"
daemon_start || done_testing
JOB_OPTS=(--label repo=web --label event=push)
for _ in $(seq $JOBS); do daemon_job curl -sS --max-time 30 -o /dev/null "https://api.test/[1-$EACH]"; done >"$TMP/out" 2>&1
auditor() { (cd / && nsenter --net="/run/netns/$HOSTNS" setpriv --reuid=65533 --regid=65533 --clear-groups env EGRET_RUN_DIR="$TMP/run" "$TMP/bin/egret" "$@" 2>&1); }
is "$("$EGRET" lease list --all --json | jq length)" $((JOBS * EACH)) "root sees what there was" || diag "$(tail -n 3 "$TMP/out")"
is "$(auditor lease list --all --json | jq length)" $((JOBS * EACH)) "an auditor, too"
is "$(auditor lease list --all --json | (sleep 1; jq length))" $((JOBS * EACH)) "and who reads slowly"
is "$("$EGRET" lease list --all --json | (sleep 1; jq length))" $((JOBS * EACH)) "as root does"
done_testing
