#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# timeout: 200
# Package clients against registries as they have them: cargo (sparse index), go (GOPROXY), maven (a repository), npm with a real verdaccio: installing,
# publishing by rule, and a refusal that the client shows. Cargo from 1.68 on and go are used where they are; `make test` installs neither (they are
# half a gigabyte, and Debian 12's cargo is older). build/verdaccio is made by `make client-build`, which `make test` does.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/packages.sh"
need python3
NAMES+=' cargo.test go.test maven.test'
VERD=198.51.100.53
EXTRA_HOSTS[verd.test]=$VERD
origins_up
policy '"allow": "READ https://cargo.test/**"' '"allow": "READ https://go.test/**"' '"allow": "READ https://maven.test/**"' \
	'"allow": "READ https://verd.test/**"' '"allow": "PUT https://verd.test/egret-own"' '"allow": "POST https://verd.test/-/npm/v1/security/**"'
mkdir -p "$TMP/home"
here=(env HOME="$TMP/home")

# ---- cargo ----
cargo=$(rustup which cargo 2>/dev/null || type -P cargo) rustc=$(rustup which rustc 2>/dev/null || type -P rustc)
minor=$("${cargo:-false}" --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
if [ "${minor:-0}" -ge 68 ]; then
	make_crate
	mkdir -p "$TMP/rust/src" "$TMP/rust/.cargo"
	echo 'fn main() {}' >"$TMP/rust/src/main.rs"
	printf '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\negret_hello = { version = "1", registry = "own" }\n' >"$TMP/rust/Cargo.toml"
	fetch_crate() { # index
		printf '[registries.own]\nindex = "sparse+%s"\n[net]\nretry = 0\n' "$1" >"$TMP/rust/.cargo/config.toml"
		rm -rf "$TMP/rust/Cargo.lock" "$TMP/cargo"
		job "${here[@]}" CARGO_HOME="$TMP/cargo" RUSTC="$rustc" bash -c 'cd "$0" && exec "$@"' "$TMP/rust" "$cargo" fetch 2>&1
	}
	t "cargo: fetches from a sparse registry" fetch_crate https://cargo.test/index/
	is "$(cat "$TMP"/cargo/registry/src/*/egret_hello-1.0.0/src/lib.rs 2>/dev/null)" 'pub const SAID: &str = "hello from a crate";' "cargo: the crate is there"
	enforced && like "$(fetch_crate https://evil.test/index/)" 'Blocked by egret: no rule allows GET evil.test/index/config.json' "cargo: prints the reason"
else
	skip "cargo" "no cargo from 1.68 on: make test installs none"
fi

# ---- go ----
if command -v go >/dev/null; then
	make_module
	fetch_module() { # proxy
		rm -rf --one-file-system "$TMP/gopath"
		job "${here[@]}" GOPATH="$TMP/gopath" GOFLAGS=-modcacherw GOCACHE="$TMP/gocache" GOSUMDB=off GOTOOLCHAIN=local GOPROXY="$1" bash -c 'cd / && exec go mod download example.test/Hello@v1.0.0' 2>&1
	}
	t "go: downloads from a module proxy" fetch_module https://go.test
	is "$(tail -n 1 "$TMP/gopath/pkg/mod/example.test/!hello@v1.0.0/hello.go" 2>/dev/null)" 'const Said = "hello from a module"' "go: the module is there"
	enforced && like "$(fetch_module https://evil.test)" '403 Blocked by egret|Blocked by egret: no rule allows GET' "go: prints the reason"
else
	skip "go" "not installed: make test installs none"
fi

# ---- maven: a parent POM is fetched before anything else, and no plugin is needed for that ----
if command -v mvn >/dev/null; then
	make_maven
	mkdir -p "$TMP/maven"
	cat >"$TMP/maven/pom.xml" <<-'POM'
		<project><modelVersion>4.0.0</modelVersion><parent><groupId>test.egret</groupId><artifactId>parent</artifactId><version>1.0</version><relativePath/></parent>
		<artifactId>app</artifactId><packaging>pom</packaging></project>
	POM
	validate() { # repository
		printf '<settings><mirrors><mirror><id>own</id><mirrorOf>*</mirrorOf><url>%s</url></mirror></mirrors></settings>' "$1" >"$TMP/maven/settings.xml"
		rm -rf "$TMP/m2"
		job "${here[@]}" mvn -B -f "$TMP/maven/pom.xml" -s "$TMP/maven/settings.xml" -Dmaven.repo.local="$TMP/m2" validate 2>&1
	}
	t "maven: resolves from a repository" validate https://maven.test/m2
	like "$(cat "$TMP/m2/test/egret/parent/1.0/parent-1.0.pom" 2>/dev/null)" 'hello from a parent' "maven: the artifact is there"
	enforced && like "$(validate https://evil.test/m2)" '403.*Blocked by egret: no rule allows GET evil.test/m2' "maven: prints the reason"
else
	skip "maven" "not installed"
fi

# ---- npm against verdaccio ----
verdaccio=$ROOT/build/verdaccio/node_modules/verdaccio/bin/verdaccio
if [ -e "$verdaccio" ]; then
	pki_leaf outside verd DNS:verd.test
	mkdir -p "$TMP/verd"
	cat >"$TMP/verd/config.yaml" <<-YAML
		storage: $TMP/verd/storage
		auth: { htpasswd: { file: $TMP/verd/users, max_users: -1 } }
		packages: { '**': { access: \$all, publish: \$all, unpublish: \$all } }
		https: { key: $TMP/verd.key, cert: $TMP/verd.pem, ca: $TMP/outside.pem }
		logs: [ { type: stdout, format: pretty, level: http } ]
	YAML
	spawn in_origin node "$verdaccio" -c "$TMP/verd/config.yaml" -l https://$VERD:443 >"$TMP/verd/log" 2>&1
	wait_for 40 "port_open in_host $VERD 443" || fail "verdaccio came up" "$(tail -n 5 "$TMP/verd/log")"
	mkdir -p "$TMP/own" "$TMP/other" "$TMP/app"
	printf '{"name":"egret-own","version":"1.0.0","main":"i.js"}' >"$TMP/own/package.json"
	printf '{"name":"egret-other","version":"1.0.0","main":"i.js"}' >"$TMP/other/package.json"
	echo 'module.exports = "hello from verdaccio"' | tee "$TMP/own/i.js" >"$TMP/other/i.js"
	echo '{"name":"app","version":"1.0.0"}' >"$TMP/app/package.json"
	printf 'registry=https://verd.test/\n//verd.test/:_authToken=anybody\nupdate-notifier=false\nfund=false\nfetch-retries=0\n' >"$TMP/home/.npmrc"
	npm_job() { job "${here[@]}" bash -c 'cd "$0" && exec npm "$@"' "$@" 2>&1; }
	t "npm: publishes to verdaccio where a rule allows it" npm_job "$TMP/own" publish
	like "$(cat "$TMP/verd/log")" "PUT.*egret-own" "npm: verdaccio took it"
	t "npm: installs it from there" npm_job "$TMP/app" install egret-own
	is "$(cd "$TMP/app" && node -p 'require("egret-own")' 2>&1)" 'hello from verdaccio' "npm: the package works"
	if enforced; then
		like "$(npm_job "$TMP/other" publish)" '403 Blocked by egret: no rule allows PUT verd.test/egret-other' "npm: another package is not published, in words"
		is "$(grep -c 'PUT.*egret-other' "$TMP/verd/log")" 0 "npm: and verdaccio saw nothing of it"
	fi
else
	skip "npm against verdaccio" "build/verdaccio is not there: make client-build (e2e/clients has a static registry)"
fi
done_testing
