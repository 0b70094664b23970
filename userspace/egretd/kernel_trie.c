/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel_trie.h. A key is { u32 prefixlen, the owner's bytes, 16 bytes of address }, a value
 * BLOCK_RANGES port ranges. */
#include "egretd/kernel_trie.h"
#include "abi.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#define SAME_RANGE(type, first, last)                                                        \
	_Static_assert(sizeof(type) == sizeof(struct block_range) &&                         \
			       offsetof(type, first) == offsetof(struct block_range, lo) &&  \
			       offsetof(type, last) == offsetof(struct block_range, hi) &&   \
			       offsetof(type, flags) == offsetof(struct block_range, flags), \
		       "a row is a value")
SAME_RANGE(struct egret_cage_value, port_lo, port_hi);
SAME_RANGE(struct egret_direct_range, port_lo, port_hi);
_Static_assert(EGRET_CAGE_RANGES == BLOCK_RANGES && EGRET_DIRECT_RANGES == BLOCK_RANGES &&
		       EGRET_CAGE_UDP == BLOCK_UDP && EGRET_DIRECT_UDP == BLOCK_UDP,
	       "blocks.h says it as abi.h does");
_Static_assert(sizeof(struct egret_cage_key) == 4 + 8 + 16 &&
		       sizeof(struct egret_direct_key) == 4 + 4 + 16,
	       "keys without holes");

struct trie_key {
	uint32_t prefixlen;
	uint8_t rest[TRIE_OWNER_MAX + 16];
};

static struct trie_key key_of(const struct trie_owner *o, const struct block_row *row)
{
	struct trie_key key = { .prefixlen = (uint32_t)o->n * 8 + row->prefix };

	memcpy(key.rest, o->bytes, o->n);
	memcpy(key.rest + o->n, row->addr, 16);
	return key;
}

struct keys {
	struct trie_key *at;
	size_t n, room;
};

/* All keys of these owners: walking while entries go would begin anew. Only egretd writes the map.
 */
static int keys_of(int fd, bool (*wanted)(void *arg, const uint8_t *owner), void *arg,
		   struct keys *ret)
{
	struct trie_key key = { 0 }, next = { 0 };
	const void *at = NULL;
	int r;

	while ((r = bpf_map_get_next_key(fd, at, &next)) == 0) {
		if (wanted(arg, next.rest)) {
			if (ret->n == ret->room) {
				ret->room = ret->room ? ret->room * 2 : 64;
				ret->at = reallocarray(ret->at, ret->room, sizeof(*ret->at));
				if (!ret->at)
					die("out of memory");
			}
			ret->at[ret->n++] = next;
		}
		key = next;
		at = &key;
	}
	return r == -ENOENT ? 0 : r;
}

static int by_length(const void *pa, const void *pb)
{
	const struct trie_key *a = pa, *b = pb;

	return a->prefixlen < b->prefixlen ? -1 : a->prefixlen > b->prefixlen;
}

/* The shortest first: else a shorter one would open for a moment what a longer one closed. */
static int keys_delete(int fd, struct keys *k)
{
	int r = 0;

	if (k->n)
		qsort(k->at, k->n, sizeof(*k->at), by_length);
	for (size_t i = 0; i < k->n && !r; i++) {
		r = bpf_map_delete_elem(fd, &k->at[i]);
		if (r == -ENOENT)
			r = 0;
	}
	free(k->at);
	return r;
}

static bool is_owner(void *arg, const uint8_t *owner)
{
	const struct trie_owner *o = arg;

	return memcmp(owner, o->bytes, o->n) == 0;
}

static int sweep(const struct trie_owner *o, const struct block_row *rows, size_t n)
{
	struct trie_owner owner = *o;
	struct keys keys = { 0 };
	size_t keep = 0;
	int r = keys_of(o->fd, is_owner, &owner, &keys);

	for (size_t i = 0; i < keys.n; i++) {
		struct block_row row = { .prefix = (uint8_t)(keys.at[i].prefixlen -
							     (uint32_t)o->n * 8) };

		memcpy(row.addr, keys.at[i].rest + o->n, 16);
		if (!n || !bsearch(&row, rows, n, sizeof(*rows), block_row_cmp))
			keys.at[keep++] = keys.at[i];
	}
	keys.n = keep;
	if (r) {
		free(keys.at);
		return r;
	}
	return keys_delete(o->fd, &keys);
}

int kernel_trie_set(const struct trie_owner *o, const struct block *list, size_t n)
{
	cleanup_free struct block_row *rows = NULL;
	size_t nrows = 0, at = 0;
	int r = block_rows(list, n, &rows, &nrows, &at);

	for (size_t i = 0; i < nrows && !r; i++) {
		struct trie_key key = key_of(o, &rows[i]);

		r = bpf_map_update_elem(o->fd, &key, rows[i].range, BPF_ANY);
	}
	return r ? r : sweep(o, rows, nrows);
}

int kernel_trie_sweep(int fd, bool (*gone)(void *arg, const uint8_t *owner), void *arg)
{
	struct keys keys = { 0 };
	int r = keys_of(fd, gone, arg, &keys);

	if (r) {
		free(keys.at);
		return r;
	}
	return keys_delete(fd, &keys);
}
