# SPDX-License-Identifier: Apache-2.0
# HTTP/2's own floods, sourced by floods.sh: each connection ends within 2,000 frames, with an event, and the proxy lives on. Skipped while the
# proxy's ALPN towards the job does not offer h2.
cp "$ROOT/tests/e2e/flood_h2.py" "$TMP/"
h2() { attack "python3 $TMP/flood_h2.py $1"; }
h2_events() { noted | grep -c '"kind":"limit.hit"'; }
h2_held() { # attack, what it means: at an end within 2,000 frames, and an event
	local before
	before=$(h2_events)
	h2 "$1"
	like "$said" "^$1 ended after [0-9]+ " "$2: the connection is ended"
	at_most "$(sed -n "s/^$1 [a-z]* after \([0-9]*\) .*/\1/p" <<<"$said")" 2000 "within 2,000 frames"
	t "with an event" wait_for 10 "[ \$(h2_events) -gt $before ]"
}
h2 alpn
if [ "$said" != 'alpn h2' ]; then
	skip "HTTP/2's floods" "the proxy offers the job no HTTP/2 ($said)"
else
	h2_held reset 'streams opened and reset'
	h2_held settings SETTINGS
	h2_held ping PING
	h2_held continuation 'CONTINUATION without an end'
	h2_held continuation_empty 'empty CONTINUATION'
	h2_held data_empty 'empty DATA'
	h2 hpack
	like "$said" '^hpack (ended|open) .* answers 1 |^hpack ended' "heads that unpack to megabytes are not answered but by a refusal"
	h2 'window_zero window_one window_over'
	like "$said" '^window_zero .* bytes 0$' "a window of nothing: nothing is sent"
	like "$said" '^window_zero (ended|open) after [0-9]+ code [0-9A-Za-z]+ answers [0-9]+ resets [0-9]+' "and the streams come to an end"
	like "$said" '^window_over ended .* code 3 ' "a window past 2^31-1 is a flow control error"
	h2 streams
	like "$said" '^streams .* resets [1-9][0-9]{2,}|^streams ended' "streams past the bound of those at once are refused"
	at_most "$(($(rss) - memory))" 24576 "the proxy has grown by so many KiB after all this"
	is "$(egret_pids egret-proxy | grep -cx "$proxy")" 1 "it is the proxy of the beginning"
fi
