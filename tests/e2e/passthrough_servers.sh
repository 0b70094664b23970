#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# not quick
# tls:// and tcp:// with the servers and clients that people have: ssh, git over ssh, PostgreSQL (its SSLRequest is clear: tcp://), Redis in
# clear and in TLS, SMTP with STARTTLS (a server of our own, 20 lines: Debian's are made to be installed). All but one of them speak first
# or in a way of their own. EGRET_DIRECT=1 runs the same without egret.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/e2e/origins.sh"
need git ssh /usr/sbin/sshd redis-server redis-cli python3 setpriv
pg=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1)
pg=${pg%/initdb}
[ -n "$pg" ] && command -v psql >/dev/null || skip_all "PostgreSQL is not installed"
for name in db cache mail ssh; do EXTRA_HOSTS[$name.test]=$GOOD; done
origins_up
pki_leaf outside servers DNS:db.test,DNS:cache.test,DNS:mail.test
last() { events | grep -F "\"kind\":\"$1\"" | tail -n 1; }

# ---- the servers ----

mkdir -p "$TMP/pg" "$TMP/keys"
install -m 644 "$TMP/servers.pem" "$TMP/keys/pg.pem"
install -m 600 -o postgres "$TMP/servers.key" "$TMP/keys/pg.key"
install -m 644 "$TMP/servers.key" "$TMP/keys/all.key"
chown postgres "$TMP/pg"
postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
echo secret-word >"$TMP/keys/pg.word" && chmod 644 "$TMP/keys/pg.word"
postgres "$pg/initdb" -D "$TMP/pg" -U tester -A scram-sha-256 --pwfile="$TMP/keys/pg.word" -N -E UTF8 --locale=C >"$TMP/pg.log" 2>&1 || { diag "$(tail "$TMP/pg.log")"; exit 1; }
echo 'host all all all scram-sha-256' >>"$TMP/pg/pg_hba.conf"
spawn nsenter --net="/run/netns/$ORIGINNS" setpriv --reuid=postgres --regid=postgres --init-groups "$pg/postgres" -D "$TMP/pg" -c listen_addresses=$GOOD \
	-c unix_socket_directories= -c ssl=on -c ssl_cert_file="$TMP/keys/pg.pem" -c ssl_key_file="$TMP/keys/pg.key" -c fsync=off >>"$TMP/pg.log" 2>&1
spawn in_origin redis-server --bind $GOOD --port 6379 --tls-port 6380 --tls-cert-file "$TMP/servers.pem" --tls-key-file "$TMP/servers.key" \
	--tls-auth-clients no --protected-mode no --save '' --dir "$TMP" >"$TMP/redis.log" 2>&1

# sshd wants /run/sshd, so it gets a /run of its own. No host key, user or file of this machine's.
ssh-keygen -q -t ed25519 -N '' -f "$TMP/keys/host"
ssh-keygen -q -t ed25519 -N '' -f "$TMP/keys/user"
cat >"$TMP/sshd_config" <<-CONF
	Port 22
	ListenAddress $GOOD
	HostKey $TMP/keys/host
	AuthorizedKeysFile $TMP/keys/user.pub
	PermitRootLogin prohibit-password
	StrictModes no
	UsePAM no
	PasswordAuthentication no
	PidFile none
CONF
spawn in_origin unshare -m --propagation private sh -c 'mount -t tmpfs -o mode=755 run /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f "$0"' "$TMP/sshd_config" >"$TMP/sshd.log" 2>&1
echo "ssh.test $(cut -d' ' -f1,2 "$TMP/keys/host.pub")" >"$TMP/keys/known"
chown nobody "$TMP/keys/user"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_TERMINAL_PROMPT=0 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t.test \
	GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t.test
git init -q --bare -b main "$TMP/repo.git"
git init -q -b main "$TMP/seed" && head -c 3000000 /dev/urandom >"$TMP/seed/blob"
git -C "$TMP/seed" add . && git -C "$TMP/seed" commit -qm one && git -C "$TMP/seed" push -q "$TMP/repo.git" main

cat >"$TMP/smtpd.py" <<'PY'
import socket, ssl, sys, threading
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH); tls.load_cert_chain(sys.argv[2], sys.argv[3])
def serve(c):
    f = c.makefile('rwb', 0); say = lambda s: f.write(s.encode() + b'\r\n'); secure = False
    say('220 mail.test ESMTP')
    while True:
        line = f.readline().decode().strip(); word = line.upper()
        if not line: return
        if word.startswith('EHLO'): say('250-mail.test' if not secure else '250 mail.test'); secure or say('250 STARTTLS')
        elif word == 'STARTTLS': say('220 go'); c = tls.wrap_socket(c, server_side=True); f = c.makefile('rwb', 0); secure = True
        elif word == 'DATA':
            say('354 go'); body = b''
            while not body.endswith(b'\r\n.\r\n'): body += f.readline()
            open(sys.argv[4], 'wb').write(body); say('250 taken %s' % ('in TLS' if secure else 'in clear'))
        elif word == 'QUIT': say('221 bye'); return
        else: say('250 ok')
s = socket.create_server((sys.argv[1], 25), reuse_port=True)
while True:
    c, _ = s.accept(); threading.Thread(target=serve, args=(c,), daemon=True).start()
PY
spawn in_origin python3 "$TMP/smtpd.py" $GOOD "$TMP/servers.pem" "$TMP/servers.key" "$TMP/mail"
for port in 22 25 5432 6379 6380; do wait_port in_host $GOOD $port || { diag "$(tail -n 5 "$TMP"/{sshd,pg,redis}.log)"; exit 1; }; done

policy '"allow": "tcp://ssh.test:22"' '"allow": "tcp://db.test:5432"' '"allow": "tcp://cache.test:6379"' '"allow": "tls://cache.test:6380"' '"allow": "tcp://mail.test:25"'
JOB_OPTS=(--user nobody)
mkdir -m 777 "$TMP/work"

# ---- ssh ----

ssh="ssh -F /dev/null -i $TMP/keys/user -o UserKnownHostsFile=$TMP/keys/known -o StrictHostKeyChecking=yes -o BatchMode=yes -o ConnectTimeout=10"
enforced || chown root "$TMP/keys/user" # without egret the same commands run as root
is "$(job $ssh root@ssh.test 'echo "it said: $(cat)"' <<<hello 2>&1)" 'it said: hello' "ssh: the host's own key, a command, its input and its end"
! enforced || like "$(last connect)" '"verdict":"allow".*"rule":"r1".*"host":"ssh.test"' "with an event"
job $ssh root@ssh.test 'exit 7' >/dev/null 2>&1
is $? 7 "the command's exit status"
is "$(job $ssh root@ssh.test 'head -c 20000000 /dev/zero' 2>/dev/null | wc -c)" 20000000 "20 MB of its output"
cat >"$TMP/git.sh" <<SH
set -e
export HOME=$TMP/work GIT_SSH_COMMAND='$ssh'
cd $TMP/work
git clone -q ssh://root@ssh.test$TMP/repo.git clone
cmp clone/blob $TMP/seed/blob
cd clone
echo two >two; git add two; git commit -qm two
git push -q origin main
git ls-remote -q origin main
SH
out=$(job bash "$TMP/git.sh" 2>&1)
like "$out" '^[0-9a-f]{40}.refs/heads/main$' "git clone, push and ls-remote over ssh" || diag "$(tail -n 5 "$TMP/sshd.log")"
is "$(git -C "$TMP/repo.git" log --format=%s main | tr '\n' ' ')" 'two one ' "the push is there"

# ---- PostgreSQL ----

sql() { # sslmode, statement
	job env PGPASSWORD=secret-word PGCONNECT_TIMEOUT=10 PGSSLROOTCERT="$TMP/outside.pem" psql -X -At "host=db.test user=tester dbname=postgres sslmode=$1" -c "$2" 2>&1
}
is "$(sql verify-full 'select ssl from pg_stat_ssl where pid = pg_backend_pid()')" t "psql by tcp://: TLS after its SSLRequest, the server's own certificate verified"
is "$(sql disable 'select ssl from pg_stat_ssl where pid = pg_backend_pid()')" f "psql in clear"
is "$(sql disable "select count(*), sum(length(t)) from (select repeat('x', 1000) t from generate_series(1, 20000)) q")" '20000|20000000' "a query"

# ---- Redis ----

tool=(redis-cli -h cache.test -p 6379)
is "$(job "${tool[@]}" set key "value of 1" 2>&1) $(job "${tool[@]}" get key 2>&1)" 'OK value of 1' "redis by tcp://"
is "$(yes 'PING' | head -n 20000 | job "${tool[@]}" 2>&1 | grep -c PONG)" 20000 "20,000 commands one after the other"
is "$(job redis-cli -h cache.test -p 6380 --tls --sni cache.test --cacert "$TMP/outside.pem" get key 2>&1)" 'value of 1' "redis in TLS by tls://: the server's own certificate"
! enforced || like "$(last tls.passthrough)" '"verdict":"allow".*"rule":"r4".*"sni":"cache.test"' "with an event"
! enforced || unlike "$(job redis-cli -h cache.test -p 6380 --tls --sni db.test --cacert "$TMP/outside.pem" get key 2>&1)" 'value' "not under another server name"
! enforced || unlike "$(job redis-cli -h cache.test -p 6380 get key 2>&1)" 'value' "and not in clear"

# ---- SMTP ----

cat >"$TMP/mail.py" <<'PY'
import smtplib, ssl, sys
with smtplib.SMTP('mail.test', 25, timeout=15) as s:
    if sys.argv[2] == 'tls': s.starttls(context=ssl.create_default_context(cafile=sys.argv[1]))
    s.sendmail('a@job.test', ['b@mail.test'], 'Subject: one\r\n\r\n' + 'line of a mail\r\n' * 5000)
    print('sent')
PY
is "$(job python3 "$TMP/mail.py" "$TMP/outside.pem" clear 2>&1)" sent "SMTP by tcp://: the server greets first"
is "$(grep -c 'line of a mail' "$TMP/mail")" 5000 "the whole mail is there"
is "$(job python3 "$TMP/mail.py" "$TMP/outside.pem" tls 2>&1)" sent "with STARTTLS, the server's own certificate verified"
done_testing
