#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 12 s
# A registration whose ID token a real OpenID provider signs (oidc-provider, `make client-build`): discovery, key set and tokens are its own,
# by RSA, P-256 and Ed25519. What only a forger would sign is identity.sh's.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need node curl openssl
OIDC=$ROOT/build/oidc/node_modules
[ -d "$OIDC/oidc-provider" ] || skip_all "oidc-provider is not here: make client-build fetches it"
origins_up
pki_leaf outside idp DNS:issuer.test
spawn in_host node "$ROOT/tests/e2e/identity_oidc.mjs" "$TMP" "$OIDC" >"$TMP/oidc.log" 2>&1
wait_for 30 "[ -s '$TMP/oidc.port' ]" || { fail "oidc-provider starts"; diag "$(tail -n 5 "$TMP/oidc.log")"; done_testing; }
PORT=$(cat "$TMP/oidc.port")
ISSUER=https://issuer.test:$PORT
EXTRA_HOSTS[issuer.test]=127.0.0.1
daemon_config "\"identity\": [ { \"issuer\": \"$ISSUER\", \"kind\": \"github\", \"algorithms\": [ \"RS256\", \"ES256\", \"EdDSA\" ] } ]"
cat >"$TMP/policies/release.json" <<'END'
{ "name": "release", "for": [ { "repo_id": "8412", "environment": "production", "assurance": "signed" } ], "rules": [ { "allow": "GET https://api.test/**" } ] }
END
daemon_start || done_testing
ASK=$BUILD/tests/e2e/register_ask

issued() { # client, audience: a token into $TMP/token
	in_host curl -sS --max-time 20 --cacert "$TMP/outside.pem" --resolve "issuer.test:$PORT:127.0.0.1" -u "$1:runner" -d grant_type=client_credentials \
		--data-urlencode "resource=urn:$2" "$ISSUER/token" | jq -r '.access_token // ("no token: " + tostring)' >"$TMP/token"
}
register() { # client, [audience]: what egretd answered
	local line
	coproc REG { in_host "$ASK" "$TMP/run/control.sock" provider=github repo=acme/other event=push; }
	local pid=$REG_PID in=${REG[1]} from=${REG[0]}
	read -r -t 20 line <&"$from" || { echo "no audience"; return; }
	issued "$1" "${2:-${line#audience }}"
	echo "$TMP/token" >&"$in"
	cat <&"$from"
	wait "$pid" 2>/dev/null
}

for client in rsa p256 ed25519; do
	out=$(register $client)
	name=$(sed -n 's/^job //p' <<<"$out")
	like "$out" '^job j-' "a token that the provider signed by $client registers a job" || diag "$(cut -c 1-200 "$TMP/token"; tail -n 3 "$TMP/egretd.log" "$TMP/oidc.log")"
	got=$("$EGRET" job list --json | jq -c --arg j "$name" '.[] | select(.job == $j or .name == $j or .id == $j)')
	like "$got" '"repo": ?"acme/web".*' "its repository is the provider's word ($client)"
	like "$got" 'signed' "it is signed ($client)"
	t "it ends" "$EGRET" job end "$name"
done
like "$(register rsa "egret/$(uname -n)/00000000000000000000000000000000")" '^failed .*\(aud\)' "a token that it gave for another registration is refused"
is "$("$EGRET" job list --json | jq length)" 0 "no job is left"
done_testing
