# SPDX-License-Identifier: Apache-2.0
# Container images made here, with no registry: one archive each (the form of `docker save`), which docker, ctr and podman load alike. Sourced by
# tests/engines.sh. They are kept in build/images; only `debian` takes long the first time (debootstrap, about 40 s), once per build folder.
#
#   static    distroless-like: one static client (tests/images/fetch.c) and not a file more: no shell, no bundle, no /etc
#   alpine    busybox, the client, and a bundle where Alpine has it (/etc/ssl/cert.pem and /etc/ssl/certs/ca-certificates.crt); no libc
#   debian    debootstrap minbase of the host's suite with ca-certificates, curl, git, python3
#   nonroot   the same as alpine with USER 1000:1000
#   tools     debian with what docs/clients.md asks for besides, as the host has it: pip, node, npm, java, wget
#   more      tools and, as the host has them, python's requests, httpx, aiohttp, websockets and grpc, skopeo, maven, and oras of build/oras
#   redis, postgres   the host's programs with their libraries
#
#   image_archive KIND: its path on stdout       images_into docker|ctr|podman KIND...: loaded as egret-test/KIND:1

IMAGES=${IMAGES:-$ROOT/build/images}
IMAGE_ENV='"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"'

image_suite() { (. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}"); }
# A program of the host with what it links to, at the same places, and a link in /bin: what it is called decides what some are.
image_program() { # root, program...
	local root=$1 f name
	shift
	mkdir -p "$root/bin"
	for f; do
		name=${f##*/} f=$(readlink -f "$(type -P "$f")")
		{ echo "$f"; ldd "$f" 2>/dev/null | grep -o '/[^ ]*'; } | while read -r f; do
			mkdir -p "$root$(dirname "$f")"
			[ -e "$root$f" ] || cp -L "$f" "$root$f"
		done
		# Where /bin is /usr/bin it is there already.
		[ -e "$root/bin/$name" ] || ln -sf "$f" "$root/bin/$name"
	done
}
image_busybox() { # root
	local a
	mkdir -p "$1"/{bin,etc,tmp,root,var/tmp}
	chmod 1777 "$1/tmp"
	cp "$(type -P busybox)" "$1/bin/busybox" || return 1
	for a in $("$1/bin/busybox" --list); do [ -e "$1/bin/$a" ] || ln -s busybox "$1/bin/$a"; done
	printf 'root:x:0:0:root:/root:/bin/sh\nci:x:1000:1000:ci:/tmp:/bin/sh\nredis:x:999:999::/tmp:/bin/sh\npostgres:x:998:998::/tmp:/bin/sh\n' >"$1/etc/passwd"
	printf 'root:x:0:\nci:x:1000:\nredis:x:999:\npostgres:x:998:\n' >"$1/etc/group"
}
image_client() { # to
	mkdir -p "$(dirname "$1")"
	# glibc says at every static link that getaddrinfo may want its libraries: for files and DNS it does not.
	${CC:-gcc} -static -O2 -o "$1" "$ROOT/tests/images/fetch.c" -lssl -lcrypto 2>"$IMAGES/fetch.log" || { cat "$IMAGES/fetch.log" >&2; return 1; }
}
image_roots() { cat /etc/ssl/certs/ca-certificates.crt; }
image_debian() { # root, packages with commas: one bootstrap a suite and list, then copies
	local tar="$IMAGES/debootstrap-$(image_suite)-$(cksum <<<"$2" | cut -d' ' -f1).tar" root=$1
	if [ ! -e "$tar" ]; then
		need debootstrap
		echo "# the first time: debootstrap of $(image_suite) ($2), kept in ${tar#"$ROOT"/}" >&2
		debootstrap --variant=minbase --include="$2" "$(image_suite)" "$root" >"$IMAGES/debootstrap.log" 2>&1 || {
			tail -n 5 "$IMAGES/debootstrap.log" >&2
			return 1
		}
		rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info}/*
		tar -C "$root" --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -cf "$tar.$$" . && mv "$tar.$$" "$tar"
	else
		tar -C "$root" -xf "$tar"
	fi
}
image_postgres() { # root
	local lib share
	lib=$(find /usr/lib/postgresql -maxdepth 1 -mindepth 1 2>/dev/null | sort -V | tail -n 1)
	[ -n "$lib" ] || return 1
	share=/usr/share/postgresql/${lib##*/}
	image_busybox "$1"
	image_program "$1" "$lib/bin/postgres" "$lib/bin/initdb" "$lib/bin/psql" "$lib/bin/pg_isready"
	mkdir -p "$1$lib" "$1$share" "$1/usr/share/zoneinfo" "$1/etc/ssl" "$1/run" "$1/pg"
	cp -rL "$lib/lib" "$1$lib/" && cp -rL "$share/." "$1$share/"
	rm -rf "$1$lib/lib/bitcode"
	cp -r /usr/share/zoneinfo/UTC "$1/usr/share/zoneinfo/" 2>/dev/null
	[ ! -d /usr/lib/locale/C.utf8 ] || { mkdir -p "$1/usr/lib/locale" && cp -r /usr/lib/locale/C.utf8 "$1/usr/lib/locale/"; }
	chown 998:998 "$1/pg"
	cat >"$1/bin/serve" <<-SH
		#!/bin/sh
		export LC_ALL=C
		initdb -D /pg/data -A trust -U postgres --no-sync >/dev/null && echo 'host all all all trust' >>/pg/data/pg_hba.conf &&
		exec postgres -D /pg/data -c listen_addresses=* -c unix_socket_directories=/tmp -c fsync=off
	SH
	chmod 755 "$1/bin/serve"
}

# pip, node, npm, java, wget as the host has them, at the same places: what they pull in by packages would take minutes.
image_tools() { # root
	local npm java f
	image_program "$1" wget node java javac
	npm=$(readlink -f "$(type -P npm)") java=$(readlink -f "$(type -P java)")
	npm=${npm%/bin/*} java=${java%/bin/*}
	mkdir -p "$1${npm%/*}" "$1${java%/*}" "$1/usr/lib/python3"
	cp -r "$npm" "$1${npm%/*}/" && ln -sf "$npm/bin/npm-cli.js" "$1/usr/bin/npm" && rm -rf "$1$java" && cp -r "$java" "$1${java%/*}/" || return 1
	find "$java" -type l -lname '/etc/*' -printf '%l\n' | while read -r f; do mkdir -p "$1${f%/*}" && cp -rL "$f" "$1$f"; done
	image_libraries "$1" "$java/lib"
	cp -r /usr/lib/python3/dist-packages/. "$1/usr/lib/python3/dist-packages/" && cp -L /usr/bin/pip3 "$1/usr/bin/pip3"
}

image_libraries() { # root, folder: what its shared objects link to
	local f
	for f in $(find "$2" -name '*.so' -exec ldd {} + 2>/dev/null | sed -n 's|.*=> \(/[^ ]*\) .*|\1|p' | sort -u); do [ -e "$1$f" ] || cp -L "$f" "$1$f"; done
}
image_more() { # root, over tools
	local oras=$ROOT/build/oras/usr/bin/oras
	image_program "$1" skopeo
	[ ! -x "$oras" ] || image_program "$1" "$oras"
	image_libraries "$1" /usr/lib/python3/dist-packages
	[ ! -d /usr/share/maven ] || { cp -rL /usr/share/maven "$1/usr/share/maven" && ln -sf /usr/share/maven/bin/mvn "$1/usr/bin/mvn"; }
}

image_root() { # kind, root: fills it
	local d
	case $1 in
	static) image_client "$2/fetch" ;;
	alpine | nonroot)
		image_busybox "$2" && image_client "$2/bin/fetch" || return 1
		mkdir -p "$2/etc/ssl/certs" && image_roots >"$2/etc/ssl/certs/ca-certificates.crt" && ln -s certs/ca-certificates.crt "$2/etc/ssl/cert.pem"
		# Debian's OpenSSL, which the client is made of, looks here; Alpine's in /etc/ssl.
		mkdir -p "$2/usr/lib" && ln -s /etc/ssl "$2/usr/lib/ssl"
		;;
	debian) image_debian "$2" ca-certificates,curl,git,python3 && image_client "$2/usr/local/bin/fetch" ;;
	tools | more)
		image_debian "$2" ca-certificates,curl,git,python3 && image_client "$2/usr/local/bin/fetch" && image_tools "$2" || return 1
		[ "$1" = tools ] || image_more "$2" || return 1
		;;
	redis) image_busybox "$2" && image_program "$2" redis-server redis-cli ;;
	postgres) image_postgres "$2" ;;
	*) return 1 ;;
	esac || return 1
	# A folder that every engine mounts over; so that a read-only root has it too.
	for d in proc sys dev; do mkdir -p "$2/$d"; done
}
image_config() { # kind: the members of its configuration
	case $1 in
	static) echo '"Cmd": ["/fetch", "-w", "3600"]' ;;
	nonroot) echo "\"User\": \"1000:1000\", \"Env\": [$IMAGE_ENV, \"HOME=/tmp\"], \"Cmd\": [\"/bin/sh\"]" ;;
	debian | tools | more) echo "\"Env\": [$IMAGE_ENV], \"Cmd\": [\"bash\"]" ;;
	redis) echo "\"User\": \"999:999\", \"Env\": [$IMAGE_ENV], \"Cmd\": [\"redis-server\", \"--bind\", \"0.0.0.0\", \"--protected-mode\", \"no\", \"--save\", \"\"], \"ExposedPorts\": {\"6379/tcp\": {}}" ;;
	postgres) echo "\"User\": \"998:998\", \"Env\": [$IMAGE_ENV], \"Cmd\": [\"/bin/serve\"], \"ExposedPorts\": {\"5432/tcp\": {}}" ;;
	*) echo "\"Env\": [$IMAGE_ENV], \"Cmd\": [\"/bin/sh\"]" ;;
	esac
}
image_archive() { # kind: made once; a changed recipe makes it anew
	local kind=$1 key out work layer
	key=$( (cat "$ROOT/tests/images.sh" "$ROOT/tests/images/fetch.c"; image_suite) | cksum | cut -d' ' -f1)
	out=$IMAGES/$kind-$key.tar
	if [ ! -e "$out" ]; then
		mkdir -p "$IMAGES"
		(
			flock 9
			[ ! -e "$out" ] || exit 0
			work=$(mktemp -d "$IMAGES/work.XXXXXX") || exit 1
			trap 'rm -rf --one-file-system "$work"' EXIT
			mkdir -m 755 "$work/root"
			image_root "$kind" "$work/root" || exit 1
			tar -C "$work/root" --sort=name --mtime=@1700000000 -cf "$work/layer.tar" . || exit 1
			layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
			printf '{"architecture":"%s","os":"linux","created":"2023-11-14T22:13:20Z","config":{%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"2023-11-14T22:13:20Z"}]}\n' \
				"$(dpkg --print-architecture)" "$(image_config "$kind")" "$layer" >"$work/config.json"
			printf '[{"Config":"config.json","RepoTags":["egret-test/%s:1"],"Layers":["layer.tar"]}]\n' "$kind" >"$work/manifest.json"
			tar -C "$work" -cf "$out.new" config.json manifest.json layer.tar && mv "$out.new" "$out"
			# Older recipes of the same kind.
			find "$IMAGES" -maxdepth 1 -name "$kind-*.tar" ! -name "${out##*/}" -delete
		) 9>"$IMAGES/lock" >&2 || return 1
	fi
	echo "$out"
}
images_into() { # docker|ctr|podman, kind...
	local engine=$1 kind tar
	shift
	for kind; do
		tar=$(image_archive "$kind") || { fail "the image $kind could be made"; return 1; }
		case $engine in
		docker) docker load -q <"$tar" ;;
		ctr) ctr image import "$tar" ;;
		podman) podman load -q <"$tar" ;;
		esac >/dev/null || { fail "$engine took the image $kind"; return 1; }
	done
}
