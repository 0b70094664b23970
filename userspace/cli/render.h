/* SPDX-License-Identifier: Apache-2.0 */
/* An event's line for a person: one line, printable ASCII but for egret's own colours, whatever the
 * job wrote into its requests. */
#ifndef EGRET_CLI_RENDER_H
#define EGRET_CLI_RENDER_H

#include "event/jsonread.h"

#define RENDER_MAX (64u << 10)

/* One line of the stream, newline included. 0; -EBADMSG: it is none (nothing is added); -EMSGSIZE.
 */
int render_compact(struct str line, bool color, struct buf *to) MUST_CHECK;
/* The same of a line that was read; answer is the http.response of an http.request, or NULL. */
int render_event(const struct json_line *event, const struct json_line *answer, bool color,
		 struct buf *to) MUST_CHECK;
int render_table_head(struct buf *to) MUST_CHECK;
int render_table(const struct json_line *event, bool color, struct buf *to) MUST_CHECK;
/* As it is, but DEL and C1 controls become \u00XX: for a terminal. */
int render_json(struct str line, struct buf *to) MUST_CHECK;

/* Escaped text at the end of to. */
int render_text(struct buf *to, struct str s) MUST_CHECK;
/* What the event is about: "POST https://host/path", "tls host:443", "AAAA name". Escaped. */
int render_what(const struct json_line *event, struct buf *to) MUST_CHECK;

#endif
