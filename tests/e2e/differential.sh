#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same bytes to nginx, Apache, HAProxy, node, Python's http.server and aiohttp, first direct and then through egret (payloads.txt): direct
# some of them split into two requests at some origins; through egret each origin sees exactly the requests that the events record, method,
# path, host and length of the body, or nothing, and the payload was refused. Connections to an origin are shared, so that a stray answer
# would meet the next request.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "compares both ways by itself"
. "$ROOT/tests/e2e/origins.sh"
need python3 node apache2 haproxy
py=$(command -v /usr/bin/python3 || command -v python3)
table=$ROOT/tests/e2e/payloads.txt driver=$ROOT/tests/e2e/differential.py log=$TMP/www/seen

origins='nginx:8101 apache:8102 haproxy:8103 node:8104 server:8105'
"$py" -c 'import aiohttp' 2>/dev/null && origins+=' aiohttp:8106'
rules=() targets=()
for one in $origins; do
	EXTRA_HOSTS[${one%:*}.split.test]=$GOOD
	rules+=("\"allow\": \"ANY http://${one%:*}.split.test:${one#*:}\"")
	targets+=("${one%:*}=${one%:*}.split.test:${one#*:}")
done
NGINX_EXTRA="server { listen $GOOD:8101; location / { proxy_pass http://127.0.0.1:8111; proxy_http_version 1.1; proxy_set_header Host \$http_host; } }"
origins_up

# Behind the three that pass on: node, which says what it was given. As an origin of its own it listens once more.
cat >"$TMP/node.js" <<'JS'
const http = require('http'), fs = require('fs'), [addr, log] = process.argv.slice(2);
for (const [o, a, p] of [['nginx', '127.0.0.1', 8111], ['apache', '127.0.0.1', 8112], ['haproxy', '127.0.0.1', 8113], ['node', addr, 8104]])
  http.createServer((q, r) => {
    let n = 0;
    q.on('data', (d) => (n += d.length));
    q.on('end', () => {
      fs.appendFileSync(log, JSON.stringify({ o, m: q.method, u: q.url, h: q.headers.host ?? '', n }) + '\n');
      r.end(`${q.method} ${q.url}\n`);
    });
  }).listen(p, a, 512);
JS
mkdir -p "$TMP/apache"
cat >"$TMP/apache.conf" <<CONF
ServerRoot $TMP/apache
DefaultRuntimeDir $TMP/apache
PidFile $TMP/apache/pid
ErrorLog $TMP/apache/error
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
Listen $GOOD:8102
ServerName apache.test
User nobody
Group nogroup
AllowEncodedSlashes NoDecode
ProxyPreserveHost On
ProxyPass / http://127.0.0.1:8112/ nocanon
CONF
cat >"$TMP/haproxy.conf" <<CONF
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend f
  bind $GOOD:8103
  default_backend b
backend b
  server n 127.0.0.1:8113
CONF
: >"$log"
spawn in_origin node "$TMP/node.js" $GOOD "$log" >>"$TMP/www/out" 2>&1
spawn in_origin apache2 -f "$TMP/apache.conf" -DFOREGROUND >>"$TMP/www/out" 2>&1
spawn in_origin haproxy -q -f "$TMP/haproxy.conf" >>"$TMP/www/out" 2>&1
spawn in_origin "$py" "$driver" server server $GOOD 8105 "$log" >>"$TMP/www/out" 2>&1
[[ $origins != *aiohttp* ]] || AIOHTTP_NO_EXTENSIONS=1 spawn in_origin "$py" "$driver" aiohttp aiohttp $GOOD 8106 "$log" >>"$TMP/www/out" 2>&1
for one in $origins; do wait_port in_host $GOOD "${one#*:}" || exit 1; done

# ---- direct ----
bare "$py" "$driver" send "$table" "${targets[@]}" >"$TMP/direct" 2>"$TMP/direct.err" || diag "$(tail -n 3 "$TMP/direct.err")"
"$py" "$driver" splits "$table" "$log" >"$TMP/splits"
like "$(cat "$TMP/splits")" '^te-plain-[12] ' "direct, Content-Length beside Transfer-Encoding is two requests to somebody"
diag "direct, $(wc -l <"$TMP/splits") payloads are two requests at some origin: $(tr '\n' ',' <"$TMP/splits" | head -c 1500)"
t "direct, twenty payloads or more split somewhere: the table is worth sending" [ "$(wc -l <"$TMP/splits")" -ge 20 ]

# ---- through egret ----
: >"$log"
: >"$TMP/www/access.log"
policy "${rules[@]}"
JOB_OPTS=(--user nobody)
job "$py" "$driver" send "$table" "${targets[@]}" >"$TMP/answers" 2>"$TMP/answers.err" || diag "$(tail -n 3 "$TMP/answers.err")"
"$py" "$driver" compare "$table" "$log" "$TMP/answers" "$TMP/events.ndjson" >"$TMP/compared"
is "$(head -n -1 "$TMP/compared" | head -n 30)" '' "each origin saw exactly what is recorded, or nothing of what was refused"
diag "$(tail -n 1 "$TMP/compared")"
n=$("$py" -c "import sys; sys.path.insert(0, '$ROOT/tests/e2e'); import differential as d; print(len(list(d.table('$table'))))")
is "$(wc -l <"$TMP/answers")" $((n * $(wc -w <<<"$origins"))) "every payload was sent to every origin"
is "$(origin_count evil)" 0 "evil.test saw nothing"
done_testing
