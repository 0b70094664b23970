#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# takes: 40 s
# timeout: 120
# A login to Vault that reads a value of KV for all jobs of its credential is kept while there are questions, and then ended with its provider:
# half a minute behind the last one while egretd stands, and when that ends. By then the server has closed the connection.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need python3 jq
VAULT=198.51.100.53
EXTRA_HOSTS[vault.test]=$VAULT
origins_up
pki_leaf outside services DNS:vault.test || exit 1
secret=s3cr3t-$(openssl rand -hex 16) value=value-$(openssl rand -hex 16)
cat >"$TMP/vault.json" <<-JSON
	{ "namespace": "ci", "idle": 5, "logins": { "approle": { "kind": "approle", "roles": { "r": { "secret_ids": { "$secret": 0 }, "paths": [ "kv/data/app" ] } } } },
	  "token": { "ttl": 3600 }, "kv": { "kv/data/app": { "value": "$value" } } }
JSON
spawn in_origin python3 "$ROOT/tests/standins/vault.py" "$TMP" $VAULT 8200 "$TMP/services.pem" "$TMP/services.key" "$TMP/outside.pem"
wait_port in_host $VAULT 8200 || { echo "not ok 1 - the stand-in does not start"; echo 1..1; exit 1; }
logins() { # that are open, and that were ended
	in_host curl -sS --cacert "$TMP/outside.pem" --resolve "vault.test:8200:$VAULT" https://vault.test:8200/standin/state | jq -r '"\(.tokens) \(.gone.tokens)"'
}
daemon_config
installed web '"allow": "GET https://api.test/**", "credential": "kv"'
cat >"$TMP/credentials/kv.json" <<-JSON
	{ "name": "kv", "provider": "vault", "address": "https://vault.test:8200", "namespace": "ci", "path": "kv/data/app",
	  "auth": { "method": "approle", "role_id": "r", "secret_id": "store:vault" }, "for": "any", "tier": "any", "hosts": ["api.test"],
	  "inject": { "header": "Authorization", "format": "Bearer {token}" } }
JSON
printf %s "$secret" | "$EGRET" secret set vault
daemon_start || done_testing
JOB_OPTS=(--label repo=web --label event=push)
asks() { daemon_job curl -sS -o /dev/null -w '%{http_code}' --max-time 20 https://api.test/hello.txt 2>&1; }
is "$(asks) $(asks)" "200 200" "two jobs have the value"
like "$(origin_log | tail -n 1)" "Bearer $value" "it went out"
is "$(logins)" "1 0" "by one login, which is kept"
daemon_stop
is "$(logins)" "0 1" "it ends with egretd"
daemon_start || done_testing
is "$(asks) $(logins)" "200 1 1" "the next one logs in anew"
t "half a minute after the last question that login is ended too" wait_for 45 '[ "$(logins)" = "0 2" ]'
is "$(logins)" "0 2" "and none is left"
unlike "$(cat "$TMP/egretd.log")" 'egret-provider .*(killed|left to expire)' "its process ended by itself"
daemon_stop
done_testing
