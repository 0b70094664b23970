#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Requests through one proxy: microseconds of proxy CPU a request and requests a second against a direct run, at 1 and 32 keep-alive
# connections. wrk and nginx (TLS 1.3, P-256, 1 KiB bodies) share one core, everything of egret's has the other; samples are interleaved
# (direct, HAProxy where it is installed, egret) and the medians printed with their spread. HAProxy re-encrypts with verification, with
# neither policy nor records; egret decides and writes two records a request. CPU is the scheduler's own count (schedstat), of the proxy
# alone and of the audit process beside it. Called by run.sh. ROUNDS (5), SECONDS_EACH (2). PERF=FILE: a profile of the proxy at 32.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need wrk nginx taskset
ROUNDS=${ROUNDS:-5}
SECONDS_EACH=${SECONDS_EACH:-2}
EGRET_CPU=0 LOAD_CPU=1
origins_up >/dev/null
head -c 1024 /dev/zero | tr '\0' x >"$TMP/www/api.test/1k"

# An origin of its own beside the tests' one, which writes down each request: this one writes nothing and never hangs up.
cat >"$TMP/bench.conf" <<-CONF
	daemon off; pid $TMP/bench.pid; error_log $TMP/bench.log error; worker_processes 1; worker_cpu_affinity auto 10;
	events { worker_connections 4096; }
	http {
	  access_log off; tcp_nodelay on; keepalive_timeout 900s; keepalive_requests 1000000000;
	  client_body_temp_path $TMP/www/nginx/b2; proxy_temp_path $TMP/www/nginx/p2; fastcgi_temp_path $TMP/www/nginx/f2;
	  uwsgi_temp_path $TMP/www/nginx/u2; scgi_temp_path $TMP/www/nginx/s2;
	  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets off; open_file_cache max=10; root $TMP/www/api.test;
	  server { listen $EVIL:8443 ssl backlog=4096; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key; }
	}
CONF
spawn taskset -c $LOAD_CPU nsenter --net="/run/netns/$ORIGINNS" nginx -p "$TMP/www" -e "$TMP/bench.log" -c "$TMP/bench.conf" >/dev/null 2>&1
sed -i "s|\"node.test\": \[\"$GOOD\"\]|\"node.test\": [\"$EVIL\"]|" "$TMP/egret.json"
policy '"allow": "GET https://node.test:8443/**"'
wait_port in_host $EVIL 8443 || { cat "$TMP/bench.log"; exit 1; }

haproxy=
if command -v haproxy >/dev/null; then
	cat "$TMP/good.pem" "$TMP/good.key" >"$TMP/both.pem"
	cat >"$TMP/haproxy.cfg" <<-CONF
		global
		  nbthread 1
		  maxconn 6000
		  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
		  tune.ssl.cachesize 0
		defaults
		  mode http
		  timeout connect 10s
		  timeout client 900s
		  timeout server 900s
		frontend f
		  bind 198.51.100.1:8443 ssl crt $TMP/both.pem alpn http/1.1
		  default_backend b
		backend b
		  server o $EVIL:8443 ssl verify required ca-file $TMP/outside.pem sni str(api.test) verifyhost api.test no-ssl-reuse
	CONF
	spawn taskset -c $EGRET_CPU nsenter --net="/run/netns/$HOSTNS" haproxy -db -f "$TMP/haproxy.cfg" >"$TMP/haproxy.out" 2>&1
	haproxy=$SPAWNED
	wait_port in_host 198.51.100.1 8443 || { cat "$TMP/haproxy.out"; exit 1; }
fi

# The job: loads when it is told to, so that one proxy serves all samples.
cat >"$TMP/load.sh" <<'SH'
#!/bin/bash
i=0
while [ ! -e "$1/end" ]; do
	if [ -e "$1/ask.$i" ]; then
		read -r connections seconds <"$1/ask.$i"
		taskset -c "$2" wrk -t1 -c"$connections" -d"${seconds}s" https://node.test:8443/1k >"$1/answer.$i.new" 2>&1
		mv "$1/answer.$i.new" "$1/answer.$i"
		i=$((i + 1))
	fi
	sleep 0.02
done
SH
chmod 755 "$TMP/load.sh"
JOB_TIMEOUT=900 job "$TMP/load.sh" "$TMP" $LOAD_CPU >"$TMP/job.out" 2>&1 &
running=$!
PIDS+=("$running")
wait_for 20 '[ -n "$(egret_pids egret-proxy)" ] && [ -n "$(egret_pids egret-audit)" ]' || { cat "$TMP/job.out"; exit 1; }
proxy=$(egret_pids egret-proxy) audit=$(egret_pids egret-audit)
for p in $proxy $audit $(egret_pids egretd) $(egret_pids egret-broker); do taskset -apc $EGRET_CPU "$p" >/dev/null; done

asked=0 # loads of egret so far; counted by the callers, for a subshell's count is lost
loads() { # way, connections, seconds: wrk's words
	case $1 in
	direct) taskset -c $LOAD_CPU nsenter --net="/run/netns/$HOSTNS" wrk -t1 -c"$2" -d"$3s" https://$EVIL:8443/1k ;;
	haproxy) taskset -c $LOAD_CPU nsenter --net="/run/netns/$HOSTNS" wrk -t1 -c"$2" -d"$3s" https://198.51.100.1:8443/1k ;;
	egret)
		echo "$2 $3" >"$TMP/ask.new" && mv "$TMP/ask.new" "$TMP/ask.$asked"
		wait_for $(($3 + 20)) "[ -e '$TMP/answer.$asked' ]"
		cat "$TMP/answer.$asked"
		;;
	esac
}
cpu_ns() { if [ -n "$1" ]; then cut -d' ' -f1 "/proc/$1/schedstat"; else echo 0; fi; }
sample() { # way, connections: a line "requests/s us-of-proxy us-of-audit" to its file
	local way=$1 pid= beside= a b c d out
	[ "$way" != haproxy ] || pid=$haproxy
	[ "$way" != egret ] || pid=$proxy beside=$audit
	a=$(cpu_ns "$pid") c=$(cpu_ns "$beside")
	out=$(loads "$way" "$2" "$SECONDS_EACH")
	[ "$way" != egret ] || asked=$((asked + 1))
	b=$(cpu_ns "$pid") d=$(cpu_ns "$beside")
	if grep -Eq 'Non-2xx|Socket errors|unable' <<<"$out"; then
		diag "$way, $2 connections: $out"
		return 1
	fi
	awk -v cpu=$((b - a)) -v beside=$((d - c)) '/requests in/ { n = $1 } /^Requests\/sec/ { r = $2 }
		END { if (!n) exit 1; printf "%.0f %.1f %.1f\n", r, cpu / 1000 / n, beside / 1000 / n }' <<<"$out" >>"$TMP/$way.$2"
}
ways="direct ${haproxy:+haproxy} egret"
for way in $ways; do sample "$way" 32 && rm "$TMP/$way.32"; done
for ((round = 0; round < ROUNDS; round++)); do
	for connections in 1 32; do
		for way in $ways; do sample "$way" $connections || fail "a sample of $way could be taken"; done
	done
done
if [ -n "${PERF:-}" ]; then
	loads egret 32 6 >/dev/null &
	sleep 1
	perf record -q -g -F 999 -p "$proxy" -o "$PERF" -- sleep 4 >/dev/null 2>&1
	wait $!
fi
touch "$TMP/end"
wait $running

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
column() { awk -v c="$2" '{ print $c }' "$1"; }
printf '%-8s %5s %12s %16s %10s %18s %14s\n' way conns requests/s '(least..most)' of-direct us-of-proxy/req us-of-audit/req
for connections in 1 32; do
	base=$(column "$TMP/direct.$connections" 1 | median)
	for way in $ways; do
		f=$TMP/$way.$connections
		rate=$(column "$f" 1 | median)
		spread=$(column "$f" 1 | sort -n | sed -n '1h;$!d;x;G;s/\n/../;p')
		of=$(awk -v a="$rate" -v b="$base" 'BEGIN { printf "%.2f", a / b }')
		printf '%-8s %5s %12s %16s %10s %18s %14s\n' "$way" $connections "$rate" "$spread" "$of" "$(column "$f" 2 | median)" "$(column "$f" 3 | median)"
	done
done
[ "$TESTS_FAILED" = 0 ]
