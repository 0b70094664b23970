#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# egret secret rekey: another store key while a job runs. The job is served all the time, what is sealed opens by the new key alone, and
# whoever is killed in between - the broker, egretd - the change is finished by who comes next. A lease that was minted before all that is
# revoked at its job's end. Then the same where the key is a credential of systemd's, and under ca.mode root.
# takes: 25 s
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need jq
NAMES+=' id.test' NGINX_OWN=id.test
NGINX_EXTRA="log_format idp '\$request_method \$request_uri \$status \$request_body';
	server { listen $GOOD:443 ssl; server_name id.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key; access_log $TMP/www/id.log idp;
	location = /token { default_type application/json; return 200 '{\"access_token\":\"minted-\$request_id\",\"token_type\":\"Bearer\",\"expires_in\":3600}'; }
	location = /revoke { proxy_pass http://$GOOD:8089; } }
	server { listen $GOOD:8089; access_log off; location / { return 200 ''; } }"
origins_up
token=tok-$(openssl rand -hex 20)
daemon_config
installed rekeyed '"allow": "GET https://api.test/**", "credential": "key"' '"allow": "GET https://files.test/**", "credential": "minted"'
printf '{ "name": "key", "provider": "store", "value": "key-token", "for": "any", "tier": "any", "hosts": ["api.test"], "inject": [ { "header": "Authorization", "format": "Bearer {token}" } ] }' \
	>"$TMP/credentials/key.json"
cat >"$TMP/credentials/minted.json" <<-JSON
	{ "name": "minted", "provider": "oauth2", "token_url": "https://id.test/token", "revoke_url": "https://id.test/revoke", "grant": "client_credentials",
	  "client_id": "egret", "client_secret": "store:s1", "for": "any", "tier": "any", "hosts": ["files.test"],
	  "inject": { "header": "Authorization", "format": "Bearer {token}" } }
JSON
asked() { grep -c "^POST /$1 200" "$TMP/www/id.log" 2>/dev/null; } # token, revoke
files_auth() { origin_log | grep '^files.test ' | tail -n 1 | cut -d' ' -f6-; }
store=$TMP/state/store key=$TMP/state/keys/store.key

# ---- no daemon ----
printf %s "$token" | "$EGRET" secret set key-token || fail "the secret is stored"
for i in 1 2 3; do printf "value %s" "$i" | "$EGRET" secret set "s$i"; done
is "$(echo v | "$EGRET" secret set gone --json) $("$EGRET" secret remove gone --json)" '{ "ok": true, "name": "gone" } { "ok": true, "name": "gone" }' "set and removed, for a machine"
cp "$key" "$TMP/key.first"
cp "$store/key-token.sealed" "$TMP/sealed.first"
is "$("$EGRET" secret rekey --json | jq -c .)" '{"ok":true,"sealed":4}' "no daemon: four files are sealed anew"
t "the key is another" bash -c "! cmp -s '$key' '$TMP/key.first'"
is "$(stat -c '%a %u' "$key")" '400 0' "root's alone"
t "nothing of the change is left" test ! -e "$key.new"
t "the file is another" bash -c "! cmp -s '$store/key-token.sealed' '$TMP/sealed.first'"

# ---- a running job ----
daemon_start || done_testing
for i in $(seq 4 60); do printf 'value %s' "$i" | "$EGRET" secret set "s$i"; done
cat >"$TMP/loop.sh" <<'SH'
while [ -e "$1/pause" ]; do
	start=$EPOCHREALTIME
	echo "${start/./} $(curl -s --max-time 8 -o /dev/null -w '%{http_code}' "https://api.test/hello.txt?$start")" >>"$1/codes"
	if [ -e "$1/mint" ]; then rm "$1/mint"; curl -s --max-time 8 -o /dev/null https://files.test/f; touch "$1/minted"; fi
	sleep 0.1
done
SH
mint() { rm -f "$TMP/minted"; : >"$TMP/mint"; wait_for 20 "[ -e '$TMP/minted' ]"; }
: >"$TMP/pause"
JOB_OPTS=(--label repo=rekeyed --label event=push)
daemon_job bash "$TMP/loop.sh" "$TMP" >"$TMP/job.out" 2>&1 &
job_pid=$!
t "the job is served" wait_for 30 "grep -q ' 200' '$TMP/codes'"
served() { wait_for 20 "awk -v t=$1 '\$1 > t { print \$2 }' '$TMP/codes' | grep -qx 200"; }
since() { awk -v t="$1" '$1 > t { print $2 }' "$TMP/codes" | sort -u | tr '\n' ' '; }
now() { echo "${EPOCHREALTIME/./}"; }
t "and has a lease of its own" mint
minted=$(files_auth)
like "$minted" '^Bearer minted-' "minted for it"
cp "$key" "$TMP/key.second"
begun=$(now)
like "$("$EGRET" secret rekey 2>&1)" '^62 files were sealed under the new key' "while it runs: all files, and the journal of leases"
t "the key is another" bash -c "! cmp -s '$key' '$TMP/key.second'"
t "the job is served" served "$(now)"
is "$(since "$begun")" '200 ' "and was all the time"
is "$("$EGRET" secret list --json | jq '[.[] | select(.size > 0)] | length')" 61 "no secret is lost"
is "$(stream | jq -r 'select(.kind == "admin.secret" and .message == "rekey") | "\(.process.uid) \(.process.comm)"')" '0 egret' "event: who asked, and by what"
is "$(stream | jq -r 'select(.kind == "admin.secret") | .message' | grep -c '^rekeyed')" 1 "event: it is done"

# ---- the CA that egretd keeps of the job opens by the new key: in the next broker, and after egretd died too ----
kill -9 "$(egret_pids egret-broker)"
t "the next broker is there" wait_for 10 "[ -n \"\$(egret_pids egret-broker)\" ]"
kill -9 "$(egret_pids egret-proxy)"
t "broker and proxy killed: the job is served again, by the CA that it trusts" served "$(now)"
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
daemon_start || done_testing
kill -9 "$(egret_pids egret-broker)"
t "egretd started anew, and then another broker" wait_for 10 "[ -n \"\$(egret_pids egret-broker)\" ]"
kill -9 "$(egret_pids egret-proxy)" 2>/dev/null
t "egretd killed too: the same" served "$(now)"
t "the job lives" kill -0 "$job_pid"

# ---- killed in between ----
for who in broker egretd; do
	cp "$key" "$TMP/key.before"
	"$EGRET" secret rekey >"$TMP/out" 2>&1 &
	asked=$!
	wait_for 10 "[ -e '$key.new' ]" || fail "$who: a new key lies beside the old"
	[ $who != broker ] || kill -9 "$(egret_pids egret-broker)"
	[ $who != egretd ] || { kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null; daemon_start || done_testing; }
	wait "$asked"
	t "$who killed in between: the change is finished by itself" wait_for 20 "[ ! -e '$key.new' ]"
	t "the key is another" bash -c "! cmp -s '$key' '$TMP/key.before'"
	kill -9 "$(egret_pids egret-proxy)" 2>/dev/null
	t "the job is served with its credential" served "$(now)"
	is "$("$EGRET" secret list --json | jq '[.[] | select(.size > 0)] | length')" 61 "no secret is lost"
done
like "$(grep -h "Bearer $token" "$TMP/www/access.log" | tail -n 1)" "Bearer $token" "the origin has the token"
t "the lease is what it was" mint
is "$(files_auth)" "$minted" "with the same value"
is "$(asked token) $(asked revoke)" '1 0' "made once, and nobody has revoked it"
rm "$TMP/pause"
wait "$job_pid"
is $? 0 "the job ends by itself"
t "its lease, which three keys have sealed, is revoked" wait_for 5 '[ "$(asked revoke)" = 1 ]'
like "$(grep '^POST /revoke' "$TMP/www/id.log")" "token=${minted#Bearer }(&|$)" "it, and no other"

# ---- the keys before open nothing: the check can fail ----
daemon_stop
cp "$key" "$TMP/key.last"
rm "$key" && cp -p "$TMP/key.second" "$key"
daemon_start || done_testing
daemon_job curl -sS -o /dev/null -w '%{http_code}' https://api.test/hello.txt >"$TMP/out" 2>&1
unlike "$(cat "$TMP/out")" '200' "by an earlier key nothing opens"
daemon_stop
rm "$key" && cp -p "$TMP/key.last" "$key"
daemon_start || done_testing
is "$(daemon_job curl -sS -o /dev/null -w '%{http_code}' https://api.test/hello.txt 2>&1)" 200 "by the last one it does"
daemon_stop

# ---- the key is a credential of systemd's, and there is a root that images carry ----
creds=$TMP/creds
mkdir -m 700 "$creds"
# As LoadCredentialEncrypted= has it: sealed in /etc/credstore.encrypted by a key of this host, opened for the service at its start. There is
# no systemd here that does it, so the folder is filled by its tool where that is there, and egretd is told of it as systemd tells a service.
credential() { # name, file
	if command -v systemd-creds >/dev/null; then
		unshare -m bash -ec 'mount -t tmpfs tmpfs /var/lib/systemd; systemd-creds setup
			systemd-creds encrypt --with-key=host --name="$0" "$1" "$2/sealed"; systemd-creds decrypt --name="$0" "$2/sealed" "$2/open"' "$1" "$2" "$TMP" >"$TMP/creds.out" 2>&1 ||
			{ diag "$(cat "$TMP/creds.out")"; return 1; }
		mv "$TMP/open" "$creds/$1"
	else
		cp "$2" "$creds/$1"
	fi
	chmod 400 "$creds/$1"
}
start_with() { CREDENTIALS_DIRECTORY=$creds daemon_start; }
root_print() { "$EGRET" ca | openssl x509 -noout -fingerprint; }
t "the key becomes the credential egret-store-key" credential egret-store-key "$key"
rm "$key"
daemon_config '"ca": { "mode": "root" }'
start_with || done_testing
t "no key is made where it was" test ! -e "$key"
root=$(root_print)
: >"$TMP/pause"
daemon_job bash "$TMP/loop.sh" "$TMP" >"$TMP/job.out" 2>&1 &
job_pid=$!
t "a job is served" served "$(now)"
mint
minted=$(files_auth)
like "$("$EGRET" secret rekey 2>&1)" 'give egretd the new one as egret-store-key-next' "rekey without the next one says what to do"
head -c 32 /dev/urandom >"$TMP/next"
t "the next one, 32 bytes" credential egret-store-key-next "$TMP/next"
rekeyed=$(stream | grep -c '"message":"rekeyed')
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
start_with || done_testing
t "egretd started anew seals everything under it by itself" wait_for 20 '[ "$(stream | grep -c "\"message\":\"rekeyed")" = $((rekeyed + 1)) ]'
kill -9 "$(egret_pids egret-proxy)"
t "the job is served" served "$(now)"
mv "$creds/egret-store-key" "$TMP/key.systemd"
mv "$creds/egret-store-key-next" "$creds/egret-store-key"
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
start_with || done_testing
broker=$(egret_pids egret-broker)
kill -9 "$broker"
t "egretd and the broker are started anew" wait_for 20 "[ -n \"\$(egret_pids egret-broker)\" ]"
kill -9 "$(egret_pids egret-proxy)" 2>/dev/null
t "by the next one alone it is served too" served "$(now)"
mint
is "$(files_auth) $(asked token)" "$minted 2" "with the lease that it had"
is "$(root_print)" "$root" "the root that images carry is the same"
is "$("$EGRET" secret list --json | jq '[.[] | select(.size > 0)] | length')" 61 "no secret is lost"
rm "$TMP/pause"
wait "$job_pid"
t "the lease is revoked at the job's end" wait_for 5 '[ "$(asked revoke)" = 2 ]'
daemon_stop
mv "$creds/egret-store-key" "$TMP/key.last" && cp -p "$TMP/key.systemd" "$creds/egret-store-key"
CREDENTIALS_DIRECTORY=$creds in_host timeout 20 "$EGRETD" --config "$TMP/egret.json" --once >"$TMP/out" 2>&1
like "$(cat "$TMP/out")" 'store/.ca-root is damaged or sealed with another key' "by the one before there is no root, and none is made in its place"
done_testing
