#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Writes docs/clients.md: which unmodified client works in which kind of image, at a container's start and by `docker exec`, from real runs with dockerd,
# egret-runc and the images of tests/images.sh. A cell says what was seen: an allowed address was served and a refused one was refused in a way that its user
# can read. Ends with 1 when a client did not. Root; about five minutes, more the first time (debootstrap).
#
#   tests/clients.sh [FILE]        default: docs/clients.md
out=${1:-}
. "$(dirname "$0")/lib.sh"
out=${out:-$ROOT/docs/clients.md}
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/packages.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/engines.sh"
. "$ROOT/tests/e2e/host.sh"
need apt-ftparchive dpkg-deb python3 git
KINDS=${KINDS:-static alpine nonroot debian tools}
HOST_MANAGED=$(host_managed '"adopt": "sole"')
host_up
make_pypi
make_npm
make_apt
make_git
rules=()
for n in api git pypi npm apt; do rules+=("\"allow\": \"READ https://$n.test/**\""); done
installed clients "${rules[@]}"
kill -HUP "$DAEMON"
host_docker
images_into docker $KINDS || exit 1
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

# Of each client: the program that must be there, what asks (HOST is filled in), what the allowed answer holds and what the refused one.
CLIENTS=${CLIENTS:-fetch curl wget git python pip apt node npm java}
program() { case $1 in python) echo python3 ;; pip) echo pip3 ;; apt) echo apt-get ;; *) echo "$1" ;; esac; }
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
	esac
}
allowed_host() { case $1 in git) echo git.test ;; pip) echo pypi.test ;; npm) echo npm.test ;; apt) echo apt.test ;; *) echo api.test ;; esac; }
allowed_says() { case $1 in git) echo refs/heads/main ;; pip | npm) echo '^installed' ;; apt) echo 'Packages|Get:.*apt\.test' ;; *) echo 'hello from api' ;; esac; }
refused_says='Blocked by egret|no rule allows|403'
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
	[ "$1" != static ] && in_container exec "$1" "$(program "$2") --version" | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1
}

for kind in $KINDS; do
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
	cat <<-'MD'

		What the images give to rely on: with the wrapper every container has `/run/egret/{ca.pem,bundle.pem,trust.p12}`, the variables of egret-runc(8), and the
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
