/* SPDX-License-Identifier: Apache-2.0 */
/* One owner's entries in an LPM trie that many share: egret_cage (a proxy's cgroup), egret_direct
 * (a policy). Called by kernel_cage.c and kernel_direct.c. */
#ifndef EGRET_EGRETD_KERNEL_TRIE_H
#define EGRET_EGRETD_KERNEL_TRIE_H

#include "base/blocks.h"

#define TRIE_OWNER_MAX 8

struct trie_owner {
	int fd;			       /* of the map */
	uint8_t bytes[TRIE_OWNER_MAX]; /* as they stand in the key */
	size_t n;
};

/* The list replaces what the owner had, whole. All is checked before the first is written; while it
 * is written, each address is judged by the old list or by the new one, never wider. -EINVAL,
 * -E2BIG: block_rows(); -ENOSPC: the map is full, and what was written stays. */
int kernel_trie_set(const struct trie_owner *o, const struct block *list, size_t n) MUST_CHECK;
/* Deletes the entries for whose owner `gone` says so. */
int kernel_trie_sweep(int fd, bool (*gone)(void *arg, const uint8_t *owner), void *arg) MUST_CHECK;

#endif
