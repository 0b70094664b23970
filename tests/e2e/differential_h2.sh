#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# differential.sh for HTTP/2: hostile requests as raw frames to egret, behind it nginx and HAProxy (HTTP/2, each in front of node), node (HTTP/1.1 and
# HTTP/2) and Python's http.server. Each origin sees exactly the requests that the events record, or nothing, and the payload was refused.
# Connections to an origin are shared, so that a stray answer would meet the next request. Direct first: what is honest is answered.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "compares both ways by itself"
. "$ROOT/tests/e2e/origins.sh"
need python3 node haproxy jq
py=$(command -v /usr/bin/python3 || command -v python3)
"$py" -c 'import hpack' 2>/dev/null || skip_all "python3-hpack is not installed"
driver=$ROOT/tests/e2e/differential_h2.py log=$TMP/www/seen

origins='nginx:8201 haproxy:8203 node:8204 nodetwo:8205 server:8206'
rules=() targets=()
for one in $origins; do
	NAMES+=" ${one%:*}.split.test" NGINX_OWN+=" ${one%:*}.split.test"
	rules+=("\"allow\": \"ANY https://${one%:*}.split.test:${one#*:}\"")
	targets+=("${one%:*}=${one%:*}.split.test:${one#*:}")
done
NGINX_EXTRA=$(server nginx.split.test "$GOOD:8201 ssl http2" good 'location / { proxy_pass http://127.0.0.1:8211; proxy_http_version 1.1; proxy_set_header Host $http_host; }')
origins_up

cat >"$TMP/node.js" <<'JS'
const http = require('http'), https = require('https'), http2 = require('http2'), fs = require('fs'), [addr, log, pem, key] = process.argv.slice(2);
const tls = { cert: fs.readFileSync(pem), key: fs.readFileSync(key) };
const on = (o) => (q, r) => {
  let n = 0;
  q.on('data', (d) => (n += d.length));
  q.on('end', () => {
    fs.appendFileSync(log, JSON.stringify({ o, m: q.method, u: q.url, h: q.headers[':authority'] ?? q.headers.host ?? '', n }) + '\n');
    r.end(`${q.method} ${q.url}\n`);
  });
};
http.createServer(on('nginx')).listen(8211, '127.0.0.1');
http.createServer(on('haproxy')).listen(8213, '127.0.0.1');
https.createServer(tls, on('node')).listen(8204, addr);
http2.createSecureServer(tls, on('nodetwo')).listen(8205, addr);
JS
cat "$TMP/good.pem" "$TMP/good.key" >"$TMP/both.pem"
cat >"$TMP/haproxy.conf" <<CONF
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend f
  bind $GOOD:8203 ssl crt $TMP/both.pem alpn h2,http/1.1
  default_backend b
backend b
  server n 127.0.0.1:8213
CONF
: >"$log"
spawn in_origin node "$TMP/node.js" $GOOD "$log" "$TMP/good.pem" "$TMP/good.key" >>"$TMP/www/out" 2>&1
spawn in_origin haproxy -q -f "$TMP/haproxy.conf" >>"$TMP/www/out" 2>&1
spawn in_origin "$py" "$driver" tls server $GOOD 8206 "$log" "$TMP/good.pem" "$TMP/good.key" >>"$TMP/www/out" 2>&1
for one in $origins; do wait_port in_host $GOOD "${one#*:}" || exit 1; done

# ---- direct: those that speak HTTP/2 themselves ----
bare "$py" "$driver" send "${targets[0]}" "${targets[1]}" "${targets[3]}" >"$TMP/direct" 2>"$TMP/direct.err" || diag "$(tail -n 3 "$TMP/direct.err")"
is "$(jq -r 'select(.name | startswith("honest")) | .said' "$TMP/direct" | grep -c '^200')" 12 "direct, four honest requests to three origins are answered"
t "direct, something hostile reaches an origin: the table is worth sending" \
	[ "$(jq -r 'select(.name | startswith("honest") | not) | .said' "$TMP/direct" | grep -c '^200')" -ge 20 ]

# ---- through egret ----
: >"$log"
: >"$TMP/www/access.log"
policy "${rules[@]}"
JOB_OPTS=(--user nobody)
job "$py" "$driver" send "${targets[@]}" >"$TMP/answers" 2>"$TMP/answers.err" || diag "$(tail -n 3 "$TMP/answers.err")"
"$py" "$driver" compare "$log" "$TMP/answers" "$TMP/events.ndjson" >"$TMP/compared"
is "$(head -n -1 "$TMP/compared" | head -n 30)" '' "each origin saw exactly what is recorded, or nothing of what was refused"
diag "$(tail -n 1 "$TMP/compared")"
is "$(wc -l <"$TMP/answers")" $(($("$py" "$driver" count) * 5 - 1)) "every payload was sent to every origin, but trailers to nginx"
is "$(origin_count evil)" 0 "evil.test saw nothing"
done_testing
