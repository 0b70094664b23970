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
FIXED=https://issuer.test:$HTTPS/fixed
# Two of one kind, as where jobs of the public forge run beside those of one's own.
daemon_config "\"identity\": [ { \"issuer\": \"https://issuer.test:$HTTPS/first\", \"kind\": \"github\" }, { \"issuer\": \"$ISSUER\", \"kind\": \"github\" }, { \"issuer\": \"$FIXED\", \"kind\": \"gitlab\", \"audience\": \"https://egret.test\" } ]"
cat >"$TMP/policies/release.json" <<'END'
{ "name": "release", "for": [ { "repo_id": "8412", "environment": "production" } ], "rules": [ { "allow": "GET https://api.test/**" } ] }
END
daemon_start || done_testing
ASK=$BUILD/tests/e2e/register_ask

# Registers with a token for the audience that egretd says (or another): what it answered.
register() { # claims that are added, [audience], [key]
	local line out aud
	coproc REG { in_host "$ASK" "$TMP/run/control.sock" provider=github repo=acme/other event=push; }
	local pid=$REG_PID in=${REG[1]} from=${REG[0]}
	read -r -t 20 line <&"$from" || { echo "no audience"; return; }
	aud=${2:-${line#audience }}
	echo "$aud" >"$TMP/audience"
	jq -cn --arg iss "$ISSUER" --arg aud "$aud" --argjson now "$(date +%s)" --argjson more "$1" '{ iss: $iss, aud: $aud, exp: ($now + 300),
		iat: $now, jti: "t-1", repository: "acme/web", repository_id: "8412", repository_owner: "acme", ref: "refs/heads/main", sha: "ab12",
		event_name: "push", run_id: "9", environment: "production" } + $more' | sed "s/^/token\tRS256\t${3:-r1}\t/" | python3 "$ROOT/tests/e2e/oidc.py" tokens "$TMP"
	echo "$TMP/token" >&"$in"
	cat <&"$from"
	wait "$pid" 2>/dev/null
}

out=$(register '{}')
job=$(sed -n 's/^job //p' <<<"$out")
like "$(cat "$TMP/audience")" "^egret/$(uname -n)/[0-9a-f]{32}\$" "the audience is the configuration's, with the host and a nonce"
first=$(cat "$TMP/audience")
like "$out" '^job j-' "a good token registers a job, of the second issuer of its kind" || diag "$(tail -n 5 "$TMP/egretd.log")"
got=$("$EGRET" job list --json | jq -c --arg j "$job" '.[] | select(.job == $j or .name == $j or .id == $j)')
like "$got" '"repo": ?"acme/web"' "the CI server's word stands above the runner's"
like "$got" '"environment": ?"production"' "the environment, which only it can say"
like "$got" 'signed' "its assurance is signed"
like "$got" 'release' "and its policy is the one for that"
t "the job ends" "$EGRET" job end "$job"
like "$(register '{}' "$first")" '^failed .*\(aud\)' "the first nonce is good for nobody else"
like "$(register '{ "environment": "" }')" '^failed .*policy' "another environment: no policy is for it"
like "$(ISSUER=https://issuer.test:$HTTPS/third register '{}')" '^failed .*\(iss\)' "the token of neither"
like "$(register '{ "exp": 1000 }')" '^failed .*expired' "the check that failed is told"
keys() { grep -c '^/keys$' "$TMP/requests"; }
is "$(keys)" 1 "the issuer's keys were fetched once for all of these"
like "$(register '{}' '' r5)" '^failed .*\(kid\)' "a key that the issuer does not have"
is "$(keys)" 1 "keys fetched less than a minute ago are not fetched again"

# A CI system whose tokens have a fixed audience: each is good once, for the job that it names.
gitlab() { # jti, job_id of the token, run_id that the runner says
	jq -cn --arg iss "$FIXED" --arg jti "$1" --arg job "$2" --argjson now "$(date +%s)" '{ iss: $iss, aud: "https://egret.test", exp: ($now + 300),
		iat: $now, jti: $jti, namespace_path: "acme", project_path: "acme/web", project_id: "8412", pipeline_id: "212", pipeline_source: "push",
		job_id: $job, sha: "ab12", ref: "main", ref_type: "branch", environment: "production" }' | sed "s/^/token\tRS256\tr1\t/" | python3 "$ROOT/tests/e2e/oidc.py" tokens "$TMP"
	(echo "$TMP/token" | in_host "$ASK" "$TMP/run/control.sock" provider=gitlab repo=acme/other event=push ${3:+"run_id=$3"})
}
out=$(gitlab g-1 77 77)
like "$out" '^audience https://egret.test$' "GitLab's audience is the configuration's, as it stands"
like "$out" '^job j-' "a token of this job registers it" || diag "$(tail -n 5 "$TMP/egretd.log")"
t "it ends" "$EGRET" job end "$(sed -n 's/^job //p' <<<"$out")"
like "$(gitlab g-1 77 77)" '^failed .*used before \(jti\)' "the same token again"
like "$(gitlab g-2 78 77)" '^failed .*token of another job: the runner says run_id 77' "the token of another job"
like "$(gitlab g-3 77)" '^failed .*neither run_id nor job_id' "a registration that does not say which job it is"
daemon_stop
daemon_start || done_testing
like "$(gitlab g-1 77 77)" '^failed .*used before \(jti\)' "a new egretd knows of it"
truncate -s -8 "$TMP/state/jti"
daemon_stop
daemon_start || done_testing
out=$(gitlab g-4 77 77)
like "$out" '^job j-' "a torn end of the journal is cut off"
t "it ends too" "$EGRET" job end "$(sed -n 's/^job //p' <<<"$out")"
daemon_stop
printf '\377' | dd of="$TMP/state/jti" bs=1 seek=3 conv=notrunc 2>/dev/null
daemon_start || done_testing
like "$(gitlab g-5 77 77)" '^failed .*jti is damaged' "a damaged one refuses"
is "$("$EGRET" job list --json | jq length)" 0 "no job is left of what was refused"
is "$(egret_pids egret-identity | wc -l)" 0 "no process either"
done_testing
