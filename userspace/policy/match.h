/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the matcher: which groups of rules name a host, and whether one entry fits. Private to
 * this folder. */
#ifndef EGRET_POLICY_MATCH_H
#define EGRET_POLICY_MATCH_H

#include "policy/image.h"

#define HITS_MAX 130 /* an exact name, *. and a **. for each label of a name of 253 bytes */

struct hits {
	struct img_policy head;
	const uint8_t *p;
	struct img_group groups[HITS_MAX]; /* the most specific first */
	unsigned n;
	uint8_t addr[16];
	bool by_addr; /* address rules are asked about addr, too */
};

void hits_find(const struct policy *p, struct str host, struct hits *ret);
void entry_get(const struct hits *h, uint32_t i, struct img_entry *ret);
bool entry_port(const struct hits *h, const struct img_entry *e, uint16_t port);
bool entry_expired(const struct img_entry *e);
bool entry_method(const struct img_entry *e, uint64_t bit);
bool entry_path(const struct hits *h, const struct img_entry *e, const struct request_query *q,
		uint64_t bit);
/* Does it name the ref that is asked about? Without one an allow does and a deny does not, and
 * *ret_open says that each ref of the push is still to be asked about; it is never cleared. */
bool entry_refs(const struct hits *h, const struct img_entry *e, const struct request_query *q,
		uint64_t bit, bool *ret_open);
/* One pass over the entries that name the host or the address: denies (allow false) or allows.
 * Start with *at = { 0 }. */
struct hit_at {
	uint32_t group, entry, block;
	uint32_t chains[PATH_DEPTH + 1]; /* hits_path: entry + 1 */
};
bool hits_each(const struct hits *h, bool deny, struct hit_at *at, struct img_entry *ret);
/* The same, without entries whose path cannot fit: of many paths on one host few are looked at. */
struct path_begin {
	unsigned n; /* segments, counted to PATH_DEPTH */
	uint32_t hashes[PATH_DEPTH + 1];
};
void path_begin(struct str path, struct path_begin *ret);
bool hits_path(const struct hits *h, bool deny, const struct path_begin *b, struct hit_at *at,
	       struct img_entry *ret);
void verdict_rule(const struct hits *h, const struct img_entry *e, struct verdict *ret);
struct str verdict_nearest(const struct hits *h, const struct img_entry *e);

#endif
