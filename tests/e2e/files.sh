#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hundreds of installed policies and credentials: a start, a reload, one broken file among them, and what is too much; `egret policy check` of all.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
N=300
origins_up
daemon_config
many() { # first, last: a policy and a credential of its own for each repository
	local i
	for i in $(seq "$1" "$2"); do
		installed "team-$i" "\"allow\": \"GET https://api.test/$i\", \"credential\": \"token\"" '"allow": "GET https://files.test/**"'
		printf '{ "name": "token", "provider": "store", "value": "one", "for": [ { "repo": "team-%d" } ], "tier": "any", "hosts": ["api.test"], "inject": { "header": "Authorization", "format": "of-%d {token}" } }\n' \
			"$i" "$i" >"$TMP/credentials/$i.json"
	done
}
many 1 $N
printf 'value-of-one-0123456789' | "$EGRET" secret set one
daemon_start || done_testing
sent() { # number of a team: what its job's request came with
	JOB_OPTS=(--label "repo=team-$1" --label event=push)
	daemon_job curl -sS --max-time 20 -o /dev/null "https://api.test/$1" >"$TMP/out" 2>&1
	origin_log | awk -v at="/$1" '$4 == at { last = $0 } END { print last }' | cut -d' ' -f6-
}
is "$("$EGRET" status --json | jq -r .policies)" $N "egretd starts with $N policies and as many credentials"
is "$(sent 1)" 'of-1 value-of-one-0123456789' "the first one's job has its policy and its credential"
is "$(sent $N)" "of-$N value-of-one-0123456789" "so has the last one's"

reload() { # and its end is waited for
	local n
	n=$(grep -c 'reload: ' "$TMP/egretd.log")
	kill -HUP "$DAEMON"
	wait_for 20 "[ \$(grep -c 'reload: ' '$TMP/egretd.log') -gt $n ]" || fail "policies were read again"
	grep 'reload: ' "$TMP/egretd.log" | tail -n 1
}
many $((N + 1)) $((N + 100))
like "$(reload)" "reload: $((N + 100)) policies, $((N + 100)) credentials" "a reload with a hundred more of each"
is "$(sent $((N + 100)))" "of-$((N + 100)) value-of-one-0123456789" "and the last of these is used"

printf '{ "version": 1, "name": "team-77",\n  "rulse": [] }\n' >"$TMP/policies/team-77.json"
like "$(reload)" "nothing was changed: $TMP/policies/team-77.json:2:3: rulse: " "a broken policy among them is named, with its line and key"
is "$(sent 77)" 'of-77 value-of-one-0123456789' "and changes nothing"
many 77 77
printf '{ "name": "token",\n\n "provider": "stoer" }\n' >"$TMP/credentials/250.json"
like "$(reload)" "nothing was changed: $TMP/credentials/250.json:3:[0-9]+: provider: " "so is a broken credential"
many 250 250

# ---- too much ----
mkdir "$TMP/policies.more" && for i in $(seq 4096); do echo '{ "rules": [] }' >"$TMP/policies.more/z$i.json"; done
mv "$TMP"/policies.more/*.json "$TMP/policies/"
like "$(reload)" "nothing was changed: $TMP/policies/z[0-9]+\.json: with it there are more than 4096 policy and credential files" "too many files: the first too many is named"
is "$(sent 2)" 'of-2 value-of-one-0123456789' "and nothing is changed"
rm "$TMP"/policies/z*.json
head -c 1000000 /dev/zero | tr '\0' ' ' >"$TMP/large"
for i in $(seq 9); do cp "$TMP/large" "$TMP/policies/z$i.json"; done
like "$(reload)" "nothing was changed: $TMP/policies/z9\.json: with it policies and credentials are larger than 8 MiB in all" "too large in all: the file with which it is, is named"
rm "$TMP"/policies/z*.json
like "$(reload)" "reload: $((N + 100)) policies, $((N + 100)) credentials" "without them all is read again"
is "$(daemon_stop)" '' "the daemon ends"

# ---- the start ----
refused() { # what, regex
	timeout -k 5 60 nsenter --net="/run/netns/$HOSTNS" "$EGRETD" --config "$TMP/egret.json" >"$TMP/start" 2>&1
	isnt $? 0 "$1: egretd does not start"
	like "$(cat "$TMP/start")" "$2" "$1: it says where"
}
printf '{ "version": 1, "name": "team-77",\n  "rulse": [] }\n' >"$TMP/policies/team-77.json"
refused "one broken file of $((2 * N + 200))" "$TMP/policies/team-77.json:2:3: rulse: "

# ---- the same files, by hand ----
check() { (ulimit -n 64 && cd "$TMP" && "$EGRET" policy check policies/*.json credentials/*.json 2>&1); }
like "$(check)" '^policies/team-77.json:2:3: rulse: ' "egret policy check of all of them names the broken one"
many 77 77
check >"$TMP/out"
is $? 0 "mended they are all well, whatever the limit of descriptors is" || diag "$(head -n 3 "$TMP/out")"
done_testing
