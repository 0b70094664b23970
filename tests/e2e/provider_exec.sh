#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# egret-provider's exec, asked as the broker asks it: what the program gets, what it may not, and how it ends.
. "$(dirname "$0")/../lib.sh"
need_root
need python3
PROGRAM=$TMP/egret-provider ASK=$BUILD/tests/e2e/provider_ask
[ -x "$BUILD/bin/egret-provider" ] && [ -x "$ASK" ] || { echo "not ok 1 - egret-provider or $ASK is not built"; echo 1..1; exit 1; }
cp "$BUILD/bin/egret-provider" "$PROGRAM" # where the uid below can reach it
# /tmp is everyone's to write, so the programs lie elsewhere.
DIR=$(mktemp -d /usr/libexec/egret-test.XXXXXX) && chmod 755 "$DIR" || exit 1
at_exit "rm -rf '$DIR'"
: >"$TMP/ca.pem"
program() { # name; its text on stdin
	{ echo '#!/bin/bash'; cat; } >"$DIR/$1"
	chmod 755 "$DIR/$1"
}
asks() { tr ' ~' '\t ' | SECRET_OF_EGRETD=seen "$ASK" "$PROGRAM" exec "$TMP/ca.pem" uid=65605 "$@" 2>"$TMP/log"; }
of() { grep "^$1 " <<<"$got"; }

program good <<'END'
printf '{ "value": "v-%s-%s", "expires_in": 60 }' "$1" "$#"
END
# What it says goes to the log because it fails.
program look <<'END'
{
	echo -n "env=$(/usr/bin/tr '\0' ' ' </proc/self/environ) cwd=$PWD uid=$(/usr/bin/id -u) caps=$(/bin/sed -n 's/^CapEff:.//p' /proc/self/status) "
	echo -n "nnp=$(/bin/sed -n 's/^NoNewPrivs:.//p' /proc/self/status) fds=$(echo /proc/self/fd/*) "
	for to in "$1/open/x" /tmp/egret-exec-$$ /dev/shm/egret-exec-$$; do echo x >"$to" && echo -n "WROTE:$to "; done
	: >>"$1/open/there" && echo -n "WROTE:there "
	/usr/bin/truncate -s 0 "$1/open/there" && echo -n "TRUNCATED "
	/usr/bin/setsid /bin/true && echo -n "SETSID "
	/usr/bin/unshare -U /bin/true && echo -n "UNSHARED "
	kill -0 1 && echo -n "SIGNALLED "
	kill -0 "$2" && echo -n "SIGNALLED-OTHER "
	head -c 1 "/proc/$2/environ" && echo -n "READ-OTHER "
	head -c 1 "/proc/$PPID/mem" && echo -n "READ-PARENT "
	echo x >/dev/null && echo -n "null=ok"
} 2>/dev/null >&2
/usr/bin/true
exec 1>&-
exit 3
END
sed -i 's|} 2>/dev/null >&2|} 3>\&2 2>/dev/null >\&3|' "$DIR/look"
program leaves <<'END'
/bin/sleep 300 &
echo '{ "value": "left", "expires_in": 60 }'
END
program hangs <<'END'
echo '{ "value": "never", "expires_in": 60 }'
/bin/sleep 301
END
program floods <<'END'
exec /usr/bin/yes
END
program fails <<'END'
printf 'no \033[31m such thing\nmore\n' >&2
exit 9
END
program wrong <<'END'
echo '{ "value": "v", "expire": 60 }'
END
program open <<'END'
echo '{ "value": "v", "expires_in": 60 }'
END
chmod 775 "$DIR/open"
program mine <<'END'
echo '{ "value": "v", "expires_in": 60 }'
END
chown 65605 "$DIR/mine"
mkdir -m 777 "$TMP/open" "$DIR/lax"
echo text >"$TMP/open/there"
chmod 666 "$TMP/open/there"
cp -p "$DIR/good" "$DIR/lax/good"
ln -s "$DIR/good" "$DIR/link"
ln -s "$DIR/lax/good" "$DIR/laxlink"
setpriv --reuid 65605 --regid 65605 --clear-groups sleep 60 & # another of the same uid
OTHER=$!
PIDS+=($OTHER)
wait_for 10 "[ \$(stat -c %u /proc/$OTHER) = 65605 ]"
t "another of that uid can be read and signalled without the jail" setpriv --reuid 65605 --regid 65605 --clear-groups bash -c "kill -0 $OTHER && head -c 1 /proc/$OTHER/environ && echo x >'$TMP/open/y'"

got=$(asks "pid=$TMP/pid" <<END
provide 1 exec argv=$DIR/good argv=an~argument
provide 2 exec argv=$DIR/look argv=$TMP argv=$OTHER
wait
provide 3 exec argv=$DIR/leaves
provide 4 exec argv=$DIR/hangs timeout=700
provide 5 exec argv=$DIR/floods
provide 6 exec argv=$DIR/fails
provide 7 exec argv=$DIR/wrong
provide 8 exec argv=$DIR/open
provide 9 exec argv=$DIR/mine
provide 10 exec argv=$DIR/lax/good
provide 11 exec argv=$DIR/link argv=x
provide 12 exec argv=$DIR/laxlink
provide 13 exec argv=$DIR/none
provide 14 exec argv=$DIR
provide 15 oauth2 grant=client_credentials
END
)
like "$(of 1)" '^1 provided value=v-an argument-1 expires=[0-9]+ static=0 renewable=0 handle=$' "a program's value, with its arguments"
saw=$(grep /look: "$TMP/log")
like "$saw" 'env= cwd=/ uid=65605 caps=0+ nnp=1 ' "no environment, no capabilities, no new privileges, its own uid"
unlike "$saw" 'seen' "nothing of egretd's environment"
unlike "$saw" 'WROTE|TRUNCATED' "it writes no file, wherever others may"
unlike "$saw" 'SETSID|UNSHARED|SIGNALLED|READ' "it leaves no group, makes no namespace, signals nobody else, reads nobody's memory"
like "$saw" 'null=ok$' "/dev/null is there"
like "$(of 2)" "^2 failed again exec: $DIR/look ended with status 3; what it said is in egretd's log$" "a status is a reason"
like "$(of 3)" '^3 provided value=left ' "one that leaves a child behind has given its value"
like "$(of 4)" "^4 failed again exec: $DIR/hangs did not end within 700 ms$" "one that hangs is ended in time"
like "$(of 5)" "^5 failed EFBIG exec: $DIR/floods printed more than 64 KiB$" "one that floods is ended"
like "$(grep /fails: "$TMP/log")" 'credential test: .*/fails: no \\x1b\[31m such thing$' "what a failing one said is a line of the log, printable"
like "$(of 7)" '^7 failed EBADMSG exec: the program printed the key "expire"' "a misspelt key is no expiry"
like "$(of 8)" "^8 failed EPERM exec: $DIR/open is not a file of root's that only root may write" "a program that its group may write is not run"
like "$(of 9)" "^9 failed EPERM exec: $DIR/mine is not a file of root's" "nor one of another user's"
like "$(of 10)" "^10 failed EPERM exec: the folder $DIR/lax of the program is not root's alone to write" "nor one in a folder where others may put another"
like "$(of 11)" '^11 provided value=v-x-1 ' "a link of root's is followed"
like "$(of 12)" "^12 failed EPERM exec: the folder $DIR/lax " "to where the program lies"
like "$(of 13)" "^13 failed ENOENT exec: $DIR/none: No such file" "a program that is not there"
like "$(of 14)" "^14 failed EPERM exec: $DIR is not a file" "a folder is no program"
like "$(of 15)" '^15 failed EOPNOTSUPP oauth2' "this kind of process asks no network's provider"
t "no process is left of any" wait_for 5 "! pgrep -u 65605 -f 'sleep 30[01]|^/usr/bin/yes' >/dev/null"
unlike "$got" '^ended with' "egret-provider ended well"
# The other kind has no jail for it.
got=$(tr ' ' '\t' <<<"provide 1 exec argv=$DIR/good" | "$ASK" "$PROGRAM" net "$TMP/ca.pem" uid=65605 2>&1)
like "$got" '^1 failed EOPNOTSUPP' "the kind that asks a network runs no program"
done_testing
