#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Memory that ends: in a proxy of a test (tests/misbehave/alloc.c) one allocation fails with each connection, the Nth of it, for every
# ALLOC_STEP-th N until requests are served whole (every N in `make soak`). Whatever comes of it - an answer, an error, a proxy that ends and is started
# anew - it is no crash, and never lets through what is refused (P6).
# not quick
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need python3 curl
STEP=${ALLOC_STEP:-5}
NGINX_OWN=
origins_up
policy '"allow": "GET https://api.test/**"' '"allow": "GET http://plain.test:8080/**"'
config
JOB_OPTS=(--user nobody)
JOB_TIMEOUT=${ALLOC_TIMEOUT:-100}
mkdir "$TMP/bin" && cp "$BUILD"/bin/* "$TMP/bin/" && cp "$BUILD/misbehave/alloc/egret-proxy" "$TMP/bin/egret-proxy"
EGRET=$TMP/bin/egret
EGRETD=$TMP/bin/egretd
numbers() { python3 -c 'import struct, sys; print(*struct.unpack("3Q", open(sys.argv[1], "rb").read(24)))' "$TMP/bin/egret-proxy.alloc"; }
put() { python3 -c 'import struct, sys; open(sys.argv[1], "wb").write(struct.pack("3Q", int(sys.argv[2]), 0, 0))' "$TMP/bin/egret-proxy.alloc" "$1"; }
put 0
chmod 666 "$TMP/bin/egret-proxy.alloc"
# Asks until an Nth allocation does not happen any more: first what is allowed, then what is not.
cat >"$TMP/asks.sh" <<'SH'
state=$1/bin/egret-proxy.alloc
failed() { od -An -tu8 -j16 -N8 "$state" | tr -d ' '; }
asked=0 served=0 opened=0 whole=0
while [ $whole -lt 3 ] && [ $asked -lt 30000 ]; do
	before=$(failed)
	asked=$((asked + 1))
	# Three served in a row, and nothing failed: N is past all of a request's. Not served without a failure: the proxy had ended just before.
	if [ "$(curl -sS --max-time 10 "$2" 2>/dev/null)" = 'hello from api' ]; then
		served=$((served + 1))
		if [ "$(failed)" = "$before" ]; then whole=$((whole + 1)); else whole=0; fi
	else
		whole=0
	fi
	case $(curl -sS --max-time 10 "$3" 2>/dev/null) in *'from evil'*) opened=$((opened + 1)) ;; esac
	until curl -sS --max-time 10 -o /dev/null http://plain.test:8080/hello.txt 2>/dev/null; do sleep 0.02; done
done
echo "asked $asked served $served opened $opened"
SH
try() { # what, url that is allowed, url that is not, step
	local out failed
	put 0
	chmod 666 "$TMP/bin/egret-proxy.alloc"
	is "$(job curl -sS --max-time 20 "$2")" 'hello from api' "$1: served while nothing fails"
	put "$4"
	out=$(job bash "$TMP/asks.sh" "$TMP" "$2" "$3" 2>"$TMP/said")
	read -r _ nth failed < <(numbers)
	diag "$out; $failed allocations failed, up to the ${nth}th of a connection; proxies ended: $(sed -n 's/.*egret-proxy ended with status \([0-9]*\).*/\1/p' "$TMP/said" | sort | uniq -c | tr '\n' ' ')"
	like "$out" '^asked [0-9]+ served [1-9][0-9]* opened 0$' "$1: some are served, and none that is refused"
	t "$1: so many allocations failed" [ "$failed" -ge 10 ]
	# 134: out of memory the proxy ends itself (base/bytes.h).
	is "$(grep 'egret-proxy ended with status' "$TMP/said" | grep -vc 'status 134;')" 0 "$1: no proxy was ended but by itself"
}
try tls https://api.test/hello.txt https://evil.test/ "$STEP"
try plain http://plain.test:8080/hello.txt http://evil.test/ $((STEP / 10 + 1))
is "$(origin_count '^evil')" 0 "nothing reached what no rule names"
done_testing
