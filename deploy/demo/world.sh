# SPDX-License-Identifier: Apache-2.0
# The demo's world: two network namespaces and a cable. "host" is the CI machine; "outside" holds nginx (api.shop.test and evil.test), a
# name server and a UDP sink that write down what reaches them. Sourced by run.sh; world_down takes everything away.

HOST_NS=egret-demo-host-$$ OUT_NS=egret-demo-out-$$
API=198.51.100.10 EVIL=198.51.100.20 NAMES=198.51.100.53
WORLD_PIDS=()

on_host() { nsenter --net="/run/netns/$HOST_NS" "$@"; }
outside() { nsenter --net="/run/netns/$OUT_NS" "$@"; }

world_net() {
	ip netns add "$HOST_NS" && ip netns add "$OUT_NS" || return 1
	ip link add "eh$$" netns "$HOST_NS" type veth peer name "eo$$" netns "$OUT_NS" || return 1
	on_host sh -ec "ip link set lo up; ip link set eh$$ up; ip addr add 198.51.100.1/24 dev eh$$" || return 1
	outside sh -ec "ip link set lo up; ip link set eo$$ up; for a in $API $EVIL $NAMES; do ip addr add \$a/24 dev eo$$; done"
}

world_pki() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj "/CN=shop.test CA" -keyout "$W/ca.key" -out "$W/ca.pem" \
		-addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' 2>/dev/null || return 1
	local name
	for name in api.shop.test evil.test; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$W/$name.key" -out "$W/$name.csr" 2>/dev/null &&
			openssl x509 -req -in "$W/$name.csr" -CA "$W/ca.pem" -CAkey "$W/ca.key" -CAcreateserial -days 7 -out "$W/$name.pem" -extfile <(
				printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,digitalSignature' 'extendedKeyUsage=serverAuth' \
					'subjectKeyIdentifier=hash' 'authorityKeyIdentifier=keyid' "subjectAltName=DNS:$name"
			) 2>/dev/null || return 1
	done
}

# A line a request: name asked for in TLS, Host, method, target as sent, Authorization.
world_nginx() {
	mkdir -p "$W/nginx"
	chmod 777 "$W/nginx"
	cat >"$W/nginx.conf" <<-CONF
		daemon off; pid $W/nginx/pid; error_log $W/nginx/error.log warn; worker_processes 1;
		events { worker_connections 64; }
		http {
		  log_format line '\$ssl_server_name|\$host|\$request_method|\$request_uri|\$http_authorization';
		  access_log $W/nginx/access.log line; default_type text/plain; ssl_protocols TLSv1.2 TLSv1.3;
		  client_body_temp_path $W/nginx/b; proxy_temp_path $W/nginx/p; fastcgi_temp_path $W/nginx/f; uwsgi_temp_path $W/nginx/u; scgi_temp_path $W/nginx/s;
		  server {
		    listen $API:443 ssl; server_name api.shop.test; ssl_certificate $W/api.shop.test.pem; ssl_certificate_key $W/api.shop.test.key;
		    location /v1/releases { if (\$request_method = POST) { return 201 "released\n"; } return 200 "v1.0 v1.1\n"; }
		    location /v1/admin { return 200 "admin\n"; }
		    location / { return 200 "shop\n"; }
		  }
		  server {
		    listen $API:443 ssl; listen $EVIL:443 ssl; server_name evil.test; ssl_certificate $W/evil.test.pem; ssl_certificate_key $W/evil.test.key;
		    location / { return 200 "thanks\n"; }
		  }
		}
	CONF
	nsenter --net="/run/netns/$OUT_NS" nginx -p "$W/nginx" -e "$W/nginx/error.log" -c "$W/nginx.conf" >"$W/nginx/out" 2>&1 &
	WORLD_PIDS+=($!)
}

world_up() {
	world_net && world_pki || return 1
	local cc=${CC:-gcc} one
	for one in sink scan; do "$cc" -std=gnu17 -D_GNU_SOURCE -O2 -o "$W/$one" "$DEMO/$one.c" || return 1; done
	world_nginx
	nsenter --net="/run/netns/$OUT_NS" "$W/sink" "$W/dns.log" $NAMES:53 api.shop.test=$API evil.test=$EVIL '*.evil.test='$EVIL &
	WORLD_PIDS+=($!)
	nsenter --net="/run/netns/$OUT_NS" "$W/sink" "$W/udp.log" $EVIL:443 &
	WORLD_PIDS+=($!)
	# What the machine of a run without egret asks.
	echo "nameserver $NAMES" >"$W/resolv.conf"
	echo "hosts: files dns" >"$W/nsswitch.conf"
	echo "127.0.0.1 localhost" >"$W/hosts"
	local tries=0
	until on_host timeout 2 bash -c "exec 3<>/dev/tcp/$API/443" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || { cat "$W/nginx/error.log" "$W/nginx/out" >&2; return 1; }
		sleep 0.05
	done
	world_forget
}
world_forget() { # counts start at nothing
	: >"$W/nginx/access.log"
	: >"$W/dns.log"
	: >"$W/udp.log"
}
world_down() {
	local p
	for p in "${WORLD_PIDS[@]}"; do kill "$p" 2>/dev/null; done
	for p in "${WORLD_PIDS[@]}"; do wait "$p" 2>/dev/null; done
	# What is still in them was started by this demo.
	kill -9 $(ip netns pids "$HOST_NS" 2>/dev/null) $(ip netns pids "$OUT_NS" 2>/dev/null) 2>/dev/null
	ip netns del "$HOST_NS" 2>/dev/null
	ip netns del "$OUT_NS" 2>/dev/null
	return 0
}
# What reached the outside: pattern over "sni|host|method|target|authorization" lines.
arrived() { grep -Ec -- "$1" "$W/nginx/access.log"; }
