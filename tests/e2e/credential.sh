#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# P2: the credential reaches the origin and nothing of the job. Header, Basic and placeholder injection, the client's own authorization stripped,
# the value scrubbed from answers, never in cleartext, never to another host.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
origins_up
token=tok-$(openssl rand -hex 20)
policy '"allow": "GET https://api.test/**", "credential": "key"' '"allow": "GET https://files.test/**"' '"allow": "GET http://plain.test:8080/**"' \
	'"allow": "POST https://api.test/post/**"'
cred() { # inject, [more members]
	CREDENTIAL=$TMP/cred.json
	printf '{ "name": "key", "provider": "store", "value": "key-token", "for": "any", "hosts": ["api.test"], "inject": [ %s ] %s }' "$1" "${2:+, $2}" >"$CREDENTIAL"
}
last_auth() { origin_log | tail -n 1 | cut -d' ' -f6-; }
get=(curl -sS --max-time 20)

t "egret secret set reads stdin" bash -c "printf %s '$token' | '$EGRET' secret set key-token"
like "$("$EGRET" secret list 2>&1)" 'key-token' "egret secret list names it"
is "$(grep -rlF "$token" "$TMP/state" 2>/dev/null | wc -l)" 0 "the store holds it sealed"

cred '{ "header": "Authorization", "format": "Bearer {token}" }'
is "$(job "${get[@]}" -o /dev/null -w '%{http_code}' https://api.test/hello.txt)" 200 "a request with a credential"
is "$(last_auth)" "Bearer $token" "header: the origin got it"
job "${get[@]}" -H 'Authorization: Bearer mine' https://api.test/hello.txt >/dev/null
is "$(last_auth)" "Bearer $token" "the client's own authorization is stripped"
out=$(job "${get[@]}" https://api.test/echo)
like "$out" 'auth=' "the origin's echo comes back"
unlike "$out" "$token" "the value is scrubbed from the answer"
job "${get[@]}" https://files.test/ >/dev/null
is "$(last_auth)" - "another host gets nothing"
job "${get[@]}" -H 'Authorization: Bearer mine' https://files.test/ >/dev/null
is "$(last_auth)" 'Bearer mine' "elsewhere the client's own authorization passes"
job "${get[@]}" -H 'Host: plain.test:8080' http://plain.test:8080/hello.txt >/dev/null
is "$(last_auth)" - "cleartext gets nothing"
job "${get[@]}" -L https://api.test/redirect >/dev/null 2>&1
is "$(origin_log | grep -c "evil.test.*$token")" 0 "a redirect to another host gets nothing"
job "${get[@]}" -d x=1 https://api.test/post/form >/dev/null
is "$(last_auth)" - "a rule that names no credential gets none"

cred '{ "basic": "robot:{token}" }'
job "${get[@]}" https://api.test/hello.txt >/dev/null
is "$(last_auth)" "Basic $(printf 'robot:%s' "$token" | base64 -w0)" "Basic: the origin got it"

cred '{ "header": "X-Token", "format": "{token}" }' '"placeholder": { "env": ["API_TOKEN"], "value": "egret__key__placeholder" }'
is "$(job printenv API_TOKEN)" egret__key__placeholder "the job holds the placeholder"
out=$(job bash -c 'curl -sS --max-time 20 -H "X-Token: $API_TOKEN" -H "X-Other: $API_TOKEN" https://api.test/echo')
unlike "$out" "$token" "placeholder: scrubbed from the answer"
unlike "$out" 'x=egret__key__placeholder' "placeholder: swapped in its header"

# A file of root's: what it holds when it is needed, also after it was replaced under a running job.
CREDENTIAL=$TMP/cred.json
printf '{ "name": "key", "provider": "file", "path": "%s", "for": "any", "hosts": ["api.test"], "inject": [ { "header": "Authorization", "format": "Bearer {token}" } ] }' \
	"$TMP/key.file" >"$CREDENTIAL"
printf '%s\n' "file-$token" >"$TMP/key.file"
chmod 666 "$TMP/key.file"
like "$(job "${get[@]}" https://api.test/hello.txt 2>&1)" "writable by root alone" "a file that others may write is not used"
chmod 600 "$TMP/key.file"
: >"$TMP/pause"
job bash -c "curl -sS --max-time 20 https://api.test/hello.txt; touch '$TMP/here'; while [ -e '$TMP/pause' ]; do sleep 0.05; done
	for i in \$(seq 20); do curl -sS --max-time 20 https://api.test/hello.txt; sleep 0.05; done" >/dev/null 2>&1 &
running=$!
wait_for 20 "[ -e '$TMP/here' ]"
is "$(last_auth)" "Bearer file-$token" "file: the origin got it, without its line's end"
printf '%s\n' "file2-$token" >"$TMP/key.new"
mv "$TMP/key.new" "$TMP/key.file"
rm -f "$TMP/pause" "$TMP/here"
wait "$running"
is "$(last_auth)" "Bearer file2-$token" "file: replaced by another, the running job gets that one"

# A token as Kubernetes projects it: links in its own folder, exchanged whole. Changed in place where they lead, too.
mkdir -p "$TMP/vol/..1" "$TMP/vol/..2" && chmod 1777 "$TMP/vol"
echo "vol1-$token" >"$TMP/vol/..1/token" && echo "vol2-$token" >"$TMP/vol/..2/token"
ln -s ..1 "$TMP/vol/..data" && ln -s ..data/token "$TMP/vol/token" && ln -s ..2 "$TMP/vol/..data_tmp"
sed "s|$TMP/key.file|$TMP/vol/token|" "$CREDENTIAL" >"$TMP/vol.json"
CREDENTIAL=$TMP/vol.json
: >"$TMP/go"
job bash -c "while [ -e '$TMP/go' ]; do ${get[*]} -o /dev/null https://api.test/hello.txt; sleep 0.05; done" >/dev/null 2>&1 &
links=$!
goes() { wait_for 20 "[ \"\$(last_auth)\" = 'Bearer $1-$token' ]"; }
t "file: by links below its own folder" goes vol1
mv -T "$TMP/vol/..data_tmp" "$TMP/vol/..data" && rm -r "$TMP/vol/..1"
t "exchanged under a running job: the new one goes out" goes vol2
echo "vol3-$token" >"$TMP/vol/..2/token"
t "written anew where they lead" goes vol3
is "$(origin_log | grep -o 'vol[123]-' | uniq | tr -d '\n')" vol1-vol2-vol3- "and never an old one behind a new one"
ln -s ../key.file "$TMP/vol/out" && mv -T "$TMP/vol/out" "$TMP/vol/token"
t "a link that leads out of its folder is refused, in words" wait_for 20 "grep -q 'vol/token: it is a symbolic link that leads out of its folder' '$TMP/events.ndjson'"
rm "$TMP/go"
wait $links

# While a job with a lease still runs: every process of it, its files and its environment.
cred '{ "header": "Authorization", "format": "Bearer {token}" }'
: >"$TMP/pause"
job bash -c "curl -sS --max-time 20 https://api.test/echo >'$TMP/job.out'; export COPY=\$(env); touch '$TMP/here'; while [ -e '$TMP/pause' ]; do sleep 0.05; done" &
running=$!
if wait_for 30 "[ -e '$TMP/here' ]"; then
	own=$(readlink /proc/self/ns/pid)
	pids=()
	for p in $(ip netns pids "$HOSTNS") $(grep -lzF "EGRET_RUN_DIR=$TMP/run" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
		[ "$(readlink "/proc/$p/ns/pid" 2>/dev/null)" = "$own" ] || pids+=("$p")
	done
	isnt "${#pids[@]}" 0 "the job's processes are found"
	out=$(printf %s "$token" | "$(helper scan)" "${pids[@]}" 2>&1)
	is $? 0 "no process of the job has the value in its memory"
	diag "$out"
	if [ -z "${EGRET_ASAN:-}" ]; then # whose shadow memory is terabytes to read
		others=()
		for p in $(ip netns pids "$HOSTNS"); do
			case $(cat "/proc/$p/comm" 2>/dev/null) in egretd | egret | egret-audit | egret-init | egret-compile) others+=("$p") ;; esac
		done
		out=$(printf %s "$token" | "$(helper scan)" "${others[@]}" 2>&1)
		is $? 0 "nor any process of egret but broker and proxy"
		diag "$out"
	fi
else
	fail "the job with a lease came to its pause"
fi
rm -f "$TMP/pause"
wait $running
is "$(grep -rlF "$token" "$TMP/job.out" "$TMP/events.ndjson" "$TMP/run" 2>/dev/null | wc -l)" 0 "not in files, not in events"
like "$(events)" '"kind":"credential.lease"' "the lease is in the events, by name"

printf '{ "name": "key", "provider": "store", "value": "never-set", "for": "any", "hosts": ["api.test"], "inject": [ { "header": "Authorization", "format": "{token}" } ] }' >"$CREDENTIAL"
before=$(origin_log | wc -l)
like "$(job "${get[@]}" --http1.1 -i https://api.test/hello.txt | head -n 1)" '^HTTP/1.1 502 egret could not get credential key' "a credential that cannot be had refuses the request"
is "$(origin_log | wc -l)" "$before" "and the request was not sent"
done_testing
