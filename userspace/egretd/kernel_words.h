/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do keys and values of a pinned map have the very fields that these programs read? Two layouts can
 * have one size, and what is read by the wrong one is nonsense that nobody notices: records of
 * connections, what proxies of an older binary are handed. The kernel keeps the types that a map
 * was made with. Used by kernel.c and kernel_older.c.
 */
#ifndef EGRET_EGRETD_KERNEL_WORDS_H
#define EGRET_EGRETD_KERNEL_WORDS_H

#include "base/bytes.h"

struct bpf_map;
struct bpf_map_info;
struct btf;

struct kernel_words {
	const struct btf *ours; /* of the object that is to be loaded */
	struct btf *theirs;	/* of the map that was asked about last */
	uint32_t id;
};

bool kernel_words_same(struct kernel_words *w, const struct bpf_map_info *have,
		       const struct bpf_map *want);
/* Of the map of that name in this version's own folder, if there is one: 0, or -EMEDIUMTYPE with a
 * sentence. Sizes are for libbpf to compare. */
int kernel_words_check(struct kernel_words *w, const char *dir, const struct bpf_map *want,
		       char *why, size_t size) MUST_CHECK;
void kernel_words_done(struct kernel_words *w);

#endif
