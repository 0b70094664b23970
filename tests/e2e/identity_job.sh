#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A registration with a CI system's ID token, by a standing egretd: the token's claims become the job's facts and choose its policy, the
# audience carries a nonce that is good once. The issuer is a stand-in (tests/e2e/oidc.py); the frames of a registration are written here
# (base/msg.h), as the token has to be made for the audience that egretd says.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need python3 openssl
origins_up
python3 "$ROOT/tests/e2e/oidc.py" keys "$TMP" || { echo "not ok 1 - no keys"; echo 1..1; exit 1; }
cat "$TMP/ca.pem" >>"$TMP/outside.pem"
spawn in_host python3 "$ROOT/tests/e2e/oidc.py" serve "$TMP"
wait_for 10 "[ -s '$TMP/ports' ]" || { echo "not ok 1 - the issuer does not start"; echo 1..1; exit 1; }
read -r HTTPS _ <"$TMP/ports"
ISSUER=https://issuer.test:$HTTPS/good
EXTRA_HOSTS[issuer.test]=127.0.0.1
daemon_config "\"identity\": [ { \"issuer\": \"$ISSUER\", \"kind\": \"github\" } ]"
cat >"$TMP/policies/release.json" <<'END'
{ "name": "release", "for": [ { "repo_id": "8412", "environment": "production" } ], "rules": [ { "allow": "GET https://api.test/**" } ] }
END
daemon_start || done_testing
ASK=$BUILD/tests/e2e/register_ask

# Registers with a token for the audience that egretd says (or another): what it answered.
register() { # claims that are added, [audience]
	local line out aud
	coproc REG { in_host "$ASK" "$TMP/run/control.sock" provider=github repo=acme/other event=push; }
	local pid=$REG_PID in=${REG[1]} from=${REG[0]}
	read -r -t 20 line <&"$from" || { echo "no audience"; return; }
	aud=${2:-${line#audience }}
	echo "$aud" >"$TMP/audience"
	jq -cn --arg iss "$ISSUER" --arg aud "$aud" --argjson now "$(date +%s)" --argjson more "$1" '{ iss: $iss, aud: $aud, exp: ($now + 300),
		iat: $now, jti: "t-1", repository: "acme/web", repository_id: "8412", repository_owner: "acme", ref: "refs/heads/main", sha: "ab12",
		event_name: "push", run_id: "9", environment: "production" } + $more' | sed "s/^/token\tRS256\tr1\t/" | python3 "$ROOT/tests/e2e/oidc.py" tokens "$TMP"
	echo "$TMP/token" >&"$in"
	cat <&"$from"
	wait "$pid" 2>/dev/null
}

out=$(register '{}')
job=$(sed -n 's/^job //p' <<<"$out")
like "$(cat "$TMP/audience")" '^egret:[0-9a-f]{32}$' "the audience is the configuration's, with a nonce"
first=$(cat "$TMP/audience")
like "$out" '^job j-' "a good token registers a job" || diag "$(tail -n 5 "$TMP/egretd.log")"
got=$("$EGRET" job list --json | jq -c --arg j "$job" '.[] | select(.job == $j or .name == $j or .id == $j)')
like "$got" '"repo": ?"acme/web"' "the CI server's word stands above the runner's"
like "$got" '"environment": ?"production"' "the environment, which only it can say"
like "$got" 'signed' "its assurance is signed"
like "$got" 'release' "and its policy is the one for that"
t "the job ends" "$EGRET" job end "$job"
like "$(register '{}' "$first")" '^failed .*\(aud\)' "the first nonce is good for nobody else"
like "$(register '{ "environment": "" }')" '^failed .*policy' "another environment: no policy is for it"
like "$(register '{ "exp": 1000 }')" '^failed .*expired' "the check that failed is told"
is "$("$EGRET" job list --json | jq length)" 0 "no job is left of what was refused"
is "$(egret_pids egret-identity | wc -l)" 0 "no process either"
done_testing
