# SPDX-License-Identifier: Apache-2.0
# One egret-provider that stays while the stand-in's mood changes: sourced after lib.sh by the tests of providers.
#
#   asker_up [provider_ask's arguments]; said provide vault key=value key=@FILE...; echo "$REPLY"; asker_down

PROVIDER=$BUILD/bin/egret-provider ASK=$BUILD/tests/e2e/provider_ask
[ -x "$PROVIDER" ] && [ -x "$ASK" ] || { echo "not ok 1 - $PROVIDER or $ASK is not built"; echo 1..1; exit 1; }
ASKED=0

asker_up() {
	[ -p "$TMP/ask.in.$ASKED" ] || mkfifo "$TMP/ask.in.$ASKED" "$TMP/ask.out.$ASKED"
	"$ASK" "$PROVIDER" net "$TMP/outside.pem" "$@" <"$TMP/ask.in.$ASKED" >"$TMP/ask.out.$ASKED" 2>"$TMP/ask.err" &
	ASKER=$!
	PIDS+=("$ASKER")
	exec {ASK_IN}>"$TMP/ask.in.$ASKED" {ASK_OUT}<"$TMP/ask.out.$ASKED"
}
# The broker's end closes; what the program still says goes to $TMP/ask.rest.
asker_down() {
	echo close >&"$ASK_IN"
	exec {ASK_IN}>&-
	timeout 20 cat <&"$ASK_OUT" >"$TMP/ask.rest"
	exec {ASK_OUT}<&-
	wait "$ASKER"
}
# Sets REPLY to the answer without its number; $ASKED is the question's number, for of=.
said() { # verb, provider, fields...
	local verb=$1
	shift
	ASKED=$((ASKED + 1))
	{ printf '%s\t%s' "$verb" "$ASKED"; printf '\t%s' "$@"; printf '\nwait\n'; } >&"$ASK_IN"
	REPLY=
	read -r -t 20 REPLY <&"$ASK_OUT" || REPLY='no answer'
	REPLY=${REPLY#"$ASKED "}
}
part() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<<" $REPLY"; } # of an answer: value, expires, ...

# What a stand-in saw: its log's lines as "METHOD path status note", and what it holds now (jq's program).
saw() { jq -r '[.method, .path, .status, .note] | join(" ")' "$TMP/$1.log"; }
forget() { : >"$TMP/$1.log"; }
mood() { if [ -n "${2:-}" ]; then echo "$2" >"$TMP/$1.mode.new" && mv "$TMP/$1.mode.new" "$TMP/$1.mode"; else rm -f "$TMP/$1.mode"; fi; } # name, JSON or nothing
state() { curl -sS --cacert "$TMP/outside.pem" --resolve "$1.test:$2:127.0.0.1" "https://$1.test:$2/standin/state" | jq -r "$3"; }
