/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes injected values out of answers: every form of a value that a server is likely to write (as
 * it is, Base64 at each of its three alignments, percent-encoded, hex, JSON-escaped) is overwritten
 * by asterisks of the same length, so that lengths stay true. Best effort by nature; the binding of
 * a credential to its hosts is the wall. Values under SCRUB_MIN bytes are not looked for.
 */
#ifndef EGRET_PROXY_SCRUB_H
#define EGRET_PROXY_SCRUB_H

#include "base/bytes.h"
#include "base/secret.h"

#define SCRUB_MIN 16u

struct scrub; /* the patterns: made of all values once, used for many answers */

/* Of the values from `plain` on only what they are as they stand is looked for. 0; -ENOMEM: no
 * locked memory left. */
int scrub_new(const struct str *values, size_t n, size_t plain, struct scrub **ret) MUST_CHECK;
struct scrub *scrub_hold(struct scrub *s); /* one more who frees it */
struct scrub *scrub_free(struct scrub *s); /* NULL; wiped when nobody holds it any more */
bool scrub_empty(const struct scrub *s);
/* What it looks for is worth nothing by itself: an answer that cannot be searched, or a part of
 * one, may pass. */
void scrub_set_loose(struct scrub *s);
bool scrub_loose(const struct scrub *s);

/* Overwrites whole occurrences in p. *ret_sure: so many bytes from the front can be passed on; what
 * follows could be the start of an occurrence and is to be given again, with more bytes behind it.
 * last: none will follow, all can go. Returns how many occurrences there were. */
size_t scrub_bytes(const struct scrub *s, char *p, size_t n, bool last, size_t *ret_sure);

#endif
