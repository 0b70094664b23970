#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a credential costs a request: the first one that needs it (no lease is there), those behind it, and other jobs' requests while a provider
# hangs. The provider is nginx on the outside of the cable, which answers at once; its round trip as a plain client sees it is measured beside and
# taken off. Each sample is a job of its own with connections that stand; requests with and without credential in turn, each upstream dialled anew for
# both. Printed, never judged. Called by run.sh.
#
#   credentials.sh [first] [later] [hanging]        JOBS (15: times 4 leases of each way)  ROUNDS (7, of hanging)  TURNS (600, of each kind of later)  MS (20)  AT_ONCE ("1 32", of later)
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/bench/sides.sh"
JOBS=${JOBS:-15} ROUNDS=${ROUNDS:-7} TURNS=${TURNS:-600} MS=${MS:-20} AT_ONCE=${AT_ONCE:-1 32}
PARTS=${*:-first later hanging}
FIRST=$BUILD/tests/bench/bench_first
ALTERNATES=$BUILD/tests/bench/bench_turns
EACH=4 # hosts of each way in a job
TRIPS=6
IDP=198.51.100.53
median() { sort -g | awk '{ v[NR] = $1 } END { if (NR % 2) print v[(NR + 1) / 2]; else if (NR) print (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
quantile() { sort -g | awk -v q="$1" '{ v[NR] = $1 } END { i = int(NR * q) + 1; print v[(i > NR) ? NR : i] }'; }

# kept: the provider keeps connections; fresh: it closes each; none: no credential.
for ((i = 1; i <= EACH; i++)); do NAMES+=" kept$i.test fresh$i.test none$i.test other$i.test"; done
for ((i = 0; i < JOBS; i++)); do NAMES+=" cold$i.test"; done
NAMES+=' id.test closes.test hangs.test held.test'
NGINX_OWN='id.test closes.test hangs.test'
token='default_type application/json; return 200 "{\"access_token\":\"tok-$request_id$request_id\",\"token_type\":\"Bearer\",\"expires_in\":3600}";'
idp() { # name, address, keepalive
	echo "server { listen $2:443 ssl; server_name $1; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key; access_log $TMP/www/$1.log idp;
		keepalive_timeout $3; location = /token { $token } }"
}
NGINX_EXTRA="log_format idp '\$connection \$connection_requests \$ssl_session_reused'; $(idp id.test $IDP 300s) $(idp closes.test $IDP 0)"
origins_up >/dev/null
bench_origin || exit 1
egret_daemon
for n in id closes; do sed -i "s|\"$n.test\": \[\"$GOOD\"\]|\"$n.test\": [\"$IDP\"]|" "$TMP/egret.json"; done
sed -i "s|\"hangs.test\": \[\"$GOOD\"\]|\"hangs.test\": [\"$EVIL\"]|" "$TMP/egret.json"
for n in $NAMES; do sed -i "s|\"$n\": \[\"$GOOD\"\]|\"$n\": [\"$ORIGIN\"]|" "$TMP/egret.json"; done
credential() { # name, provider's address, [the ref of the jobs that have it]
	local ref=
	[ -z "${3:-}" ] || ref="\"ref\": \"$3\", "
	cat >"$TMP/credentials/$1.json" <<-JSON
		{ "name": "$1", "provider": "oauth2", "token_url": "https://$2/token", "grant": "client_credentials", "client_id": "egret-$1",
		  "client_secret": "store:client", "for": [ { $ref"repo": "egret", "event": "push" } ], "tier": "any", "hosts": ["$1.test"],
		  "inject": { "header": "Authorization", "format": "Bearer {token}" } }
	JSON
}
rules=()
order=()
for ((i = 1; i <= EACH; i++)); do
	credential kept$i id.test
	credential fresh$i closes.test
	rules+=("\"allow\": \"GET https://kept$i.test:$PORT/with/**\", \"credential\": \"kept$i\"" "\"allow\": \"GET https://kept$i.test:$PORT/same/**\""
		"\"allow\": \"GET https://fresh$i.test:$PORT/with/**\", \"credential\": \"fresh$i\"" "\"allow\": \"GET https://none$i.test:$PORT/with/**\"")
	order+=(none$i.test kept$i.test other$i.test fresh$i.test)
	rules+=("\"allow\": \"GET https://other$i.test:$PORT/**\"")
done
for ((i = 0; i < JOBS; i++)); do # of a job of its own each
	credential cold$i closes.test cold$i
	rules+=("\"allow\": \"GET https://cold$i.test:$PORT/with/**\", \"credential\": \"cold$i\"")
done
credential held hangs.test:444
rules+=("\"allow\": \"GET https://held.test:$PORT/with/**\", \"credential\": \"held\"")
installed egret "${rules[@]}"
mkdir -p "$TMP/www/api.test/with" "$TMP/www/api.test/same"
cp "$TMP/www/api.test/1k" "$TMP/www/api.test/with/1k"
cp "$TMP/www/api.test/1k" "$TMP/www/api.test/same/1k"
printf 'client-%s' "$(openssl rand -hex 16)" | "$EGRET" secret set client >/dev/null || exit 1
daemon_start || exit 1
JOB_OPTS=(--label repo=egret --label event=push)
parts_ns() { # CPU of each program so far: "name ns"
	local n p
	for n in egretd egret-broker egret-provider egret-audit egret-proxy; do
		echo "$n $(for p in $(egret_pids $n); do cat /proc/"$p"/schedstat; done 2>/dev/null | awk '{ s += $1 } END { printf "%.0f", s }')"
	done
}
trip() { # name, port, -f or nothing: the provider's round trip for a plain client, us a line
	in_host env SSL_CERT_FILE="$TMP/outside.pem" "$FIRST" -a $IDP -p 443 -u /token -r $TRIPS ${2:-} -d 'grant_type=client_credentials' "$1" | awk '$1 > 0 { print $3 }'
}
told() { wc -l <"$TMP/www/$1.log"; }
kept_connections() { tail -n +$(($1 + 1)) "$TMP/www/id.test.log" | awk -v plain=$((JOBS + 1)) '!seen[$1]++ { n++ } END { print n - plain }'; } # behind line

part_first() {
	local j w a b c p base made line=() before
	: >"$TMP/first"
	made=$(stream | grep -c '"kind":"credential.lease"') a=$(told id.test) b=$(told closes.test)
	for ((j = 0; j <= JOBS; j++)); do # the first finds no process that was ever asked: it is not counted
		daemon_job "$FIRST" -a $ORIGIN -p $PORT -r 2 -u /with/1k "${order[@]}" >"$TMP/first.job" || { cat "$TMP/first.job"; return 1; }
		[ $j = 0 ] || cat "$TMP/first.job" >>"$TMP/first"
		trip id.test >>"$TMP/trip.kept"
		trip closes.test -f >>"$TMP/trip.fresh"
	done
	made=$(($(stream | grep -c '"kind":"credential.lease"') - made))
	echo "$made leases; requests that their providers had: $(($(told id.test) + $(told closes.test) - a - b - 2 * TRIPS * (JOBS + 1))); connections to the one that keeps them: $(kept_connections "$a")"
	for ((j = 0; j < JOBS; j++)); do
		JOB_OPTS=(--label repo=egret --label event=push --label ref=cold$j)
		daemon_job "$FIRST" -a $ORIGIN -p $PORT -u /with/1k none1.test cold$j.test | grep cold >>"$TMP/first" || return 1
	done
	JOB_OPTS=(--label repo=egret --label event=push)
	of() { awk -v r="$1" -v n="^($2)[0-9]" '$1 == r && $2 ~ n { print $3 }' "$TMP/first"; }
	base=$(of 0 'none|other' | median)
	for w in kept fresh cold; do
		c=$(of 0 $w | median) p=$(median <"$TMP/trip.${w/cold/fresh}")
		awk -v w=$w -v c="$c" -v b="$base" -v p="$p" -v n="$(of 0 $w | wc -l)" -v q="$(of 0 $w | quantile 0.9)" 'BEGIN {
			printf "first use, %-6s %6.0f us (p90 %.0f, %d leases) - %.0f without credential - %.0f the provider to a plain client = ours %6.0f us  bound 2000\n", w, c, q, n, b, p, c - b - p }'
	done
	printf 'second use, kept %.0f, fresh %.0f, without credential %.0f us\n' "$(of 1 kept | median)" "$(of 1 fresh | median)" "$(of 1 'none|other' | median)"
	# CPU: a job with credentials, and one without.
	for w in none kept fresh; do
		rm -f "$TMP"/cpu.*
		daemon_job "$FIRST" -a $ORIGIN -p $PORT -u /with/1k -w "$TMP/cpu" $(for ((i = 1; i <= EACH; i++)); do echo $w$i.test; done) >/dev/null &
		j=$!
		wait_for 20 "[ -e '$TMP/cpu.ready' ]" || return 1
		sleep 0.2
		before=$(parts_ns)
		touch "$TMP/cpu.go"
		wait_for 20 "[ -e '$TMP/cpu.done' ]" || return 1
		sleep 0.1
		parts_ns >"$TMP/cpu.after"
		touch "$TMP/cpu.end"
		wait $j
		printf 'CPU a request, %-6s' $w
		paste <(echo "$before") "$TMP/cpu.after" | awk -v n=$EACH '{ d = ($4 - $2) / 1000 / n; all += d; printf "%s %.0f, ", $1, d } END { printf "all %.0f us\n", all }'
	done
}

# What a kind costs above another, of turns of the same round: the mean of the differences and its standard error; the same without the tenth of them
# at either end, which are those that the machine's other guests fell into (the error by winsorized squares); and their median.
differences() { # at once; lines of bench_turns, the first 5 rounds left out
	awk -v c="$1" '
	function sorted(a, n,   i, j, t) {
		for (i = 2; i <= n; i++) { t = a[i]; for (j = i - 1; j > 0 && a[j] > t; j--) a[j + 1] = a[j]; a[j + 1] = t }
	}
	function median(a, n) {
		sorted(a, n)
		return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
	}
	function deviation(sum, squares) { return squares > sum * sum / n ? sqrt((squares - sum * sum / n) / (n - 1)) : 0 }
	function above(v, what, k,   i, d, e, sum, squares, cut, kept, ws, wq, all) {
		for (i = 1; i <= n; i++) { d = v[0, i] - v[k, i]; all[i] = d; sum += d; squares += d * d }
		sorted(all, n)
		cut = int(n / 10)
		for (i = 1; i <= n; i++) {
			e = all[i <= cut ? cut + 1 : (i > n - cut ? n - cut : i)]
			ws += e; wq += e * e
			kept += i > cut && i <= n - cut ? all[i] : 0
		}
		printf "later uses, %2d at a time, %-4s above %-21s: mean %6.2f us (standard error %.2f); without the tenths %6.2f (%.2f); median %6.2f\n", c, what,
			(k == 1 ? "the same host without" : "another host"), sum / n, deviation(sum, squares) / sqrt(n),
			kept / (n - 2 * cut), deviation(ws, wq) / sqrt(n) / 0.8, median(all, n)
	}
	NR > 15 { i = int((NR - 16) / 3) + 1; cpu[$1, i] = $4 / 1000 / $2; wall[$1, i] = $3 * c / $2; units += $2; n = i }
	END {
		for (k = 0; k < 3; k++) { for (i = 1; i <= n; i++) one[i] = cpu[k, i]; said = said sprintf(" %.1f", median(one, n)) }
		printf "later uses, %2d at a time: CPU of the proxy a request with its credential, on the same host without, on another host:%s us (medians of %d turns each, of %d requests)\n", c, said, n, units / n / 3
		above(cpu, "CPU", 1); above(cpu, "CPU", 2); above(wall, "time", 1); above(wall, "time", 2)
	}'
}

# One request after the other and 32 at a time, on connections that stand; the lease is there. All kinds by one client in short turns.
part_later() {
	local c stem meter
	SIDES=()
	rm -rf "$TMP/job-egret" # of the part before
	egret_side egret || return 1
	for c in $AT_ONCE; do
		stem=$TMP/later.$c
		taskset -c "$LOAD_CPU" timeout 600 "$ALTERNATES" -w "$stem" -m "${SIDE_PID[egret]}" >"$stem.turns" &
		meter=$!
		PIDS+=("$meter")
		wait_for 5 "[ -p '$stem.heard' ]" || return 1
		client egret "$ALTERNATES" -w "$stem" -a $ORIGIN -p $PORT -c "$c" -t "$MS" -r $((c == 1 ? TURNS : TURNS / 2)) kept1.test/with/1k kept1.test/same/1k none1.test/with/1k
		wait $meter || { cat "${JOB_DIR[egret]}"/out.*; return 1; }
		differences "$c" <"$stem.turns"
	done
	echo 'bound: CPU 5 us'
	touch "${JOB_DIR[egret]}/end"
	wait_for 20 '[ -z "$(egret_pids egret-proxy)" ]'
}

# A job's requests while another's wait for a provider that takes connections and says nothing; both ways in turn.
part_hanging() {
	local round w other
	spawn in_origin python3 -c 'import socket, sys, time; s = socket.create_server((sys.argv[1], 444), backlog=64); time.sleep(1e6)' $EVIL
	wait_port in_host $EVIL 444 || return 1
	rm -f "$TMP"/hang.*
	JOB_TIMEOUT=300 daemon_job bash -c 'until [ -e "$0/hang.end" ]; do
		[ -e "$0/hang.on" ] || { sleep 0.02; continue; }
		for i in 1 2 3 4 5 6 7 8; do curl -sS -o /dev/null -m 3 https://held.test:8443/with/1k & done
		wait; done' "$TMP" >"$TMP/held.out" 2>&1 &
	other=$!
	SIDES=()
	rm -rf "$TMP/job-egret" # of the part before
	egret_side egret || return 1
	for ((round = -1; round < ROUNDS; round++)); do
		for w in quiet hanging; do
			rm -f "$TMP/hang.on"
			[ $w = quiet ] || touch "$TMP/hang.on"
			sleep 1.5
			STEM=$TMP/hang.$round.$w
			client egret "$FIRST" -a $ORIGIN -p $PORT -r 1000 -u /with/1k -w "$STEM" none1.test kept1.test ">$STEM.out"
			touch "$STEM.go" "$STEM.end"
			wait_for 60 "[ -e '$STEM.done' ]" || return 1
			[ $round -lt 0 ] || awk '$1 > 0 { print $3 }' "$STEM.out" | quantile 0.99 >>"$TMP/p99.$w"
			[ $round -lt 0 ] || awk '$1 > 0 { print $3 }' "$STEM.out" | median >>"$TMP/p50.$w"
		done
	done
	touch "$TMP/hang.end" "${JOB_DIR[egret]}/end"
	rm -f "$TMP/hang.on"
	wait $other
	for w in p50 p99; do
		printf '%s of another job: %.0f us, beside a provider that hangs %.0f; times %s%s\n' $w "$(median <"$TMP/$w.quiet")" "$(median <"$TMP/$w.hanging")" \
			"$(paste "$TMP/$w.hanging" "$TMP/$w.quiet" | awk '{ print $1 / $2 }' | median)" "$([ $w = p50 ] || echo '  bound 1.1')"
	done
	echo "the other's requests were told: $(stream | grep '"kind":"credential.fail"' | grep -c held) failures, $(stream | sed -n 's/.*"message":"\([^"]*\)".*/\1/p' | grep -m 1 'oauth2')"
}

for one in $PARTS; do
	echo "-- $one (load $(cut -d' ' -f1-3 /proc/loadavg))"
	"part_$one" || fail "$one"
done
daemon_stop
[ "$TESTS_FAILED" = 0 ]
