#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# wget, pip, python requests, npm, node's fetch, java's HttpClient: each unmodified, trusting what its job tells it to trust, and each
# printing enough of a refusal that the reader of a build log knows what happened.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/packages.sh"

need python3
origins_up
make_pypi
make_npm
echo 'hello from node' >"$TMP/www/node.test/index.html"
policy '"allow": "READ https://api.test/**"' '"allow": "READ https://pypi.test/**"' '"allow": "READ https://npm.test/**"' \
	'"allow": "READ https://node.test/**"'
blocked='Blocked by egret: no rule allows'

if command -v wget >/dev/null; then
	is "$(job wget -qO- https://api.test/hello.txt)" 'hello from api' "wget: an allowed page"
	enforced && like "$(job wget -O- --post-data=x https://api.test/hello.txt 2>&1)" "403 $blocked POST" "wget: prints the reason phrase"
else
	skip "wget" "not installed"
fi

python=$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)
if $python -m pip --version >/dev/null 2>&1; then
	t "pip: installs from a PEP 503 index" job env PIP_DISABLE_PIP_VERSION_CHECK=1 $python -m pip install -q --no-cache-dir \
		--target "$TMP/site" --index-url https://pypi.test/simple/ egret-hello
	is "$(PYTHONPATH=$TMP/site $python -c 'import egret_hello; print(egret_hello.said)' 2>&1)" 'hello from a wheel' "pip: the package works"
	enforced && like "$(job env PIP_DISABLE_PIP_VERSION_CHECK=1 $python -m pip install --no-cache-dir --target "$TMP/site2" \
		https://evil.test/files/egret_hello-1.0-py3-none-any.whl 2>&1)" "403 .*$blocked|HTTP error 403" "pip: another host is refused in words"
else
	skip "pip" "python3 -m pip is not there"
fi
fetch='import sys
try:
    import requests
    r = requests.request(sys.argv[1], sys.argv[2], timeout=20)
    print(r.status_code, r.reason, r.text.strip()[:60] if r.ok else "")
except ImportError:
    print("none")'
py=
for p in "$python" python3; do [ -n "$py" ] || ! $p -c 'import requests' 2>/dev/null || py=$p; done
if [ -n "$py" ]; then
	is "$(job $py -c "$fetch" GET https://api.test/hello.txt)" '200 OK hello from api' "python requests: GET"
	enforced && like "$(job $py -c "$fetch" POST https://api.test/hello.txt)" "^403 $blocked POST api.test/hello.txt" "python requests: the reason"
else
	skip "python requests" "not installed"
fi
is "$(job $python -c 'import urllib.request; print(urllib.request.urlopen("https://api.test/hello.txt", timeout=20).read().decode().strip())')" \
	'hello from api' "python urllib"

if command -v node >/dev/null; then
	is "$(job node -e 'fetch("https://node.test/").then(r => r.text()).then(t => console.log(t.trim()), e => console.log(e.cause ?? e))' 2>&1)" \
		'hello from node' "node: fetch"
	enforced && like "$(job node -e 'fetch("https://node.test/", {method: "POST", body: "x"}).then(r => console.log(r.status, r.statusText))')" \
		"^403 $blocked POST node.test/" "node: the reason"
else
	skip "node" "not installed"
fi
if command -v npm >/dev/null; then
	mkdir -p "$TMP/app"
	echo '{"name":"app","version":"1.0.0"}' >"$TMP/app/package.json"
	npm_env=(env HOME="$TMP/app" npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false npm_config_fetch_retries=0)
	t "npm: installs from a registry" job "${npm_env[@]}" npm --prefix "$TMP/app" --registry https://npm.test/ install egret-hello
	is "$(cd "$TMP/app" && node -p 'require("egret-hello")' 2>&1)" 'hello from npm' "npm: the package works"
	enforced && like "$(job "${npm_env[@]}" npm --prefix "$TMP/app" --registry https://evil.test/ install other 2>&1)" "403 $blocked GET" \
		"npm: prints the reason phrase"
else
	skip "npm" "not installed"
fi

if command -v javac >/dev/null; then
	cat >"$TMP/Get.java" <<-'JAVA'
		import java.net.URI;
		import java.net.http.*;
		public class Get {
			public static void main(String[] a) throws Exception {
				var b = HttpRequest.newBuilder(URI.create(a[1]));
				var r = HttpClient.newHttpClient().send((a[0].equals("POST") ? b.POST(HttpRequest.BodyPublishers.ofString("x")) : b).build(),
					HttpResponse.BodyHandlers.ofString());
				System.out.println(r.statusCode() + " " + r.body().lines().findFirst().orElse(""));
			}
		}
	JAVA
	is "$(job java "$TMP/Get.java" GET https://api.test/hello.txt 2>/dev/null)" '200 hello from api' "java: HttpClient GET"
	enforced && like "$(job java "$TMP/Get.java" POST https://api.test/hello.txt 2>/dev/null)" "^403 .*$blocked|^403 .*egret" "java: the reason in the body"
else
	skip "java" "no JDK"
fi
done_testing
