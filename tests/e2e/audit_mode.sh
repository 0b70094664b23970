#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Mode audit breaks nothing and says what it would have refused: hosts and methods that no rule names, clients that reject our CA, raw
# addresses, protocols that are not HTTP. What is never let through is not let through here either.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
need python3 socat
EXTRA_HOSTS=([meta.test]=169.254.169.254)
origins_up
spawn in_origin "$(helper sink)" "$TMP/udp.log" $EVIL:443
: >"$TMP/udp.log"
spawn in_origin socat TCP-LISTEN:2222,bind=$GOOD,fork,reuseaddr SYSTEM:'echo welcome; cat'
wait_port in_host $GOOD 2222
MODE=audit policy '"allow": "GET https://api.test/**"' '"deny": "https://api.test/secret/**"'
JOB_OPTS=(--user nobody)
get=(curl -sS --max-time 20 -o /dev/null -w '%{http_code}')
last() { events | grep -F "\"kind\":\"$1\"" | tail -n 1; }

is "$(job "${get[@]}" https://api.test/hello.txt)" 200 "what a rule allows"
like "$(last http.request)" '"verdict":"allow"' "is allow in the events"
is "$(job "${get[@]}" https://evil.test/)" 200 "a host that no rule names goes through"
like "$(last http.request)" '"verdict":"would_deny".*"reason":"audit_mode"' "as would_deny"
is "$(job "${get[@]}" -X POST -d x=1 https://files.test/post/x)" 200 "a method that no rule names goes through"
like "$(last http.request)" '"verdict":"would_deny"' "as would_deny"
is "$(job "${get[@]}" https://api.test/secret/x)" 404 "what a rule denies goes through to its origin"
like "$(last http.request)" '"verdict":"would_deny","reason":"deny_rule","rule":"r2"' "as would_deny, with the rule"
is "$(job "${get[@]}" http://198.51.100.10:8080/hello.txt -H 'Host: plain.test:8080')" 200 "a raw address, HTTP"
is "$(job "${get[@]}" http://198.51.100.10:8080/hello.txt)" 404 "a raw address without a name is dialled"
like "$(last http.request)" '"verdict":"would_deny"' "as would_deny"

# A client that trusts only the real CA rejects ours; its next connection for that name is passed through unopened.
out=$(job bash -c "
curl -sS --max-time 20 -o /dev/null -w 'first %{http_code}\n' --cacert '$TMP/outside.pem' https://files.test/
curl -sS --max-time 20 -o /dev/null -w 'second %{http_code} %{ssl_verify_result}\n' --cacert '$TMP/outside.pem' https://files.test/hello
curl -sS --max-time 20 -o /dev/null -w 'other %{http_code}\n' https://api.test/hello.txt" 2>&1)
like "$out" '^first 000' "a client that rejects our CA fails once"
like "$out" '^second 404 0' "and is passed through from its next connection on: it sees the real certificate"
like "$out" '^other 200' "other names are opened as before"
like "$(last tls.client_rejected)" '"host":"files.test"' "the rejection is an event"
like "$(last tls.passthrough)" '"verdict":"would_deny","reason":"client_rejected"' "and so is the passing"

# Protocols: the server speaks first; bytes that are neither TLS nor HTTP.
out=$(job bash -c 'exec 3<>/dev/tcp/api.test/2222; read -r -t 10 line <&3; echo "got $line"; echo ping >&3; read -r -t 10 line <&3; echo "then $line"' 2>&1)
is "$(tr '\n' ' ' <<<"$out")" 'got welcome then ping ' "a server that speaks first is reached"
like "$(last connect)" '"verdict":"would_deny"' "as would_deny"
like "$(job bash -c 'exec 3<>/dev/tcp/198.51.100.10/2222; read -r -t 10 line <&3; echo "$line"' 2>&1)" '^welcome' "also by a raw address"

# Never, in no mode.
events_clear
is "$(job bash -c '(exec 3<>/dev/udp/198.51.100.20/443 && echo x >&3) 2>/dev/null && echo sent || echo refused')" refused "UDP that is not DNS"
is "$(grep -c . "$TMP/udp.log")" 0 "nothing arrived"
is "$(job python3 -c '
import socket
for t in ((socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_INET, socket.SOCK_DGRAM, 1), (socket.AF_PACKET, socket.SOCK_RAW, 0), (socket.AF_INET, socket.SOCK_STREAM, 132)):
    try: socket.socket(*t); print("opened", t)
    except OSError: pass')" '' "raw, ping, packet and SCTP sockets"
isnt "$(job bash -c '(exec 3<>/dev/tcp/169.254.169.254/80) 2>/dev/null; echo $?')" 0 "the metadata address"
like "$(job curl -sS -i --max-time 20 http://meta.test/ | head -n 1)" '^HTTP/1.1 (403|502) ' "a name that leads to it"
isnt "$(job bash -c '(exec 3<>/dev/tcp/0.0.0.0/2222) 2>/dev/null; echo $?')" 0 "the unspecified address"
done_testing
