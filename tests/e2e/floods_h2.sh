#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Floods of HTTP/2 by a hostile job: raw frames (flood_h2.py). Each connection is at its end within 2,000 of them, with an event, and its proxy
# lives on as small as it was; another job is served meanwhile (flood_pair.sh).
# not quick
. "$(dirname "$0")/../lib.sh"
[ -z "${EGRET_DIRECT:-}" ] || skip_all "speaks of egret only"
. "$ROOT/tests/e2e/origins.sh"
. "$ROOT/tests/e2e/daemon.sh"
. "$ROOT/tests/e2e/flood_pair.sh"
need python3 curl
origins_up
truncate -s 64M "$TMP/www/api.test/large"
policy '"allow": "GET https://api.test/**"' '"allow": "POST https://api.test/**"'
config '"limits": { "idle_ms": 1500, "keepalive_ms": 700 }'
cp "$ROOT/tests/e2e/flood_h2.py" "$TMP/"
h2() { attack "python3 $TMP/flood_h2.py $*"; }
events_n() { noted | grep -cE "$1"; }
held() { # attack, what it is, regex of its event: the connection is ended in time, and it is said
	local before
	before=$(events_n "$3")
	h2 "$1"
	like "$said" "^$1 ended after [0-9]+ " "$2: the connection is ended"
	at_most "$(sed -n "s/^$1 [a-z]* after \([0-9]*\) .*/\1/p" <<<"$said")" 2000 "within 2,000 frames"
	t "with an event" wait_for 10 "[ \$(events_n '$3') -gt $before ]"
}
limit='"kind":"limit.hit"'

flood_begin "python3 $TMP/flood_h2.py alpn"
if [ "$said" != 'alpn h2' ]; then
	skip "HTTP/2's floods" "the proxy offers the job no HTTP/2 ($said)"
	flood_end
	done_testing
fi
held reset 'streams opened and reset' "$limit"
held settings SETTINGS "$limit"
held ping PING "$limit"
held window_one 'a window opened by a byte at a time' "$limit"
held data_empty 'empty DATA' "$limit"
held continuation 'CONTINUATION without an end' '"verdict":"deny"'
held continuation_empty 'empty CONTINUATION' '"verdict":"deny"'
held window_over 'a window past 2^31-1' '"verdict":"deny"'
h2 hpack
like "$said" '^hpack .* ok [01] ' "heads of some KB that unpack to megabytes are refused"
h2 window_zero
like "$said" '^window_zero .* bytes 0$' "a window of nothing: nothing is sent"
like "$said" '^window_zero (ended|.* resets [1-9][0-9])' "and its streams come to an end"
h2 streams
like "$said" '^streams (ended|.* resets [1-9][0-9]{2,})' "streams past the bound of those at once are refused"
flood_end
done_testing
