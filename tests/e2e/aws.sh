#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# takes: 45 s
# not quick
# AWS: a job with nothing configured but its region uses the CLI and boto3; what it signs with placeholder keys is signed anew with keys of a
# role, which only the broker has. moto behind a gate that makes each signature again (aws_gate.py).
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
need aws python3 curl
python3 -c 'import moto.server, boto3' 2>/dev/null || skip_all "moto and boto3 are not installed (Debian 12 has no moto)"
R=eu-west-1
GATE=198.51.100.53
EXTRA_HOSTS[jobs-bucket.s3.amazonaws.com]=$GATE
for n in s3 jobs-bucket.s3 sts secretsmanager; do EXTRA_HOSTS[$n.$R.amazonaws.com]=$GATE; done
EXTRA_HOSTS[sts.us-west-2.amazonaws.com]=$GATE
origins_up
mkdir -p "$TMP/aws"
pki_leaf outside gate "DNS:*.$R.amazonaws.com,DNS:*.s3.$R.amazonaws.com,DNS:*.us-west-2.amazonaws.com,DNS:*.s3.amazonaws.com"
b64url() { base64 -w0 | tr '+/' '-_' | tr -d '='; }
token=$(printf '{"alg":"RS256"}' | b64url).$(printf '{"iss":"https://ci.test","sub":"repo:acme/web","repository":"acme/web","run_id":"1658821493"}' | b64url).c2ln
printf %s "$token" >"$TMP/token"
chmod 600 "$TMP/token"
export AWS_EC2_METADATA_DISABLED=true
spawn in_origin env -u AWS_CA_BUNDLE MOTO_S3_DEFAULT_MAX_KEYS=1000 AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x python3 -m moto.server -H 127.0.0.1 -p 5000 >"$TMP/moto.log" 2>&1
spawn in_origin python3 "$ROOT/tests/e2e/aws_gate.py" "$GATE" "$TMP/gate.pem" "$TMP/gate.key" 5000 "$token" "$TMP/aws" >"$TMP/gate.log" 2>&1
wait_for 60 "port_open in_origin 127.0.0.1 5000 && port_open in_host $GATE 443" || { fail "moto and the gate answer"; diag "$(tail -n 5 "$TMP/moto.log" "$TMP/gate.log")"; exit 1; }
gate_log() { cat "$TMP/aws/log" 2>/dev/null; }

POLICY=$TMP/policy.json
printf '{ "version": 1, "name": "aws", "rules": [ { "id": "aws", "allow": "ANY https://**.amazonaws.com/**" } ] }' >"$POLICY"
cred() { # [more members]
	CREDENTIAL=$TMP/cred.json
	printf '{ "name": "deploy", "provider": "aws", "for": "any", "hosts": ["**.amazonaws.com"], "region": "%s", "role_arn": "arn:aws:iam::123456789012:role/deploy", "inject": { "sigv4": true }%s }' \
		"$R" "${1:+, $1}" >"$CREDENTIAL"
	JOB_OPTS=(--token-for "sts.amazonaws.com=$TMP/token")
}
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_CA_BUNDLE
export AWS_REGION=$R AWS_DEFAULT_REGION=$R AWS_MAX_ATTEMPTS=1 AWS_CONFIG_FILE=$TMP/none AWS_SHARED_CREDENTIALS_FILE=$TMP/none AWS_PAGER=

# Without the credential the gate refuses what the job signs: it does verify.
CREDENTIAL=
out=$(AWS_ACCESS_KEY_ID=EGRET0PLACEHOLDER000 AWS_SECRET_ACCESS_KEY=nothing job aws sts get-caller-identity 2>&1)
like "$out" 'SignatureDoesNotMatch' "without egret's signature a placeholder key gets nothing"
like "$(gate_log)" '^REFUSED unknown access key' "the gate knows only keys of the role"

cred '"ttl": "30m"'
head -c 20971520 /dev/urandom >"$TMP/big"
head -c 150000 /dev/urandom >"$TMP/some"
echo 'small' >"$TMP/small"
chmod 644 "$TMP/big" "$TMP/some" "$TMP/small"
mkdir -m 777 "$TMP/back"
out=$(job aws sts get-caller-identity 2>&1)
like "$out" 'arn:aws:sts::123456789012:assumed-role/deploy/acme-web-1658821493' "aws sts get-caller-identity: the role, in the job's name"
like "$(gate_log)" '^assume acme-web-1658821493 1800 POST' "the role was assumed with the job's token, for the ttl"
out=$(job bash -ec "
	aws s3 mb s3://jobs-bucket
	aws s3 cp --no-progress $TMP/small s3://jobs-bucket/small
	aws s3 cp --no-progress $TMP/big s3://jobs-bucket/big
	aws s3 cp --no-progress s3://jobs-bucket/big $TMP/back/big
	aws s3 cp --no-progress s3://jobs-bucket/small - " 2>&1)
is $? 0 "aws s3 mb, cp up and down, 20 MiB in parts"
like "$out" '^small$' "the small one comes back"
diag "$(tail -n 5 <<<"$out")"
is "$(sha "$TMP/back/big")" "$(sha "$TMP/big")" "the large one comes back as it was"
diag "$(gate_log | cut -d' ' -f1-4 | sort | uniq -c)"
out=$(job python3 "$ROOT/tests/e2e/aws_client.py" boto jobs-bucket 2>&1)
like "$out" '^boto3 says arn:aws:sts::123456789012:assumed-role/deploy/' "boto3 with nothing configured"
for how in stream trailer; do
	out=$(job python3 "$ROOT/tests/e2e/aws_client.py" $how jobs-bucket "by-$how" "$TMP/some" 2>&1)
	like "$out" '^200' "a signed stream ($how) is signed anew"
	job aws s3 cp --no-progress "s3://jobs-bucket/by-$how" "$TMP/back/by-$how" >/dev/null 2>&1
	is "$(sha "$TMP/back/by-$how")" "$(sha "$TMP/some")" "and its bytes are what was sent ($how)"
done
like "$(gate_log)" '^s3 eu-west-1 STREAMING-AWS4-HMAC-SHA256-PAYLOAD PUT' "the gate saw a signed stream"
like "$(gate_log)" '^s3 eu-west-1 STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER PUT' "and one with trailers"
like "$(gate_log)" '^s3 eu-west-1 STREAMING-UNSIGNED-PAYLOAD-TRAILER PUT' "and one of boto's own"
out=$(job curl -sS --max-time 20 --aws-sigv4 "aws:amz:$R:sts" --user any:thing -d 'Action=GetCallerIdentity&Version=2011-06-15' "https://sts.$R.amazonaws.com/" 2>&1)
like "$out" 'assumed-role/deploy' "curl --aws-sigv4"
is "$(gate_log | grep -c REFUSED)" 1 "the gate has refused nothing that egret signed"
out=$(job curl -sS --max-time 20 --aws-sigv4 "aws:amz:$R:sts" --user any:thing "https://sts.$R.amazonaws.com/echo" 2>&1)
session=$(tail -n 1 "$TMP/aws/keys" | cut -d' ' -f3)
like "$(gate_log)" "^echo of a session token of ${#session}$" "an origin that writes the session token back"
is "$(tr -d '*' <<<"$out" | tr -d '\n' | wc -c) $(wc -c <<<"$out")" "0 $((4 * ${#session} + 1))" "and the job gets asterisks, also of its bytes in hexadecimal"

asked() { gate_log | grep -vc '^assume'; }
before=$(asked)
out=$(job bash -c 'curl -sS --max-time 20 "$(aws s3 presign s3://jobs-bucket/small)"' 2>&1)
like "$out" 'signed in its address .a presigned URL.' "a presigned URL is refused in words"
out=$(job aws sts assume-role --role-arn arn:aws:iam::123456789012:role/other --role-session-name other 2>&1)
unlike "$out" 'SecretAccessKey' "sts assume-role gets no keys"
out=$(job aws sts get-caller-identity --region us-west-2 2>&1)
like "$(events)" 'signs for no region us-west-2' "another region is refused in words"
out=$(job bash -c "curl -sS --max-time 20 -H 'Authorization: AWS4-ECDSA-P256-SHA256 Credential=a/20261122/s3/aws4_request, SignedHeaders=host, Signature=00' https://s3.$R.amazonaws.com/" 2>&1)
like "$out" 'SigV4A' "a signature for several regions is refused in words"
is "$(asked)" "$before" "and nothing of these was sent"
out=$(job bash -c 'curl -sS --max-time 20 -i http://169.254.170.2/latest/meta-data/; curl -sS --max-time 5 http://169.254.169.254/' 2>&1)
like "$out" '^HTTP/1.1 404 egret .*here are only placeholder keys' "nothing else is at that address"

# A secret of Secrets Manager as a credential for somebody else's host: asked for with the role's keys, signed by egret.
out=$(job bash -ec "
	aws secretsmanager create-secret --name deploy/plain --secret-string 'pl4in-canary-9d1f-value'
	aws secretsmanager create-secret --name deploy/json --secret-string '{\"user\": \"ci\", \"token\": \"f1eld-canary-77c2-value\"}'
	printf 'b1nary-canary-3e5a-value' >'$TMP/back/binary'
	aws secretsmanager create-secret --name deploy/binary --secret-binary 'fileb://$TMP/back/binary'" 2>&1)
is $? 0 "secrets are made through the job's own signed requests" || diag "$(tail -n 3 <<<"$out")"
printf '{ "version": 1, "name": "aws", "rules": [ { "id": "api", "allow": "GET https://api.test/**", "credential": "deploy" } ] }' >"$POLICY"
secret_cred() { # secret's name, [more members]
	printf '{ "name": "deploy", "provider": "aws-secret", "for": "any", "hosts": ["api.test"], "region": "%s", "role_arn": "arn:aws:iam::123456789012:role/deploy", "secret_id": "%s", "inject": { "header": "Authorization", "format": "Bearer {token}" }%s }' \
		"$R" "$1" "${2:+, $2}" >"$CREDENTIAL"
}
echoed() { job curl -sS --max-time 20 https://api.test/echo 2>&1; }
last_auth() { origin_log | tail -n 1 | cut -d' ' -f6-; }
secret_cred deploy/plain
out=$(echoed)
is "$(last_auth)" 'Bearer pl4in-canary-9d1f-value' "aws-secret: a SecretString reaches the origin" || diag "$out" "$(gate_log | tail -n 2)"
unlike "$out" 'pl4in-canary' "and not the job"
secret_cred deploy/json '"field": "token"'
echoed >/dev/null
is "$(last_auth)" 'Bearer f1eld-canary-77c2-value' "one field of a secret that is JSON"
secret_cred deploy/binary
echoed >/dev/null
is "$(last_auth)" 'Bearer b1nary-canary-3e5a-value' "a SecretBinary"
sent=$(origin_log | wc -l)
secret_cred deploy/none
like "$(echoed)" 'could not get credential deploy .aws-secret: 40[04] at secretsmanager: ResourceNotFoundException' "a secret that is not there is refused in words"
secret_cred deploy/json '"field": "other"'
like "$(echoed)" 'no JSON object with a field other' "and a field that is not"
is "$(origin_log | wc -l)" "$sent" "nothing of these was sent"
is "$(gate_log | grep -c REFUSED)" 1 "the gate has refused nothing that egret-provider signed"
printf '{ "version": 1, "name": "aws", "rules": [ { "id": "aws", "allow": "ANY https://**.amazonaws.com/**" } ] }' >"$POLICY"
cred '"ttl": "30m"'

# The key itself: in the broker, and in nobody else.
: >"$TMP/pause"
job bash -c "aws sts get-caller-identity >/dev/null 2>&1; aws s3 cp --no-progress s3://jobs-bucket/small '$TMP/back/pause' >/dev/null; touch '$TMP/back/here'; while [ -e '$TMP/pause' ]; do sleep 0.05; done" &
running=$!
if wait_for 30 "[ -e '$TMP/back/here' ]"; then
	secret=$(tail -n 1 "$TMP/aws/keys" | cut -d' ' -f2)
	pids=()
	for p in $(ip netns pids "$HOSTNS") $(grep -lzF "EGRET_RUN_DIR=$TMP/run" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
		case " $(ip netns pids "$ORIGINNS" | tr '\n' ' ') $$ " in *" $p "*) continue ;; esac
		case $(cat "/proc/$p/comm" 2>/dev/null) in egret-broker | egret-provider | timeout) continue ;; esac
		pids+=("$p")
	done
	comms=$(for p in "${pids[@]}"; do cat "/proc/$p/comm" 2>/dev/null; done | sort -u | tr '\n' ' ')
	like "$comms" 'egret-proxy' "the proxy is among those searched"
	if [ -z "${EGRET_ASAN:-}" ]; then
		out=$(printf %s "$secret" | "$(helper scan)" "${pids[@]}" 2>&1)
		is $? 0 "the role's secret key is in no process but the broker (searched: $comms)"
		diag "$out"
	fi
else
	fail "the job with keys came to its pause"
fi
rm -f "$TMP/pause"
wait $running
is "$(grep -rlF "$secret" "$TMP/back" "$TMP/events.ndjson" "$TMP/run" 2>/dev/null | wc -l)" 0 "not in files, not in events"
done_testing
