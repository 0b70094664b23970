#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A parent proxy (upstream.proxy): names are reached through it, in TLS, in clear and unopened; what no_proxy and hosts name is not; its
# refusals and its silence are sentences. It stands at a private address that nothing else opens.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
need python3 jq
PARENT=10.77.5.1
names=(up deny auth close junk long mute late)
NAMES+=" ${names[*]/%/.test} mint.test"
# An authorisation server and an issuer, as far as this needs them.
NGINX_EXTRA="
server { listen $GOOD:443 ssl; server_name mint.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key; default_type application/json;
  location = /token { return 200 '{\"access_token\": \"minted-behind-a-parent\", \"token_type\": \"Bearer\", \"expires_in\": 600}'; }
  location = /.well-known/openid-configuration { return 200 '{\"issuer\": \"https://mint.test\", \"jwks_uri\": \"https://mint.test/keys\"}'; }
  location = /keys { return 200 '{\"keys\": []}'; } }"
NGINX_OWN=mint.test
origins_up
in_host ip addr add 10.77.5.2/24 dev "vh$$"
in_origin ip addr add $PARENT/24 dev "vo$$"
cat >"$TMP/parent.py" <<'PY'
import select, socket, sys, threading, time
here, good, log = sys.argv[1:4]
said = {b'deny': b'HTTP/1.1 403 Forbidden\r\nX: y\r\n\r\nno', b'auth': b'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n',
        b'close': b'', b'junk': b'\x16\x03\x01 no http\r\n\r\n', b'long': b'HTTP/1.1 200 OK\r\nX: ' + b'x' * 40000}
def relay(a, b):
    while True:
        for s in select.select([a, b], [], [])[0]:
            d = s.recv(65536)
            if not d: return
            (b if s is a else a).sendall(d)
def one(c):
    head = b''
    while b'\r\n\r\n' not in head: head += c.recv(4096)
    line = head.split(b'\r\n')[0]
    with open(log, 'ab') as f: f.write(line + b'\n')
    with open(log[:-3] + 'heads', 'ab') as f: f.write(head)
    name, port = line.split()[1].rsplit(b':', 1)
    short = name.split(b'.')[0]
    if short == b'mute': time.sleep(60)
    if short in said: c.sendall(said[short])
    elif short == b'banner':
        c.sendall(b'HTTP/1.1 200 OK\r\n\r\nthe server speaks first\n')
        c.sendall(b'echo ' + c.recv(100))
    else:
        u = socket.create_connection((good, int(port)))
        for b in b'HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n' if short == b'late' else ():
            c.sendall(bytes([b])); time.sleep(0.005)
        if short != b'late': c.sendall(b'HTTP/1.1 200 Connection established\r\nContent-Length: 5\r\n\r\n')
        relay(c, u)
def run(c):
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try: one(c)
    finally: c.close()
l = socket.create_server((here, 3128))
while True: threading.Thread(target=run, args=(l.accept()[0],), daemon=True).start()
PY
spawn in_origin python3 "$TMP/parent.py" $PARENT $GOOD "$TMP/parent.log" 2>"$TMP/parent.err"
wait_port in_origin $PARENT 3128
hosts='{ "api.test": ["198.51.100.10"] }'
configured() { # members of "upstream"; a run_dir of its own each time, since an egretd that lingers has the one before
	RUN=$((${RUN:-0} + 1))
	cat >"$TMP/egret.json" <<-JSON
		{ "state_dir": "$TMP/state", "run_dir": "$TMP/run$RUN", "limits": { "connect_ms": 2000 },
		  "upstream": { "nameservers": [], "hosts": $hosts, "ca_file": "$TMP/outside.pem", "allow_private": ["198.51.100.0/24"]$1 } }
	JSON
	export EGRET_RUN_DIR=$TMP/run$RUN
	: >"$TMP/parent.log"
	events_clear
}
rules=()
for n in "${names[@]}" direct api; do rules+=("\"allow\": \"GET https://$n.test/**\"" "\"allow\": \"GET http://$n.test:8080/**\""); done
passed() { policy "${rules[@]}" '"allow": "tcp://banner.test:2222"'; }
passed
cat >"$TMP/ask.sh" <<'SH'
#!/bin/bash
for u; do
	printf '%s ' "$u"
	curl -s -i --http1.1 --max-time 20 "$u" | tr -d '\r' | sed -n '1p; $p' | tr '\n' ' '
	echo
done
exec 3<>/dev/tcp/banner.test/2222 && read -r -t 5 line <&3 && echo hello >&3 && read -r -t 5 more <&3 && echo "banner $line, $more"
SH
chmod 755 "$TMP/ask.sh"
ask() { out=$(job "$TMP/ask.sh" "$@" 2>"$TMP/err"); }
line() { grep "^$1" <<<"$out"; }

configured ''
ask https://up.test/echo
like "$(line https://up)" ' 502 egret' "without a parent the name cannot be reached"
is "$(grep -c . "$TMP/parent.log")" 0 "and nobody asks it"

configured ", \"proxy\": \"http://$PARENT:3128\", \"no_proxy\": [\"direct.test\", \"10.0.0.0/8\"]"
ask https://up.test/echo http://up.test:8080/echo https://late.test/echo https://api.test/hello.txt https://direct.test/ \
	https://deny.test/ https://auth.test/ https://close.test/ https://junk.test/ https://long.test/ https://mute.test/
like "$(line https://up)" ' 200 OK auth=' "TLS through the parent"
like "$(line http://up)" ' 200 OK auth=' "in clear through the parent"
like "$(line https://late)" ' 200 OK auth=' "its answer comes byte by byte"
like "$(line banner)" '^banner the server speaks first, echo hello' "unopened, the server's first words in one packet with the parent's answer"
like "$(line https://api)" ' 200 OK hello from api' "a name of upstream.hosts: dialled by us"
like "$(line https://direct)" ' 502 egret could not reach direct.test: the nameservers failed' "a name of no_proxy: not by the parent"
is "$(sed 's/ HTTP.*//; s/CONNECT //' "$TMP/parent.log" | sort | tr '\n' ' ')" "auth.test:443 banner.test:2222 close.test:443 deny.test:443 junk.test:443 late.test:443 long.test:443 mute.test:443 up.test:443 up.test:8080 " \
	"the parent was asked for the others, each by name and port"
like "$(line https://deny)" ' 502 egret could not reach deny.test: the parent proxy refused: it answered CONNECT with 403' "it refuses: 502 with its status"
like "$(line https://auth)" ' 502 egret .*the parent proxy wants credentials .407., and egret has none for it' "it wants credentials"
like "$(line https://close)" ' 502 egret .*the parent proxy ended the connection without an answer' "it ends the connection"
like "$(line https://junk)" ' 502 egret .*the parent proxy does not answer in HTTP' "it does not speak HTTP"
like "$(line https://long)" ' 502 egret .*the parent proxy does not answer in HTTP' "its answer passes the bound"
like "$(line https://mute)" ' 504 egret .*the parent proxy did not answer in time' "it is silent: 504 after connect_ms"
t "and in the record" grep -q '"http.response".*the parent proxy refused: it answered CONNECT with 403.*deny.test' "$TMP/events.ndjson"
like "$(events | jq -c 'select(.kind=="http.request" and .dest.host=="up.test") | .dest' | head -n 1)" '"up.test","ip":"10.77.5.1","port":443' \
	"the record of a request names the host and the parent's address"

# What egret asks on its own behalf goes the same way: a provider of credentials, and the keys of a CI system's issuer.
printf client-secret >"$TMP/client-secret"
mints() { # name
	jq -n --arg at "https://$1.test/token" --arg secret "file:$TMP/client-secret" '{ name: "minted", provider: "oauth2", token_url: $at, grant: "client_credentials", client_id: "c",
		client_secret: $secret, for: "any", hosts: ["up.test"], inject: { header: "Authorization", format: "Bearer {token}" } }' >"$TMP/minted.json"
	CREDENTIAL=$TMP/minted.json
}
policy '"allow": "GET https://up.test/**", "credential": "minted"'
mints mint
: >"$TMP/parent.log"
like "$(job curl -sS -m 20 https://up.test/echo 2>&1)" 'auth=Bearer [*]{22} ' "a credential is minted through the parent, and scrubbed from the answer"
t "by CONNECT, with the name and the port alone" grep -qx 'CONNECT mint.test:443 HTTP/1.1' "$TMP/parent.log"
is "$(grep -c 'Authorization\|Y2\|client' "$TMP/parent.heads")" 0 "the parent saw none of what proves the client"
mints auth
like "$(job curl -sS -m 20 https://up.test/echo 2>&1)" '^egret could not get credential minted .oauth2: the parent proxy wants credentials .407., and egret has none for it' "it wants credentials: not minted, and said so"
b64() { basenc --base64url -w 0 | tr -d =; }
now=$(date +%s)
printf '%s.%s.c2lnbmVk' "$(printf '{"alg":"RS256","kid":"k"}' | b64)" \
	"$(printf '{"iss":"https://mint.test","aud":"a","exp":%d,"iat":%d,"jti":"j"}' $((now + 300)) "$now" | b64)" >"$TMP/token"
keys() { in_host "$BUILD/tests/e2e/identity_ask" "$BUILD/bin/egret-identity" "$TMP/token" https://mint.test a generic "$TMP/outside.pem" "$@" 2>&1; }
like "$(keys dns=127.0.0.1:1)" '^failed https://mint.test/.well-known/openid-configuration: the nameservers did not' "an issuer's keys without a parent: its name is not to be had"
like "$(keys "proxy=http://$PARENT:3128")" '^failed .*no key of the token.s name' "through the parent they are, and have no such key"
like "$(keys "proxy=http://$PARENT:3128" no_proxy=.test dns=127.0.0.1:1)" '^failed .*: the nameservers did not' "a name of no_proxy is not asked of it"
CREDENTIAL=
passed

configured ", \"proxy\": \"http://$PARENT:3129\""
ask https://up.test/echo
like "$(line https://up)" ' 502 egret .*the parent proxy 10.77.5.1 port 3129: connection refused' "no parent at its port"
hosts='{ "parent.corp": ["10.77.5.1"] }'
configured ', "proxy": "http://parent.corp:3128"'
ask https://up.test/echo https://api.test/hello.txt
like "$(line https://up)" ' 200 OK auth=' "a parent with a name, whose address upstream.hosts says"
like "$(line https://api)" ' 200 OK hello from api' "and another name"
done_testing
