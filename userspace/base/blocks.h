/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address blocks with ports, as an LPM trie wants them: the kernel finds only the longest prefix of
 * an address, so each prefix's row holds what every shorter one that covers it allows too, less
 * what blocks that deny take away. Pure. Called by egretd for the cage and for `direct`, and by the
 * policy compiler, to say in time what the kernel could not hold.
 */
#ifndef EGRET_BASE_BLOCKS_H
#define EGRET_BASE_BLOCKS_H

#include "base/bytes.h"

#define BLOCK_RANGES 8 /* of ports, in one row */
#define BLOCK_UDP 1u   /* of flags: a block that denies takes from those that have it alike */

struct block {
	uint8_t addr[16]; /* mapped form */
	uint8_t prefix;	  /* of the 128-bit form: 96 + n for IPv4 */
	bool deny;
	uint16_t port_lo, port_hi; /* host order, inclusive */
	uint32_t flags;		   /* ranges with unlike flags are never joined */
};

/* Laid out as bpf/abi.h has it. */
struct block_range {
	uint16_t lo, hi; /* hi 0: unused */
	uint32_t flags;
};
struct block_row {
	uint8_t addr[16]; /* the bits behind the prefix are 0 */
	uint8_t prefix;
	struct block_range range[BLOCK_RANGES];
};

/* One row a block, the longest prefixes first: written in this order nothing is open for a moment
 * that a longer prefix closes. A block that denies has a row where one that allows covers it. The
 * caller frees. 0; -EINVAL: a prefix or port that cannot be; -E2BIG: more than BLOCK_RANGES ranges
 * hold for one address, which *ret_at (the index of a block there) names. */
int block_rows(const struct block *list, size_t n, struct block_row **ret, size_t *ret_n,
	       size_t *ret_at) MUST_CHECK;
/* By prefix, the longest first, then by address: the order of block_rows. */
int block_row_cmp(const void *a, const void *b);

#endif
