#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# gRPC through egret by a real client and a real server (grpcio): unary with trailers, an error status, client-, server- and bidirectional streaming that
# nothing holds back, a large message, cancellation, and a method that no rule names.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
PY=/usr/bin/python3
$PY -c 'import grpc' 2>/dev/null || skip_all "python3-grpcio is not installed"
GRPC=198.51.100.53
EXTRA_HOSTS[grpc.test]=$GRPC
origins_up
mkdir -p "$TMP/go"
chmod 777 "$TMP/go"
pki_leaf outside grpc DNS:grpc.test
spawn in_origin $PY "$ROOT/tests/e2e/grpc_peer.py" serve $GRPC:443 "$TMP/grpc.pem" "$TMP/grpc.key" "$TMP/go" >"$TMP/grpc.log" 2>&1
wait_port in_host $GRPC 443 || { diag "$(tail -n 5 "$TMP/grpc.log")"; exit 1; }
policy '"allow": "POST https://grpc.test/egret.test.Echo/**"'
call() { job env GRPC_DEFAULT_SSL_ROOTS_FILE_PATH="${GRPC_ROOTS:-/run/egret/bundle.pem}" $PY "$ROOT/tests/e2e/grpc_peer.py" "$1" grpc.test:443 "$TMP/go" 2>&1; }
enforced || GRPC_ROOTS=$TMP/outside.pem

is "$(call unary)" 'echo hello 5' "unary, with a trailer"
is "$(call status)" "FAILED_PRECONDITION the origin's own words" "an error is the origin's own"
is "$(call large)" $(((16 << 20) + 5)) "a message of 16 MiB and its echo"
is "$(call client)" '1000 messages' "client streaming"
is "$(call server | tr '\n' ' ')" 'first second ' "server streaming: each message as it is sent"
is "$(call both)" 'echo 99 100' "bidirectional streaming: a hundred times there and back"
is "$(call cancel | tr '\n' ' ')" 'more True ' "a call that the client cancels is cancelled at the server"
if enforced; then
	out=$(call refused)
	like "$out" '^PERMISSION_DENIED Blocked by egret: no rule allows POST grpc\.test' "a method that no rule names is refused, in the client's own words"
	like "$(events)" '"verdict":"deny".*grpc\.test(:443)?/egret\.test\.Secret/Read' "it is in the events"
	like "$(events)" '"verdict":"allow".*grpc\.test(:443)?/egret\.test\.Echo/Both' "as are the calls that were made"
fi
done_testing
