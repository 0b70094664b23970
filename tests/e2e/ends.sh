#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# Messages that end otherwise than they should, in TLS on both sides: a cut answer is never a whole one to the job, on either wire; an answer that comes before
# the body arrives, and says that the connection ends; a client that leaves is not waited for.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
need python3
PY=/usr/bin/python3
END=198.51.100.53
EXTRA_HOSTS[end.test]=$END
origins_up
mkdir -p "$TMP/go"
chmod 777 "$TMP/go"
pki_leaf outside end DNS:end.test
spawn in_origin $PY "$ROOT/tests/e2e/ends_peer.py" serve $END "$TMP/end.pem" "$TMP/end.key" "$TMP/go" >"$TMP/end.log" 2>&1
wait_port in_host $END 443 || { diag "$(tail -n 5 "$TMP/end.log")"; exit 1; }
policy '"allow": "ANY https://end.test/**"'
peer() { job $PY "$ROOT/tests/e2e/ends_peer.py" "$@" 2>&1; }

out=$(peer cut end.test)
for one in length chunked open reset; do
	like "$out" "^cut-$one .*12345.* SSLEOFError\$" "an answer that is cut off ($one) ends without TLS's own end"
	unlike "$out" "^cut-$one .*\|0\|\|" "and no last chunk"
	out2=$(job curl -sS --http2 -o "$TMP/got" -w '%{http_version} %{size_download}' --max-time 20 https://end.test/cut-$one 2>&1)
	enforced && like "$out2" 'stream . was not closed cleanly' "the same by HTTP/2: the stream is reset"
done
like "$out" '^whole-open .*12345.*' "one that ends with its connection, in order, is whole"

head -c 20000000 /dev/zero >"$TMP/big"
for v in 1.1 2; do
	out=$(job curl -sS --http$v -H Expect: -T "$TMP/big" -w '%{http_code}' --max-time 30 https://end.test/early 2>&1 | tr '\n' ' ')
	is "$out" 'large 413' "HTTP/$v: an answer from an origin that took nothing of the body and reset the connection"
done
enforced || done_testing
out=$(peer unasked end.test)
like "$out" '^unasked HTTP/1.1 401 .*\|Connection: close\|.* end$' "an answer to who waits for 100 says that the connection ends"

peer gone end.test "$TMP/go" >"$TMP/out" &
pid=$!
t "a client that resets its connection is not waited for" wait_for 20 "grep -q '^never ended' '$TMP/go/log'"
touch "$TMP/go/over"
wait $pid
is "$(cat "$TMP/out")" 'gone first' "and the origin heard it while the job went on"
like "$(events)" '"kind":"http.response".*"reason":"client_lost"' "with an event"
rm "$TMP/go/over"
peer killed end.test "$TMP/go" >"$TMP/out" &
pid=$!
t "nor is one that is killed" wait_for 20 "[ \$(grep -c '^never ended' '$TMP/go/log') = 2 ]"
touch "$TMP/go/over"
wait $pid
is "$(cat "$TMP/out")" 'killed first' "while its job goes on"
done_testing
