# SPDX-License-Identifier: Apache-2.0
# Packages for clients to install, at the origins of origins.sh: one each in the way of pip, npm and apt, and a git repository. Sourced after origins.sh.
# not quick

make_pypi() {
	local d=$TMP/pkg
	mkdir -p "$d/egret_hello" "$TMP/www/pypi.test/simple/egret-hello" "$TMP/www/pypi.test/files"
	echo 'said = "hello from a wheel"' >"$d/egret_hello/__init__.py"
	mkdir -p "$d/egret_hello-1.0.dist-info"
	printf 'Metadata-Version: 2.1\nName: egret-hello\nVersion: 1.0\n' >"$d/egret_hello-1.0.dist-info/METADATA"
	printf 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n' >"$d/egret_hello-1.0.dist-info/WHEEL"
	printf 'egret_hello/__init__.py,,\negret_hello-1.0.dist-info/METADATA,,\negret_hello-1.0.dist-info/WHEEL,,\negret_hello-1.0.dist-info/RECORD,,\n' \
		>"$d/egret_hello-1.0.dist-info/RECORD"
	(cd "$d" && python3 -c 'import sys,zipfile,os
z=zipfile.ZipFile(sys.argv[1],"w")
[z.write(os.path.join(r,f)) for r,_,fs in os.walk(".") for f in fs]
z.close()' "$TMP/www/pypi.test/files/egret_hello-1.0-py3-none-any.whl")
	echo '<!DOCTYPE html><html><body><a href="../../files/egret_hello-1.0-py3-none-any.whl">egret_hello-1.0-py3-none-any.whl</a></body></html>' \
		>"$TMP/www/pypi.test/simple/egret-hello/index.html"
}
make_npm() {
	local d=$TMP/npmpkg t=$TMP/www/npm.test
	mkdir -p "$d/package" "$t/files"
	printf '{"name":"egret-hello","version":"1.0.0","main":"i.js"}' >"$d/package/package.json"
	echo 'module.exports = "hello from npm"' >"$d/package/i.js"
	tar -C "$d" -czf "$t/files/egret-hello-1.0.0.tgz" package
	local sum
	sum=$(openssl dgst -sha512 -binary "$t/files/egret-hello-1.0.0.tgz" | base64 -w0)
	printf '{"name":"egret-hello","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"egret-hello","version":"1.0.0","main":"i.js","dist":{"tarball":"https://npm.test/files/egret-hello-1.0.0.tgz","integrity":"sha512-%s"}}}}' \
		"$sum" >"$t/egret-hello"
}
make_apt() { # the package egret-hello 1.0 at https://apt.test, suite stable
	local repo=$TMP/www/apt.test arch dist
	mkdir -p "$TMP/deb/DEBIAN" "$TMP/deb/usr/share/egret-hello" "$repo/pool"
	printf 'Package: egret-hello\nVersion: 1.0\nArchitecture: all\nMaintainer: t <t@t.test>\nDescription: hello\n' >"$TMP/deb/DEBIAN/control"
	echo hello >"$TMP/deb/usr/share/egret-hello/hello"
	dpkg-deb --root-owner-group -b "$TMP/deb" "$repo/pool/egret-hello_1.0_all.deb" >/dev/null
	arch=$(dpkg --print-architecture)
	dist=dists/stable/main/binary-$arch
	(cd "$repo" && mkdir -p "$dist" && apt-ftparchive packages pool >"$dist/Packages" && gzip -k "$dist/Packages" &&
		apt-ftparchive -o APT::FTPArchive::Release::Suite=stable -o APT::FTPArchive::Release::Components=main \
			-o APT::FTPArchive::Release::Architectures="$arch" release dists/stable >"$TMP/Release" && cp "$TMP/Release" dists/stable/Release)
}
make_git() { # https://git.test/repo.git, as files
	(cd "$TMP" && git init -q -b main src && cd src && git -c user.name=t -c user.email=t@t.test commit -q --allow-empty -m first &&
		git clone -q --bare . "$TMP/www/git.test/repo.git" && git -C "$TMP/www/git.test/repo.git" update-server-info) 2>/dev/null
}
make_crate() { # the crate egret_hello 1.0.0 at https://cargo.test/index/, a sparse registry
	local d=$TMP/crate/egret_hello-1.0.0 t=$TMP/www/cargo.test
	mkdir -p "$d/src" "$t/index/eg/re" "$t/crates/egret_hello"
	printf '[package]\nname = "egret_hello"\nversion = "1.0.0"\nedition = "2021"\n' >"$d/Cargo.toml"
	echo 'pub const SAID: &str = "hello from a crate";' >"$d/src/lib.rs"
	tar -C "$TMP/crate" -czf "$t/crates/egret_hello/1.0.0.crate" egret_hello-1.0.0
	printf '{"dl":"https://cargo.test/crates/{crate}/{version}.crate"}' >"$t/index/config.json"
	printf '{"name":"egret_hello","vers":"1.0.0","deps":[],"cksum":"%s","features":{},"yanked":false}\n' \
		"$(sha256sum "$t/crates/egret_hello/1.0.0.crate" | cut -d' ' -f1)" >"$t/index/eg/re/egret_hello"
}
make_module() { # the Go module example.test/Hello v1.0.0 at https://go.test, a GOPROXY; a capital letter is written !h
	local d=$TMP/module t="$TMP/www/go.test/example.test/!hello/@v"
	mkdir -p "$d/example.test/Hello@v1.0.0" "$t"
	echo 'module example.test/Hello' | tee "$d/example.test/Hello@v1.0.0/go.mod" >"$t/v1.0.0.mod"
	printf 'package hello\n\nconst Said = "hello from a module"\n' >"$d/example.test/Hello@v1.0.0/hello.go"
	echo v1.0.0 >"$t/list"
	echo '{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}' >"$t/v1.0.0.info"
	(cd "$d" && python3 -c 'import sys,zipfile,os
z=zipfile.ZipFile(sys.argv[1],"w")
[z.write(os.path.join(r,f)) for r,_,fs in os.walk("example.test") for f in fs]
z.close()' "$t/v1.0.0.zip")
}
make_maven() { # the parent POM test.egret:parent:1.0 at https://maven.test/m2
	local t=$TMP/www/maven.test/m2/test/egret/parent/1.0
	mkdir -p "$t"
	cat >"$t/parent-1.0.pom" <<-'POM'
		<project><modelVersion>4.0.0</modelVersion><groupId>test.egret</groupId><artifactId>parent</artifactId><version>1.0</version><packaging>pom</packaging>
		<name>hello from a parent</name></project>
	POM
	sha1sum "$t/parent-1.0.pom" | cut -d' ' -f1 >"$t/parent-1.0.pom.sha1"
}
