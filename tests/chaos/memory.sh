#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 150
# P2, P4: who has a secret. One job with a credential of each kind: while it uses them each value is in the memory of those alone that need
# it, after the job's end in nobody's. None is in an environment, an argument, a log, an event or any other file, and none in a core dump,
# however a process is killed. MEMORY_IDLE=1 (make soak) waits until the processes that asked providers have gone with their logins.
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
[ -z "${EGRET_ASAN:-}" ] || skip_all "the sanitizer's shadow memory is terabytes to read"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
need python3 jq
S3=s3.eu-west-1.amazonaws.com
NAMES+=" id.test $S3" NGINX_OWN='id.test node.test'

# ---- the secrets: a file each, never an argument ----
mkdir -m 700 "$TMP/secrets"
for n in minted client stored filed kv approle login exec session; do printf '%s-%s' "$n" "$(openssl rand -hex 20)" >"$TMP/secrets/$n"; done
printf %s "$(openssl rand -hex 20)" >"$TMP/secrets/aws"
of() { cat "$TMP/secrets/$1"; }
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=robot -keyout "$TMP/robot.key" -out "$TMP/robot.pem" 2>/dev/null
printf %s "$(sed -n 3p "$TMP/robot.key" | cut -c 1-26)" >"$TMP/secrets/mtls-pem"
# As it stands in DER, and as libcrypto counts with it: the least byte first.
openssl ec -in "$TMP/robot.key" -noout -text 2>/dev/null | sed -n '/^priv:/,/^pub:/p' | grep '^ ' | tr -d ' :\n' | sed 's/^00\(.\{64\}\)$/\1/' >"$TMP/robot.hex"
python3 - "$TMP" <<'PY'
import sys
k = bytes.fromhex(open(sys.argv[1] + "/robot.hex").read().rjust(64, "0"))
open(sys.argv[1] + "/secrets/mtls-der", "wb").write(k)
open(sys.argv[1] + "/secrets/mtls-number", "wb").write(k[::-1])
PY

NGINX_EXTRA="server { listen $GOOD:443 ssl; server_name id.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key; access_log off;
	default_type application/json;
	location = /token { return 200 '{\"access_token\":\"$(of minted)\",\"token_type\":\"Bearer\",\"expires_in\":600}'; }
	location = /revoke { return 200 ''; }
	location = /v1/sys/health { return 200 '{\"initialized\":true,\"sealed\":false,\"standby\":false}'; }
	location = /v1/auth/approle/login { return 200 '{\"auth\":{\"client_token\":\"$(of login)\",\"accessor\":\"a\",\"token_policies\":[\"default\"],\"lease_duration\":1200,\"renewable\":true,\"token_type\":\"service\"}}'; }
	location = /v1/auth/token/revoke-self { return 204; }
	location = /v1/kv/data/app { return 200 '{\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":0,\"data\":{\"data\":{\"value\":\"$(of kv)\"},\"metadata\":{\"version\":1}}}'; }
	location = /sts { default_type text/xml; return 200 '<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAEGRETMEMORY00001</AccessKeyId><SecretAccessKey>$(of aws)</SecretAccessKey><SessionToken>$(of session)</SessionToken><Expiration>$(date -ud '+1 hour' +%Y-%m-%dT%H:%M:%SZ)</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>'; } }
server { listen $GOOD:443 ssl; server_name node.test; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key; ssl_verify_client optional_no_ca;
	location / { return 200 '\$ssl_client_s_dn'; } }"
origins_up
for n in files git pypi apt npm; do echo f >"$TMP/www/$n.test/f"; done
echo f >"$TMP/www/$S3/f"
DIR=$(mktemp -d /usr/libexec/egret-test.XXXXXX) && chmod 755 "$DIR" || exit 1
at_exit "rm -rf '$DIR'"
# The program's own process has ended when its value is used; it reads the value from a file that only its uid opens.
install -m 644 "$TMP/secrets/exec" "$DIR/value"
printf '#!/bin/bash\nread -r v <%s/value\nprintf \x27{"value":"%%s","expires_in":600}\x27 "$v"\n' "$DIR" >"$DIR/mint" && chmod 755 "$DIR/mint"
install -m 600 "$TMP/secrets/filed" "$TMP/value"
b64url() { base64 -w0 | tr '+/' '-_' | tr -d '='; }
printf %s "$(printf '{"alg":"RS256"}' | b64url).$(printf '{"iss":"https://ci.test","sub":"repo:acme/web","repository":"acme/web","run_id":"7"}' | b64url).c2ln" >"$TMP/token"
chmod 600 "$TMP/token"

daemon_config
installed memory '"allow": "GET https://api.test/hello.txt", "credential": "minted"' '"allow": "GET https://api.test/echo", "credential": "stored"' \
	'"allow": "GET https://files.test/**", "credential": "filed"' '"allow": "GET https://git.test/**", "credential": "kv"' \
	'"allow": "GET https://pypi.test/**", "credential": "exec"' '"allow": "GET https://node.test/**", "credential": "mtls"' "\"allow\": \"GET https://$S3/**\", \"credential\": \"aws\""
cred() { # name, host, members, [inject]
	local inject=', "inject": { "header": "Authorization", "format": "Bearer {token}" }'
	printf '{ "name": "%s", "for": "any", "tier": "any", "hosts": ["%s"], %s%s }' "$1" "$2" "$3" "${4-$inject}" >"$TMP/credentials/$1.json"
}
cred minted api.test '"provider": "oauth2", "token_url": "https://id.test/token", "revoke_url": "https://id.test/revoke", "grant": "client_credentials", "client_id": "egret", "client_secret": "store:client"'
cred stored api.test '"provider": "store", "value": "store:value"'
cred filed files.test "\"provider\": \"file\", \"path\": \"$TMP/value\""
cred kv git.test '"provider": "vault", "address": "https://id.test", "auth": { "method": "approle", "role_id": "ci", "secret_id": "store:approle" }, "path": "kv/data/app", "field": "value", "ttl": "10m"'
cred exec pypi.test "\"provider\": \"exec\", \"argv\": [\"$DIR/mint\"]"
cred mtls node.test '"provider": "mtls", "cert": "store:robot-cert", "key": "store:robot-key"' ''
cred aws $S3 '"provider": "aws", "role_arn": "arn:aws:iam::123456789012:role/deploy", "region": "eu-west-1", "sts_url": "https://id.test/sts"' ', "inject": { "sigv4": true }'
for n in client approle; do "$EGRET" secret set $n <"$TMP/secrets/$n"; done
"$EGRET" secret set value <"$TMP/secrets/stored"
"$EGRET" secret set robot-cert <"$TMP/robot.pem"
"$EGRET" secret set robot-key <"$TMP/robot.key"

# What is derived: of the store's key (HKDF) and of the role's (SigV4).
python3 - "$TMP" <<'PY'
import hashlib, hmac, sys, time
at = sys.argv[1]
text = open(at + "/state/keys/store.key").read().strip()
master = bytes.fromhex(text)
mac = lambda k, m: hmac.new(k, m, hashlib.sha256).digest()
prk = mac(bytes(32), master)
key = b"AWS4" + open(at + "/secrets/aws", "rb").read().strip()
for part in time.strftime("%Y%m%d", time.gmtime()), "eu-west-1", "s3", "aws4_request":
    key = mac(key, part.encode())
new = {"master-text": text.encode(), "master": master, "store-key": mac(prk, b"egret store 1\1"), "ca-key": mac(prk, b"egret job ca 1\1"),
       "journal-key": mac(prk, b"egret lease journal 1\1"), "signing": key}
for n, v in new.items():
    open(at + "/secrets/" + n, "wb").write(v)
PY

# Whoever may leave a core does: nothing but the processes themselves hinders it.
mkdir -m 1777 "$TMP/cores"
cd "$TMP/cores" || exit 1
ulimit -c unlimited
daemon_start || done_testing
JOB_OPTS=(--label repo=memory --label event=push --token-for "sts.amazonaws.com=$TMP/token")
cat >"$TMP/use.sh" <<SH
for u in https://api.test/hello.txt https://api.test/echo https://files.test/f https://git.test/f https://pypi.test/f https://node.test/; do
	curl -sS --max-time 20 -o /dev/null -w '%{http_code} ' \$u
done >'$TMP/codes'
curl -sS --max-time 20 --aws-sigv4 aws:amz:eu-west-1:s3 --user EGRET0PLACEHOLDER000:x -o /dev/null -w '%{http_code} ' https://$S3/f >>'$TMP/codes'
touch '$TMP/here'; while [ -e '$TMP/pause' ]; do sleep 0.05; done
SH
job_runs() {
	rm -f "$TMP/here"
	: >"$TMP/pause"
	daemon_job bash "$TMP/use.sh" >"$TMP/job.out" 2>&1 &
	running=$!
	t "a job came to its pause" wait_for 40 "[ -e '$TMP/here' ]"
	is "$(cat "$TMP/codes")" '200 200 200 200 200 200 200 ' "it was served with all seven" || diag "$(stream | jq -c 'select(.verdict == "deny") | [.reason, .message]' | tail -n 5)"
}
job_runs
is "$(origin_log | cut -d' ' -f6- | grep -cFf <(for n in minted stored filed kv exec; do of $n; echo; done))" 5 "the origins had each value"
is "$(origin_log | grep -c "^$S3 .*AWS4-HMAC-SHA256 Credential=ASIAEGRETMEMORY00001/")" 1 "and a signature by the role's key"

# ---- who has it ----
search() { # fills $TMP/holders: secret, process, mapping
	python3 "$ROOT/tests/chaos/holders.py" "$TMP/secrets" $(ip netns pids "$HOSTNS") $(grep -lzF "EGRET_RUN_DIR=$TMP/run" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3) "$@" >"$TMP/holders"
}
who() { awk -v n="$1" '$1 == n { print $2 }' "$TMP/holders" | sort -u | tr '\n' ' '; }
# The search finds what is there.
printf 'planted-%s' "$(openssl rand -hex 20)" >"$TMP/secrets/planted"
# As the broker's uid, so that its core could be written too.
cp "$TMP/secrets/planted" "$TMP/planted" && mkfifo -m 666 "$TMP/fifo"
spawn setpriv --reuid 65601 --regid 65601 --clear-groups bash -c 'read -r v <"$0/planted"; : >"$0/cores/holds"; read -t 100 -r x <>"$0/fifo"' "$TMP"
control=$SPAWNED
t "a process that holds a planted value is there" wait_for 10 "[ -e '$TMP/cores/holds' ]"
rm -f "$TMP/cores/holds"
search "$control"
is "$(who planted)" 'bash ' "the search finds it, and there alone"
for n in client minted stored filed approle kv login exec aws session signing mtls-pem mtls-der mtls-number master-text master store-key ca-key journal-key; do
	case $n in
	client | approle) may='egret-broker|egret-provider' ;; # the login, and who logs in
	login) may=egret-provider ;;
	aws) may=egret-broker ;; # the role's key: who derives others of it
	master-text | master) may=nobody ;;
	*-key) may=egret-broker ;;
	*) may='egret-broker|egret-proxy' ;;
	esac
	unlike "$(who $n | tr ' ' '\n' | grep -Evx "$may")" . "$n: nobody but $may" || diag "$(grep "^$n " "$TMP/holders")"
done
is "$(for n in minted stored kv exec signing mtls-number; do who $n | grep -c egret-proxy; done | sort -u)" 1 "who uses one has it"
is "$(who store-key)$(who journal-key)" 'egret-broker egret-broker ' "and the broker its keys"
for name in egretd egret-broker egret-provider egret-proxy egret-audit; do
	for p in $(egret_pids $name); do is "$(stat -c %u "/proc/$p/environ")" 0 "$name: not dumpable"; done
done
# No argument of grep; without NULs, which a pattern cannot have.
for n in minted client stored filed kv approle login exec aws session mtls-pem master-text; do of $n; echo; done >"$TMP/all"
in_files() { grep -rlaFf "$TMP/all" "$TMP/state" "$TMP/run" "$TMP/egretd.log" "$TMP/job.out" "$TMP/codes" "$TMP/cores" 2>/dev/null | grep -v '/keys/store\.key$'; }
in_proc() { grep -laFf "$TMP/all" /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; }
is "$(in_files)" '' "no file of egret's, no log, no event has one in the clear"
is "$(in_proc)" '' "no environment, no argument"

# ---- after the job ----
rm "$TMP/pause"
wait "$running"
nobody() { search && ! grep -Ev '^planted |^(client|approle|login) egret-provider |^(store-key|ca-key|journal-key) egret-broker ' "$TMP/holders"; }
t "after the job each is nobody's, but a provider's login and the broker's keys" wait_for 10 'nobody >/dev/null' || diag "$(cat "$TMP/holders")"
[ -z "${MEMORY_IDLE:-}" ] || t "and when they have been idle, the logins too" wait_for 60 'search; ! grep -Ev "^planted |^(store-key|ca-key|journal-key) egret-broker " "$TMP/holders"'
is "$(in_files)" '' "nor are they in any file"

# ---- cores ----
cores() { find "$TMP/cores" -type f; } # where all of them stand
job_runs
kill -ABRT "$control"
wait "$control" 2>/dev/null
if wait_for 5 '[ -n "$(cores)" ]'; then
	is "$(cores | xargs grep -laF "$(of planted)" | wc -l)" 1 "a process of the broker's uid that is killed leaves a core with its secret"
	cores | xargs rm -f
else
	skip "a process that is killed leaves a core" "core_pattern is $(cat /proc/sys/kernel/core_pattern)"
fi
died() { # program, signal
	local p
	for p in $(egret_pids "$1"); do kill "-$2" "$p"; t "$1: killed by SIG$2" wait_for 5 "! kill -0 $p || grep -q '^State:.Z' /proc/$p/status"; done
}
died egret-proxy SEGV
died egret-provider ABRT
died egret-audit SEGV
died egret-broker ABRT
{ died egretd SEGV && wait "$DAEMON"; } 2>/dev/null
is "$(cores)" '' "none of egret's leaves one" || diag "$(cores | xargs grep -laFf "$TMP/all")"
rm -f "$TMP/pause"
wait "$running"
done_testing
