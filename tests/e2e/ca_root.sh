#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ca.mode root: a client that trusts nothing but the root, as an image that carries it does, reaches an allowed origin in every
# job; with ca.mode job a root is of one job alone.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
origins_up
enforced || skip_all "only egret has a root"

policy '"allow": "READ https://api.test/**"'
bare_curl=(env -u CURL_CA_BUNDLE -u SSL_CERT_FILE curl -sS --max-time 20 --capath /nowhere)
root_of() { job bash -c 'cat /run/egret/ca.pem' >"$1"; }
subject() { openssl x509 -in "$1" -noout -subject; }

config '"ca": { "mode": "root" }'
root_of "$TMP/root.pem"
like "$(subject "$TMP/root.pem")" 'egret root CA [0-9a-f]{8}' "the job is given this host's root"
is "$(job "${bare_curl[@]}" --cacert "$TMP/root.pem" https://api.test/hello.txt)" 'hello from api' "curl that knows only the root, in another job"
out=$(job bash -c "openssl s_client -connect api.test:443 -servername api.test -verify_hostname api.test -verify_return_error -x509_strict \
	-CAfile '$TMP/root.pem' -no-CApath -no-CAstore -showcerts </dev/null 2>&1")
like "$out" 'Verify return code: 0 \(ok\)' "openssl s_client that knows only the root, strictly"
is "$(grep -c 'BEGIN CERTIFICATE' <<<"$out")" 3 "leaf, the proxy's intermediate and the job's CA are shown, the root is not"
is "$(job curl -sS --max-time 20 https://api.test/hello.txt)" 'hello from api' "the job's own bundle serves as well"
root_of "$TMP/again.pem"
is "$(sha "$TMP/again.pem")" "$(sha "$TMP/root.pem")" "the root lasts"
is "$(find "$TMP/state" -name .ca-root -printf '%m')" 600 "it is kept in the store, for the broker alone"
# Each certificate and key of ours says that it is P-256.
is "$(grep -rlaP '\x2a\x86\x48\xce\x3d\x03\x01\x07' "$TMP/state" | wc -l)" 0 "no key lies in clear"

# A standing egretd prints it for images.
. "$ROOT/tests/e2e/daemon.sh"
daemon_config '"ca": { "mode": "root" }'
wait_for 10 '[ -z "$(egret_pids egretd)" ]' # the one of the last job ends by itself
daemon_start || done_testing
"$EGRET" ca >"$TMP/out.pem" 2>"$TMP/ca.err" || diag "$(cat "$TMP/ca.err")"
is "$(openssl x509 -in "$TMP/out.pem" -noout -fingerprint)" "$(openssl x509 -in "$TMP/root.pem" -noout -fingerprint)" "egret ca prints the root"
is "$("$EGRET" ca --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pem"], end="")' | sha256sum | cut -d' ' -f1)" "$(sha "$TMP/out.pem")" "egret ca --json: the same"
daemon_stop
daemon_config
daemon_start
like "$("$EGRET" ca 2>&1)" 'ca.mode|root' "in mode job there is none to print"
daemon_stop

config
root_of "$TMP/one.pem"
like "$(subject "$TMP/one.pem")" 'egret job CA' "ca.mode job: a root of the job's own"
like "$(job "${bare_curl[@]}" --cacert "$TMP/one.pem" https://api.test/hello.txt 2>&1)" 'certificate' "another job's root verifies nothing"
like "$(job "${bare_curl[@]}" --cacert "$TMP/root.pem" https://api.test/hello.txt 2>&1)" 'certificate' "nor does this host's"
done_testing
