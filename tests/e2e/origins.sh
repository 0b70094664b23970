# SPDX-License-Identifier: Apache-2.0
# The outside world of the end-to-end tests: nginx with a private CA in a namespace of its own, and `job`, which runs a command
# under egret against it. Sourced after lib.sh. EGRET_DIRECT=1 runs the same commands without egret (trust and names by bind
# mounts in a private mount namespace): it shows that clients and origins are good, so that a failure is egret's.
#
#   origins_up; policy '"allow": "GET https://api.test/**"' ...; job curl https://api.test/

NAMES='api.test files.test git.test pypi.test npm.test apt.test node.test'
GOOD=198.51.100.10 EVIL=198.51.100.20 BAD=198.51.100.30 GOOD6=2001:db8:51::10
POLICY=
CREDENTIAL=
JOB_OPTS=()
EGRET_DIRECT=${EGRET_DIRECT:-}
declare -A EXTRA_HOSTS=()
NGINX_EXTRA= # more server blocks, set before origins_up, and the names that they serve
NGINX_OWN=
UPSTREAM_MORE= # members of the configuration's `upstream`

# One line a request: host sni method uri status authorization
origin_log() { cat "$TMP/www/access.log" 2>/dev/null; }
origin_count() { origin_log | grep -Ec -- "$1"; } # regex over those lines

# A server block: name, listen lines, certificate, body
server() {
	local name=$1 listen=$2 cert=$3
	echo "server {"
	tr ';' '\n' <<<"$listen" | sed 's/^ */  listen /; s/$/;/'
	echo "  server_name $name; root $TMP/www/\$host;"
	[ -z "$cert" ] || echo "  ssl_certificate $TMP/$cert.pem; ssl_certificate_key $TMP/$cert.key;"
	echo "$4"
	echo "}"
}

origins_files() {
	local n
	mkdir -p "$TMP/www/upload" "$TMP/www/nginx"
	for n in $NAMES evil.test; do mkdir -p "$TMP/www/$n"; done
	ln -s api.test "$TMP/www/plain.test"; ln -s api.test "$TMP/www/v6.test"
	echo 'hello from api' >"$TMP/www/api.test/hello.txt"
	echo 'hello from evil' >"$TMP/www/evil.test/index.html"
	echo 'index of api' >"$TMP/www/api.test/index.html"
	# Left for everyone to write: nginx's workers drop root.
	chmod 777 "$TMP/www" "$TMP/www/upload" "$TMP/www/nginx"
}

origins_conf() {
	local n plain=
	cat <<-CONF
		daemon off; pid $TMP/www/nginx.pid; error_log $TMP/www/error.log notice; worker_processes 1;
		events { worker_connections 512; }
		http {
		  log_format story '\$host \$ssl_server_name \$request_method \$request_uri \$status \$http_authorization';
		  access_log $TMP/www/access.log story;
		  default_type application/octet-stream; types { text/html html; text/plain txt; application/json json; }
		  client_max_body_size 0; keepalive_requests ${ORIGIN_KEEPALIVE:-100000}; sendfile on;
		  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:s:1m;
		  client_body_temp_path $TMP/www/nginx/b; proxy_temp_path $TMP/www/nginx/p; fastcgi_temp_path $TMP/www/nginx/f;
		  uwsgi_temp_path $TMP/www/nginx/u; scgi_temp_path $TMP/www/nginx/s;
	CONF
	for n in $NAMES; do [[ " $NGINX_OWN " == *" $n "* ]] || plain+=" $n"; done
	server "$plain" "$GOOD:443 ssl; [$GOOD6]:443 ssl; $GOOD:8080" good "
		location / { }
		location = /echo { default_type text/plain; return 200 'auth=\$http_authorization x=\$http_x_token ua=\$http_user_agent te=\$http_transfer_encoding\n'; }
		location = /trailers { add_trailer X-Sum 'sum-\$request_method' always; alias $TMP/www/api.test/hello.txt; }
		location = /redirect { return 302 https://evil.test/taken; }
		location /post { proxy_pass http://127.0.0.1:8099; proxy_request_buffering off; proxy_http_version 1.1; }
		location /upload/ { alias $TMP/www/upload/; dav_methods PUT DELETE; dav_access all:rw; }"
	server "post" "127.0.0.1:8099" "" "client_body_in_single_buffer on; client_body_buffer_size 1m;
		location / { default_type text/plain; proxy_pass http://127.0.0.1:8098; }"
	server "post2" "127.0.0.1:8098" "" "location / { default_type text/plain; return 200 'stored\n'; }"
	server "evil.test" "$EVIL:443 ssl; $EVIL:80; $GOOD:443 ssl" evil ""
	for n in expired wrongname selfsigned untrusted; do
		server "$n.test" "$BAD:443 ssl" "$n" "location / { return 200 'bad upstream answered'; }"
	done
	echo "$NGINX_EXTRA"
	echo "}"
}

origins_up() {
	need_root
	need nginx openssl curl ip nsenter
	[ -n "$EGRET_DIRECT" ] || need_egret
	net_up || { fail "network namespaces could be made"; exit 1; }
	local n san=
	for n in $NAMES; do san+="DNS:$n,"; done
	pki_ca outside && pki_ca other
	pki_leaf outside good "${san}IP:$GOOD" && pki_leaf outside evil DNS:evil.test
	pki_leaf outside expired DNS:expired.test 20250101000000Z 20250301000000Z
	pki_leaf outside wrongname DNS:another.test
	pki_leaf other untrusted DNS:untrusted.test
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=selfsigned.test \
		-keyout "$TMP/selfsigned.key" -out "$TMP/selfsigned.pem" -addext subjectAltName=DNS:selfsigned.test 2>/dev/null
	origins_files
	origins_conf >"$TMP/www/nginx.conf"
	spawn in_origin nginx -p "$TMP/www" -e "$TMP/www/error.log" -c "$TMP/www/nginx.conf" >>"$TMP/www/out" 2>&1
	NGINX_PID=$SPAWNED
	wait_port in_host $GOOD 443 || { diag "$(tail -n 5 "$TMP/www/error.log" "$TMP/www/out")"; exit 1; }
	: >"$TMP/www/access.log"
	config
}

hosts_json() {
	local n sep=
	for n in $NAMES plain.test; do
		printf '%s"%s": ["%s"]' "$sep" "$n" $GOOD
		sep=', '
	done
	printf ', "evil.test": ["%s"], "v6.test": ["%s"]' $EVIL $GOOD6
	for n in expired wrongname selfsigned untrusted; do printf ', "%s.test": ["%s"]' $n $BAD; done
	for n in "${!EXTRA_HOSTS[@]}"; do printf ', "%s": ["%s"]' "$n" "${EXTRA_HOSTS[$n]}"; done
}
config() { # [more members of the object]
	cat >"$TMP/egret.json" <<-JSON
		{
		  "state_dir": "$TMP/state", "run_dir": "$TMP/run",
		  "upstream": { ${UPSTREAM_MORE:+$UPSTREAM_MORE,}
		    "hosts": { $(hosts_json) },
		    "ca_file": "$TMP/outside.pem", "allow_private": ["198.51.100.0/24", "2001:db8:51::/64"]
		  }${1:+, $1}
		}
	JSON
	export EGRET_STATE_DIR=$TMP/state EGRET_RUN_DIR=$TMP/run
}

policy() { # rules, each the members of its object: '"allow": "GET https://api.test/**"'
	local r i=0
	POLICY=$TMP/policy.json
	{
		printf '{ "version": 1, "name": "e2e", "mode": "%s", "rules": [' "${MODE:-enforce}"
		for r; do
			i=$((i + 1))
			printf '%s\n  { "id": "r%d", %s }' "$([ $i = 1 ] || echo ,)" $i "$r"
		done
		printf '\n] }\n'
	} >"$POLICY"
}

# Runs it as a job; its output is the command's, egret's own sentences are on stderr, its events in $TMP/events.ndjson.
job() {
	if [ -n "$EGRET_DIRECT" ]; then
		bare "$@"
		return
	fi
	timeout -k 5 "${JOB_TIMEOUT:-100}" nsenter ${HOSTMNT:+--mount="$HOSTMNT"} --net="/run/netns/$HOSTNS" "$EGRET" run --config "$TMP/egret.json" \
		--policy "$POLICY" ${CREDENTIAL:+--credential "$CREDENTIAL"} --events "$TMP/events.ndjson" "${JOB_OPTS[@]}" -- "$@"
}
bare() { # the same command without egret
	local n
	if [ ! -e "$TMP/bare.hosts" ]; then
		{
			echo 127.0.0.1 localhost
			echo "$GOOD $NAMES plain.test"
			echo "$EVIL evil.test"
			echo "$GOOD6 v6.test"
			echo "$BAD expired.test wrongname.test selfsigned.test untrusted.test"
			for n in "${!EXTRA_HOSTS[@]}"; do echo "${EXTRA_HOSTS[$n]} $n"; done
		} >"$TMP/bare.hosts"
		command -v keytool >/dev/null && keytool -importcert -noprompt -alias ca -file "$TMP/outside.pem" \
			-keystore "$TMP/bare.p12" -storetype PKCS12 -storepass changeit >/dev/null 2>&1
	fi
	# shellcheck disable=SC2016
	timeout -k 5 "${JOB_TIMEOUT:-100}" nsenter --net="/run/netns/$HOSTNS" unshare -m --propagation private bash -c '
		mount --bind "$0/bare.hosts" /etc/hosts; mount --bind "$0/outside.pem" /etc/ssl/certs/ca-certificates.crt
		C=$0/outside.pem
		export SSL_CERT_FILE=$C CURL_CA_BUNDLE=$C GIT_SSL_CAINFO=$C REQUESTS_CA_BUNDLE=$C PIP_CERT=$C NODE_EXTRA_CA_CERTS=$C CARGO_HTTP_CAINFO=$C
		export JAVA_TOOL_OPTIONS="-Djavax.net.ssl.trustStore=$0/bare.p12 -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword=changeit"
		unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY
		exec "$@"' "$TMP" "$@"
}
# Of all jobs of this test: whatever a proxy dialled, a request explains it (docs/threat-model.md).
unexplained() { cat "$TMP"/state*/events*.ndjson 2>/dev/null | grep -c '"reason":"unexplained"'; }
before_done() { ! enforced || is "$(unexplained)" 0 "no proxy dialled what no request explains"; }
# Expectations that only make sense with egret in the way.
enforced() { [ -z "$EGRET_DIRECT" ]; }
# The events of the last job, one line each: kind verdict reason method-or-name url
events() { cat "$TMP/events.ndjson" 2>/dev/null; }
events_clear() { rm -f "$TMP/events.ndjson"; }
sha() { if [ -f "$1" ]; then sha256sum "$1" | cut -d' ' -f1; else echo "no file ${1##*/} ($RANDOM)"; fi; }
