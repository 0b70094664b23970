# SPDX-License-Identifier: Apache-2.0
# Two jobs for the tests of floods: one that attacks, and another that asks for a page all the while and must have it every time. Sourced after
# daemon.sh, when the origins stand and policy and config are written: flood_begin; attack COMMAND (in the attacker's job; what it printed is in
# $said); flood_end. WAIT: seconds that one attack may take.
WAIT=${WAIT:-60}
JOB_TIMEOUT=$((WAIT * 5))
JOB_OPTS=(--user nobody)
said=

flood_other() { # a request after the other until it is told to end, each a connection of its own
	: >"$TMP/go"
	cat >"$TMP/other.sh" <<-'SH'
		asked=0 served=0
		while [ -e "$1/go" ]; do
			asked=$((asked + 1))
			[ "$(curl -sS --max-time 20 https://api.test/hello.txt 2>>"$1/www/upload/other.err")" != 'hello from api' ] || served=$((served + 1))
			echo "$asked $served" >"$1/www/upload/other.new"
			mv "$1/www/upload/other.new" "$1/www/upload/other"
			sleep 0.05
		done
	SH
	job bash "$TMP/other.sh" "$TMP" >"$TMP/other.out" 2>&1 &
	OTHER=$!
	at_exit 'rm -f "$TMP/go"'
	t "another job is served" wait_for 30 "grep -q ' [1-9]' '$TMP/www/upload/other'"
	bystander=$(egret_pids egret-proxy)
}
flood_begin() { # command that is no attack: after it the proxy is taken for one that rests
	flood_other
	mkfifo "$TMP/next"
	chmod 666 "$TMP/next"
	cat >"$TMP/attack.sh" <<-'SH'
		while read -r line <"$1/next"; do
			[ "$line" != end ] || break
			eval "$line" >"$1/www/upload/said.new" 2>&1
			mv "$1/www/upload/said.new" "$1/www/upload/said"
		done
	SH
	ulimit -n 8192
	timeout -k 5 "$JOB_TIMEOUT" nsenter --net="/run/netns/$HOSTNS" "$EGRET" run --config "$TMP/egret.json" --policy "$POLICY" \
		--events "$TMP/attacker.ndjson" "${JOB_OPTS[@]}" -- bash "$TMP/attack.sh" "$TMP" >"$TMP/attack.out" 2>&1 &
	ATTACKER=$!
	attack "$1"
	proxy=$(egret_pids egret-proxy | grep -vx "$bystander")
	resting=$(fds)
	memory=$(rss)
}
attack() {
	kill -0 $ATTACKER 2>/dev/null || { fail "the attacker's job is there for: $1" "$(tail -n 5 "$TMP/attack.out")"; exit 1; }
	rm -f "$TMP/www/upload/said"
	# shellcheck disable=SC2016
	timeout "$WAIT" bash -c 'echo "$1" >"$0/next"' "$TMP" "$1" && wait_for "$WAIT" "[ -e '$TMP/www/upload/said' ]" ||
		fail "the attack came to its end: $1" "$(tail -n 5 "$TMP/attack.out")"
	said=$(cat "$TMP/www/upload/said" 2>/dev/null)
	diag "$said"
}
noted() { cat "$TMP/attacker.ndjson" 2>/dev/null; }
# Regex, what it means; events come a moment later. Not from a pipe: grep ends at the first hit, and who still writes into it ends badly.
note() { t "$2" wait_for 10 "grep -Eqs '$1' '$TMP/attacker.ndjson'"; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$proxy/status"; }
fds() { find "/proc/$proxy/fd" -mindepth 1 2>/dev/null | wc -l; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
flood_end() {
	local asked served before
	at_most $(($(rss) - memory)) 24576 "the proxy has grown by so many KiB after all this"
	before=$(ticks "$proxy")
	sleep 1
	at_most $(($(ticks "$proxy") - before)) 10 "and rests when it is left alone (1/100 s)"
	is "$(egret_pids egret-proxy | grep -cx "$proxy")" 1 "it is the proxy of the beginning"
	timeout 20 bash -c "echo end >'$TMP/next'"
	wait $ATTACKER
	rm -f "$TMP/go"
	wait $OTHER
	read -r asked served <"$TMP/www/upload/other"
	diag "the other job's requests while all this went on: $served of $asked served"
	is "$served" "$asked" "every request of the other job was served" || diag "$(sort "$TMP/www/upload/other.err" | uniq -c | head)"
	t "and there were many" [ "$asked" -gt 20 ]
	is "$(grep -c '"reason":"limit"\|"kind":"limit.hit"' "$TMP/events.ndjson")" 0 "no bound of its was met"
}
