#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Writes docs/clients.md: which unmodified client works in which kind of image, at a container's start and by `docker exec`, from real runs with dockerd,
# egret-runc and the images of tests/images.sh. A cell says what was seen: an allowed address was served and a refused one was refused in a way that its user
# can read. Ends with 1 when a client did not. Root; about five minutes, more the first time (debootstrap).
#
#   tests/clients.sh [FILE]        default: docs/clients.md; KINDS, CLIENTS and MORE name what is tried (empty: nothing of it)
out=${1:-}
. "$(dirname "$0")/lib.sh"
out=${out:-$ROOT/docs/clients.md}
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/packages.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
need apt-ftparchive dpkg-deb python3 git
KINDS=${KINDS-static alpine nonroot debian tools}
PY=/usr/bin/python3
CLIENTS=${CLIENTS-fetch curl wget git python pip apt node npm java}
MORE=${MORE-curl--http2 node-https node-http2 requests httpx aiohttp websockets grpc skopeo oras mvn}
WS=198.51.100.53 REG=198.51.100.54 GRPC=198.51.100.55
EXTRA_HOSTS[ws.test]=$WS EXTRA_HOSTS[reg.test]=$REG EXTRA_HOSTS[grpc.test]=$GRPC
NAMES+=' maven.test'
HOST_MANAGED=$(host_managed '"adopt": "sole"')
host_up
make_pypi
make_npm
make_apt
make_git
make_maven
rules=('"allow": "READ https://reg.test/v2/"' '"allow": "READ https://reg.test/v2/app/**"' '"allow": "WEBSOCKET https://ws.test/live/**"' '"allow": "POST https://grpc.test/egret.test.Echo/**"')
for n in api git pypi npm apt maven; do rules+=("\"allow\": \"READ https://$n.test/**\""); done
installed clients "${rules[@]}"
kill -HUP "$DAEMON"
host_docker
images_into docker $KINDS ${MORE:+more} || exit 1
JOB=$(host_register clients)
case $JOB in j-*) ;; *) echo "$JOB" >&2; exit 1 ;; esac

mkdir -p "$TMP/x"
cat >"$TMP/x/Get.java" <<'JAVA'
import java.net.*; import java.net.http.*;
class Get { public static void main(String[] a) throws Exception {
	var r = HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(a[0])).build(), HttpResponse.BodyHandlers.ofString());
	System.out.println(r.statusCode() + " " + r.body()); } }
JAVA
printf 'deb [trusted=yes] https://apt.test stable main\n' >"$TMP/x/apt.test.list"
printf 'deb [trusted=yes] https://evil.test stable main\n' >"$TMP/x/evil.test.list"

# Real servers for those that speak more than a page: WebSockets, a registry with an image, gRPC.
mkdir -p "$TMP/go" "$TMP/x/go"
for n in 54 55; do in_origin ip addr add 198.51.100.$n/24 dev "vo$$"; done
for n in ws reg grpc; do pki_leaf outside $n DNS:$n.test; done
cp "$ROOT/tests/e2e/websocket_peer.py" "$ROOT/tests/e2e/grpc_peer.py" "$TMP/x/"
printf 'version: 0.1\nlog: { level: error }\nstorage: { filesystem: { rootdirectory: %s } }\nhttp: { addr: %s:443, tls: { certificate: %s, key: %s } }\n' \
	"$TMP/registry" $REG "$TMP/reg.pem" "$TMP/reg.key" >"$TMP/reg.yml"
spawn in_origin $PY "$TMP/x/websocket_peer.py" serve $WS "$TMP/ws.pem" "$TMP/ws.key" >"$TMP/ws.log" 2>&1
spawn in_origin $PY "$TMP/x/grpc_peer.py" serve $GRPC:443 "$TMP/grpc.pem" "$TMP/grpc.key" "$TMP/go" >"$TMP/grpc.log" 2>&1
spawn in_origin docker-registry serve "$TMP/reg.yml" >"$TMP/reg.log" 2>&1
for n in $WS $REG $GRPC; do wait_port in_host $n 443 || exit 1; done
bare skopeo --insecure-policy copy -q "docker-archive:$(image_archive static)" docker://reg.test/app/small:1 || exit 1
for n in maven evil; do
	printf '<settings><mirrors><mirror><id>own</id><mirrorOf>*</mirrorOf><url>https://%s.test/m2</url></mirror></mirrors></settings>' $n >"$TMP/x/$n.test.xml"
done
cat >"$TMP/x/pom.xml" <<'POM'
<project><modelVersion>4.0.0</modelVersion><parent><groupId>test.egret</groupId><artifactId>parent</artifactId><version>1.0</version><relativePath/></parent>
<artifactId>app</artifactId><packaging>pom</packaging></project>
POM
cat >"$TMP/x/page.py" <<'PY'
import sys
how, url = sys.argv[1:]
if how == "requests":
    import requests
    r = requests.get(url, timeout=20)
    print(r.status_code, r.reason, r.text[:60])
elif how == "httpx":
    import httpx
    r = httpx.get(url, timeout=20)
    print(r.status_code, r.reason_phrase, r.text[:60])
else:
    import aiohttp, asyncio
    async def main():
        async with aiohttp.ClientSession() as s, s.get(url) as r:
            print(r.status, r.reason, (await r.text())[:60])
    asyncio.run(main())
PY
cat >"$TMP/x/http2.js" <<'JS'
const c = require('http2').connect(process.argv[2]), r = c.request({ ':path': '/hello.txt' });
let b = '', s;
c.on('error', e => console.log(e.message));
r.on('response', h => s = h[':status']).on('data', d => b += d).on('end', () => { console.log(s, b); c.close(); }).on('error', e => console.log(e.message)).end();
JS

# Of each client: the program that must be there, what asks (HOST is filled in), what the allowed answer holds and what the refused one.
program() {
	case $1 in
	python | requests | httpx | aiohttp | websockets | grpc) echo python3 ;;
	pip) echo pip3 ;;
	apt) echo apt-get ;;
	curl--http2) echo curl ;;
	node-*) echo node ;;
	*) echo "$1" ;;
	esac
}
question() { # client, host
	case $1 in
	fetch) echo "fetch https://$2/hello.txt" ;;
	curl) echo "curl -sS --max-time 20 https://$2/hello.txt" ;;
	wget) echo "wget -T 20 -t 1 -O - https://$2/hello.txt" ;;
	git) echo "git ls-remote https://$2/repo.git" ;;
	python) echo "python3 -c \"import urllib.request as u; print(u.urlopen('https://$2/hello.txt', timeout=20).read())\"" ;;
	pip) echo "pip3 --disable-pip-version-check install -q --no-cache-dir --retries 0 --break-system-packages --target /tmp/pip.\$\$ $([ "$2" = evil.test ] && echo https://evil.test/egret_hello-1.0-py3-none-any.whl || echo "--index-url https://$2/simple/ egret-hello") && echo installed" ;;
	apt) echo "apt-get -o Acquire::Retries=0 -o Acquire::Languages=none -o Dir::Etc::sourcelist=/x/$2.list -o Dir::Etc::sourceparts=- update" ;;
	node) echo "node -e \"fetch('https://$2/hello.txt').then(async r => console.log(r.status, await r.text())).catch(e => console.log(e.cause || e))\"" ;;
	npm) echo "cd /tmp && mkdir -p npm.\$\$ && cd npm.\$\$ && npm install --no-audit --no-fund --no-update-notifier --fetch-retries=0 --registry https://$2/ egret-hello && echo installed" ;;
	java) echo "java /x/Get.java https://$2/hello.txt" ;;
	curl--http2) echo "curl -sS --http2 --max-time 20 https://$2/hello.txt" ;;
	node-https) echo "node -e \"require('https').get('https://$2/hello.txt', r => { console.log(r.statusCode, r.statusMessage); r.pipe(process.stdout); })\"" ;;
	node-http2) echo "node /x/http2.js https://$2" ;;
	requests | httpx | aiohttp) echo "python3 /x/page.py $1 https://$2/hello.txt" ;;
	websockets) echo "python3 /x/websocket_peer.py websockets wss://$2/live/echo" ;;
	grpc) if [ "$2" = evil.test ]; then echo "python3 /x/grpc_peer.py refused grpc.test:443 /x/go"; else echo "python3 /x/grpc_peer.py unary $2:443 /x/go"; fi ;;
	skopeo) if [ "$2" = evil.test ]; then echo "skopeo --insecure-policy inspect docker://reg.test/other/small:1"; else echo "skopeo --insecure-policy copy docker://$2/app/small:1 dir:/tmp/image.\$\$ && echo copied"; fi ;;
	oras) if [ "$2" = evil.test ]; then echo "oras manifest fetch reg.test/other/small:1"; else echo "oras cp --to-oci-layout $2/app/small:1 /tmp/layout.\$\$:1 && echo copied"; fi ;;
	mvn) echo "mvn -B -f /x/pom.xml -s /x/$2.xml -Dmaven.repo.local=/tmp/m2.\$\$ validate" ;;
	esac
}
allowed_host() { case $1 in git) echo git.test ;; pip) echo pypi.test ;; npm) echo npm.test ;; apt) echo apt.test ;; websockets) echo ws.test ;; grpc) echo grpc.test ;; skopeo | oras) echo reg.test ;; mvn) echo maven.test ;; *) echo api.test ;; esac; }
allowed_says() { case $1 in git) echo refs/heads/main ;; pip | npm) echo '^installed' ;; apt) echo 'Packages|Get:.*apt\.test' ;; websockets) echo '^same' ;; grpc) echo '^echo hello 5' ;; skopeo | oras) echo '^copied' ;; mvn) echo 'BUILD SUCCESS' ;; *) echo 'hello from api' ;; esac; }
refused_says='Blocked by egret|no rule allows|403|PERMISSION_DENIED'
# busybox' wget has no TLS of its own and asks a helper that is not in the image.
skips() { [ "$1$2" = alpinewget ] || [ "$1$2" = nonrootwget ]; }

in_container() { # how, kind, script
	if [ "$2" = static ]; then
		# shellcheck disable=SC2086
		if [ "$1" = start ]; then docker run --rm "egret-test/static:1" /$3; else docker exec "k-$2" /$3; fi
	elif [ "$1" = start ]; then docker run --rm -v "$TMP/x:/x:ro" "egret-test/$2:1" sh -c "$3"; else docker exec "k-$2" sh -c "$3"; fi 2>&1 </dev/null
}
bad=0
cell() { # how, kind, client: what stands in the table
	local got
	got=$(in_container "$1" "$2" "$(question "$3" "$(allowed_host "$3")")" 2>&1)
	if ! grep -Eq "$(allowed_says "$3")" <<<"$got"; then
		{ echo "--- $1 $2 $3: allowed"; tail -n 8 <<<"$got"; } >&2
		echo "**no**: not served"
		return
	fi
	got=$(in_container "$1" "$2" "$(question "$3" evil.test)" 2>&1)
	if grep -Eq 'Blocked by egret|no rule allows' <<<"$got"; then
		echo "yes, in words"
	elif grep -Eq "$refused_says" <<<"$got"; then
		echo "yes, by status"
	else
		{ echo "--- $1 $2 $3: refused"; tail -n 8 <<<"$got"; } >&2
		echo "**no**: refusal not shown"
	fi
}
version() { # kind, client
	local ask="$(program "$2") --version"
	case $2 in requests | httpx | aiohttp | grpc) ask="python3 -c 'import $2; print($2.__version__)'" ;; websockets) ask="python3 -c 'import websockets.version as v; print(v.version)'" ;; oras) ask='oras version' ;; esac
	[ "$1" != static ] && in_container exec "$1" "$ask" | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1
}

for kind in $KINDS ${MORE:+more}; do
	if [ "$kind" = static ]; then docker run -d --name k-static egret-test/static:1; else docker run -d --name "k-$kind" -v "$TMP/x:/x:ro" "egret-test/$kind:1" sleep 3600; fi >/dev/null || exit 1
done
suite=$(image_suite)
{
	cat <<-MD
		# Clients in containers

		Written by \`tests/clients.sh\` from real runs ($(date -u +%F), $suite images, docker $(dockerd --version | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1), $(runc --version | head -n 1), Linux
		$(uname -r | cut -d. -f1-2)); do not edit. Every client is unmodified and is given no option that speaks of egret or of certificates.
		**Start**: the container's own command. **Exec**: a step by \`docker exec\`, as GitHub's runner runs them.

		*yes, in words*: what is allowed was served, and of what is refused the client's own output holds egret's sentence. *yes, by status*: the same, but the
		client shows the status 403 only; the sentence is in \`egret events\` and in the step summary. –: not in that image.

		| image | what it is |
		|---|---|
		| static | one static program and no other file: no shell, no bundle, no \`/etc\` (distroless-like, \`FROM scratch\`) |
		| alpine | busybox and a bundle in Alpine's places |
		| nonroot | the same, with a user of its own |
		| debian | debootstrap minbase with curl, git, python3 |
		| tools | the same with pip, node, npm, java and wget as this host has them |

	MD
	if [ -n "$CLIENTS" ]; then
	printf '| client |'; for kind in $KINDS; do printf ' %s, start | %s, exec |' "$kind" "$kind"; done
	printf '\n|---|'; for kind in $KINDS; do printf -- '---|---|'; done
	echo
	for client in $CLIENTS; do
		v=
		for kind in debian tools; do [ -n "$v" ] || v=$(version $kind "$client" 2>/dev/null); done
		[ "$client" = fetch ] && v="tests/images/fetch.c"
		printf '| %s%s |' "$client" "${v:+ ($v)}"
		for kind in $KINDS; do
			if { [ "$kind" = static ] && [ "$client" != fetch ]; } || skips "$kind" "$client" ||
				{ [ "$kind" != static ] && ! in_container exec "$kind" "command -v $(program "$client")" | grep -q /; }; then
				printf ' – | – |'
			else
				printf ' %s | %s |' "$(cell start "$kind" "$client")" "$(cell exec "$kind" "$client")"
			fi
		done
		echo
	done
	fi
	if [ -n "$MORE" ]; then
		printf '\nIn an image that has tools and what follows, as this host has it:\n\n| client | start | exec |\n|---|---|---|\n'
		for client in $MORE; do
			printf '| %s (%s) | %s | %s |\n' "${client/--/ --}" "$(version more "$client" 2>/dev/null)" "$(cell start more "$client")" "$(cell exec more "$client")"
		done
		cat <<-'MD'

			Elsewhere, by the same clients and real servers: image registries with large blobs (`e2e/registry`: skopeo, oras 1.2.0 as Debian 13 has it, docker's daemon), cargo, go,
			maven and npm with verdaccio (`e2e/registries`), git push and fetch with rules for refs (`e2e/git_push`), events, long polls and uploads that take their
			time (`e2e/streams`), WebSockets (`e2e/websocket`), gRPC in all four kinds (`e2e/grpc`).

			With credentials of which the job has none, each against a server that refuses who comes without: skopeo, git, git-lfs, npm publish, twine and gh
			(`e2e/private`), docker's daemon (`e2e/registry`: push and pull), the AWS CLI, boto3 and curl --aws-sigv4 (`e2e/aws`, where moto is installed).
		MD
	fi
	cat <<-'MD'

		What the images give to rely on: with the wrapper every container has `/run/egret/{ca.pem,bundle.pem,trust.p12}`, the variables of egret-runc(8) (they name
		`ca.pem` where the policy passes no TLS unopened: a client then reads one certificate and not 140), and the
		combined bundle over its own bundle files. Without it (a container that was held, or `egret attach`) only the files are laid: a client that looks only where
		a variable points, or into a store of its own, is not reached (egret-attach(1)).
	MD
} >"$TMP/clients.md"
docker rm -f $(docker ps -aq) >/dev/null
job_end "$JOB"
docker_down >/dev/null
daemon_stop
grep -q '\*\*no\*\*' "$TMP/clients.md" && bad=1
cp "$TMP/clients.md" "$out"
exit $bad
