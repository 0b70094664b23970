# SPDX-License-Identifier: Apache-2.0
# A standing egretd for the tests that need one: started in the host's namespace with the test's own state_dir, run_dir and policy folder.
# Sourced after origins.sh.
EGRETD=${EGRETD:-$BUILD/bin/egretd}

# Members of the configuration that point at folders of the test.
daemon_config() { # [more members]
	mkdir -p "$TMP/policies" "$TMP/credentials"
	config "\"policies\": [\"$TMP/policies\"], \"credentials\": [\"$TMP/credentials\"]${1:+, $1}"
}
daemon_start() {
	spawn in_host "$EGRETD" --config "$TMP/egret.json" >>"$TMP/egretd.log" 2>&1
	DAEMON=$SPAWNED
	wait_for 20 "[ -S '$TMP/run/control.sock' ] && '$EGRET' status >/dev/null" || {
		fail "egretd came up" "$(tail -n 20 "$TMP/egretd.log")"
		return 1
	}
}
daemon_stop() { # its exit status
	kill -TERM "$DAEMON" 2>/dev/null
	wait_for 20 "! kill -0 $DAEMON" || kill -9 "$DAEMON"
	wait "$DAEMON"
}
# Pids of egret's processes of this test, by name: egretd, egret-proxy, egret-broker, egret-audit.
egret_pids() {
	local p
	for p in $(ip netns pids "$HOSTNS"); do [ "$(cat "/proc/$p/comm" 2>/dev/null)" = "$1" ] && echo "$p"; done
}
# A job by the standing daemon, its policy chosen by label.
daemon_job() {
	timeout -k 5 "${JOB_TIMEOUT:-100}" nsenter ${HOSTMNT:+--mount="$HOSTMNT"} --net="/run/netns/$HOSTNS" "$EGRET" run --config "$TMP/egret.json" "${JOB_OPTS[@]}" -- "$@"
}
installed() { # name, rules...: a policy in the folder, for jobs labelled repo=NAME
	local name=${1//\//-} repo=$1 r i=0
	shift
	{
		printf '{ "version": 1, "name": "%s", "mode": "enforce", "for": [ { "repo": "%s", "event": "push" } ], "rules": [' "$name" "$repo"
		for r; do
			i=$((i + 1))
			printf '%s\n  { "id": "r%d", %s }' "$([ $i = 1 ] || echo ,)" $i "$r"
		done
		printf '\n] }\n'
	} >"$TMP/policies/$name.json.new" && mv "$TMP/policies/$name.json.new" "$TMP/policies/$name.json"
}
stream() { cat "$TMP"/state/events*.ndjson 2>/dev/null; } # the daemon's whole log
