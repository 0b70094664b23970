/* SPDX-License-Identifier: Apache-2.0 */
/* Private to h1.c and h1_line.c: blocks of lines (heads, trailers) found and cut into fields. */
#ifndef EGRET_HTTP_H1_LINE_H
#define EGRET_HTTP_H1_LINE_H

#include "http/h1.h"

enum h1_event h1_fail(struct h1 *h, enum h1_fault f, const char *why);
/* Is the block at p complete? 1: *ret_n bytes, the empty line with them; 0: more; -1: h1_fail was
 * called. */
int h1_block(struct h1 *h, const char *p, size_t n, size_t *ret_n);
/* Cuts a complete block, already in the arena, into fields. From `p` to `end`, the final empty line
 * left out. false: h1_fail was called. */
bool h1_fields(struct h1 *h, struct arena *a, char *p, char *end, struct field **ret,
	       size_t *ret_n);

extern const uint8_t h1_token[256];

#endif
