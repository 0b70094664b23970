#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job on a path of 20 ms round trip, with egret and without: 20 times `curl` one after the other (a process each), 20 times `git
# ls-remote` over HTTPS, `npm ci` of 100 packages against a registry of files, and the same requests without npm (storm.js). Packets go by
# two TUN devices and rtt_relay.c, so that handshakes pay the path too. Direct and egret in turn; each round of egret is a new job, whose
# proxy knows nothing yet, and its own start is not counted. Milliseconds, medians. Called by run.sh.
#
# ROUNDS (5), RTT_MS (20), COUNT (20), PACKAGES (100), KINDS (curl git npm storm). ROOTS: clients trust "one" root more than egret's, or with
# "system" all of the system's on both sides, which each process reads anew (some 25 ms of its CPU here). DNS: names are in the configuration
# and in /etc/hosts, so that neither side waits for them; with "path" both ask a nameserver at the other end. H2=1: origins speak HTTP/2 too.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
need node npm git fcgiwrap
ROUNDS=${ROUNDS:-5} RTT_MS=${RTT_MS:-20} COUNT=${COUNT:-20} PACKAGES=${PACKAGES:-100}
NGINX_OWN=git.test
NGINX_EXTRA="
upstream backends { server unix:$TMP/fcgi.1; server unix:$TMP/fcgi.2; server unix:$TMP/fcgi.3; server unix:$TMP/fcgi.4; }
server { listen $GOOD:443 ssl${H2:+ http2}; server_name git.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key;
  location / {
    fastcgi_pass backends; fastcgi_param SCRIPT_FILENAME $(git --exec-path)/git-http-backend; fastcgi_param GIT_PROJECT_ROOT $TMP/git;
    fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param PATH_INFO \$uri; fastcgi_param QUERY_STRING \$query_string;
    fastcgi_param REQUEST_METHOD \$request_method; fastcgi_param CONTENT_TYPE \$content_type;
    fastcgi_param CONTENT_LENGTH \$content_length; fastcgi_param GIT_PROTOCOL \$http_git_protocol;
  } }"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_TERMINAL_PROMPT=0 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t.test \
	GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t.test GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
mkdir -p "$TMP/git" && git init -q -b main "$TMP/seed" && git -C "$TMP/seed" commit -q --allow-empty -m one && git clone -q --bare "$TMP/seed" "$TMP/git/web.git"
# Each by itself: one that forks leaves its children behind.
for i in 1 2 3 4; do
	spawn fcgiwrap -s "unix:$TMP/fcgi.$i" >/dev/null 2>&1
	wait_for 5 "[ -S '$TMP/fcgi.$i' ]" && chmod 666 "$TMP/fcgi.$i"
done
origins_up
[ "${ROOTS:-one}" = one ] || cat /etc/ssl/certs/ca-certificates.crt >>"$TMP/outside.pem"
policy '"allow": "GET https://api.test/**"' '"allow": "ANY https://git.test/**"' '"allow": "GET https://npm.test/**"'

node "$ROOT/tests/bench/registry.js" "$TMP/www/npm.test" "$TMP/project" "$PACKAGES" && cp "$ROOT/tests/bench/storm.js" "$TMP/project" || exit 1

# The path takes the cable's place, addresses and all.
spawn "$BUILD/tests/bench/rtt_relay" "/run/netns/$HOSTNS" path "/run/netns/$ORIGINNS" path $((RTT_MS * 500)) >"$TMP/relay.out" 2>&1
wait_for 5 "grep -q ready '$TMP/relay.out'" || { cat "$TMP/relay.out"; exit 1; }
in_host bash -ec "ip link del vh$$; ip addr add 198.51.100.1/24 dev path; ip link set path mtu 1500 txqueuelen 10000 up"
in_origin bash -ec 'ip link set path mtu 1500 txqueuelen 10000 up; for a in 10 20 30 53; do ip addr add 198.51.100.$a/24 dev path; done'
wait_port in_host $GOOD 443 || exit 1
direct=(bare)
if [ "${DNS:-}" = path ]; then
	spawn in_origin "$(helper sink)" "$TMP/dns.log" 198.51.100.53:53 api.test=$GOOD git.test=$GOOD npm.test=$GOOD
	wait_for 5 "in_origin ss -Hlun 'sport = 53' | grep -q ." || exit 1
	jq '.upstream.hosts = {} | .upstream.nameservers = ["198.51.100.53"]' "$TMP/egret.json" >"$TMP/new.json" && mv "$TMP/new.json" "$TMP/egret.json"
	echo '127.0.0.1 localhost' >"$TMP/bare.hosts"
	echo 'nameserver 198.51.100.53' >"$TMP/resolv.conf"
	# shellcheck disable=SC2016
	direct=(bare bash -c 'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$TMP/resolv.conf")
fi

cat >"$TMP/work.sh" <<'SH'
#!/bin/bash
# kind, count, project, folder of its own: milliseconds it took
work() {
	case $1 in
	curl) for ((i = 0; i < $2; i++)); do curl -sSf -o /dev/null https://api.test/hello.txt || exit 1; done ;;
	git) for ((i = 0; i < $2; i++)); do git ls-remote -q https://git.test/web.git main >/dev/null || exit 1; done ;;
	npm) cd "$4" && npm ci --silent --no-audit --no-fund --ignore-scripts --registry https://npm.test/ --cache "$4/cache" ;;
	storm) node "$4/storm.js" "$4" ;;
	esac
}
[[ $1 != @(npm|storm) ]] || { mkdir -p "$4" && cp "$3"/* "$4"; }
export HOME=$4
from=${EPOCHREALTIME/./}
work "$@" >&2 || exit 1
echo $(((${EPOCHREALTIME/./} - from) / 1000))
SH
chmod 755 "$TMP/work.sh"
# npm writes some thousand files, which takes a disk's file system 0.2 to 0.5 ms each, as it pleases.
MEM=$(mktemp -d /dev/shm/egret-test.XXXXXX) && chmod 755 "$MEM" && at_exit 'rm -rf --one-file-system "$MEM"' || exit 1
n=0
sample() { # way, kind
	local run=(job) took
	[ "$1" = egret ] || run=("${direct[@]}")
	n=$((n + 1))
	took=$("${run[@]}" "$TMP/work.sh" "$2" "$COUNT" "$TMP/project" "$MEM/one.$n" 2>"$TMP/words")
	rm -rf "$MEM/one.$n"
	if [[ ! $took =~ ^[0-9]+$ ]]; then
		fail "$1, $2: a sample could be taken" "$(tail -n 5 "$TMP/words")"
		return 1
	fi
	echo "$took" >>"$TMP/$1.$2"
}
for ((round = 0; round < ROUNDS; round++)); do
	for kind in ${KINDS:-curl git npm storm}; do
		for way in direct egret; do sample $way "$kind"; done
	done
done
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
printf '%-5s %10s %10s %8s %17s   %s\n' what direct egret median 'mean +- its error' 'ratio of the pairs'
for kind in ${KINDS:-curl git npm storm}; do
	paste "$TMP/egret.$kind" "$TMP/direct.$kind" | awk '{ printf "%.3f\n", $1 / $2 }' >"$TMP/ratios"
	printf '%-5s %10s %10s %8s %17s   (egret: %s)\n' "$kind" "$(median <"$TMP/direct.$kind")" "$(median <"$TMP/egret.$kind")" "$(median <"$TMP/ratios")" \
		"$(awk '{ n++; s += $1; q += $1 * $1 } END { m = s / n; printf "%.3f +- %.3f", m, (n > 1 ? sqrt((q / n - m * m) / (n - 1)) : 0) }' "$TMP/ratios")" \
		"$(sort -n "$TMP/egret.$kind" | tr '\n' ' ')"
done
[ "$TESTS_FAILED" = 0 ]
