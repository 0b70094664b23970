#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Credentials of the library are for confined jobs: a job that could leave gets none, unless the credential says so; what requires confinement
# refuses it.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
origins_up
daemon_config
installed web '"allow": "GET https://api.test/**", "credential": "key"'
credential() { # [members]
	printf '{ "name": "key", "provider": "store", "value": "key-token", "for": "any", "hosts": ["api.test"], "inject": { "header": "Authorization", "format": "{token}" }%s }' \
		"${1:+, $1}" >"$TMP/credentials/key.json"
}
credential
daemon_start || done_testing
printf secret-of-the-test | "$EGRET" secret set key-token || fail "the secret is stored"
ask() { daemon_job curl -sS --max-time 20 -w ' %{http_code}' https://api.test/hello.txt 2>/dev/null; }
JOB_OPTS=(--label repo=web --label event=push --user 61236)
like "$(ask)" '200$' "a confined job gets the credential"
JOB_OPTS=(--label repo=web --label event=push --user root)
out=$(ask)
unlike "$out" '200$' "a job as root is cooperative and does not"
like "$out" 'key' "the refusal names the credential"
credential '"tier": "any"'
kill -HUP "$DAEMON"
t "one that says \"tier\": \"any\" is given" wait_for 20 "ask | grep -q '200$'"
daemon_stop
daemon_config '"require": ["confined"]'
daemon_start
like "$(daemon_job true 2>&1)" 'requires confined jobs.*root' "required: such a job does not start"
daemon_stop
done_testing
