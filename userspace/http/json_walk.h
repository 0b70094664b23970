/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strings of a JSON text and where they lie in it, so that one can be replaced and every other
 * byte stays as its writer wrote it. Strict RFC 8259, pure, nothing is copied.
 */
#ifndef EGRET_HTTP_JSON_WALK_H
#define EGRET_HTTP_JSON_WALK_H

#include "base/bytes.h"

#define JSON_DEPTH 64u

struct json_step {
	struct str key; /* as it is written, without its quotes; p = NULL: an element of an array */
	size_t index;	/* of that */
};

/* One string that is no key. text: as it is written, without its quotes. Below 0: the walk ends
 * with it. */
typedef int (*json_string_fn)(void *owner, const struct json_step *path, size_t depth,
			      struct str text);
/* 0; -EINVAL: no JSON, or deeper than JSON_DEPTH; else what fn said. */
int json_strings(struct str text, json_string_fn fn, void *owner) MUST_CHECK;
/* Does this text, escapes read, say the same as plain? */
bool json_text_is(struct str text, struct str plain);
/* The text with its escapes read; to holds text.n bytes. How many were written. */
size_t json_text_read(struct str text, char *to);
/* Does the path lead where the pointer (RFC 6901) does? */
bool json_points(struct str pointer, const struct json_step *path, size_t depth);
/* Where `what`, which holds nothing that is escaped, stands in the text from `at` on and is no part
 * of an escape. text.n: nowhere. */
size_t json_text_find(struct str text, size_t at, struct str what);

#endif
