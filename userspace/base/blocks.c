/* SPDX-License-Identifier: Apache-2.0 */
/* See blocks.h. */
#include "base/blocks.h"

#include <errno.h>
#include <stdlib.h>

#define PREFIX_MAX 128

/* A block on its way into a row: masked, with the place where it was given. */
struct item {
	struct block b;
	size_t at;
};

/* Sorted items of one address and prefix: [from, to). */
struct level {
	size_t from, to;
};

static void mask(uint8_t addr[16], unsigned prefix)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned bits = prefix > i * 8 ? prefix - i * 8 : 0;

		addr[i] &= bits >= 8 ? 0xff : (uint8_t)(0xff00u >> bits);
	}
}

static bool covers(const struct block *wide, const struct block *narrow)
{
	unsigned whole = wide->prefix / 8, rest = wide->prefix % 8;

	if (wide->prefix > narrow->prefix || memcmp(wide->addr, narrow->addr, whole) != 0)
		return false;
	return !rest || ((wide->addr[whole] ^ narrow->addr[whole]) >> (8 - rest)) == 0;
}

/* What covers comes before what it covers. */
static int by_place(const void *pa, const void *pb)
{
	const struct block *a = &((const struct item *)pa)->b, *b = &((const struct item *)pb)->b;
	int c = memcmp(a->addr, b->addr, 16);

	return c ? c : (a->prefix > b->prefix) - (a->prefix < b->prefix);
}

int block_row_cmp(const void *pa, const void *pb)
{
	const struct block_row *a = pa, *b = pb;

	if (a->prefix != b->prefix)
		return a->prefix > b->prefix ? -1 : 1;
	return memcmp(a->addr, b->addr, 16);
}

static int by_port(const void *pa, const void *pb)
{
	const struct block_range *a = pa, *b = pb;

	if (a->flags != b->flags)
		return a->flags < b->flags ? -1 : 1;
	return a->lo < b->lo ? -1 : a->lo > b->lo;
}

/* Ranges that grow while a row is made; at most twice as many as there are blocks over it. */
struct ranges {
	struct block_range *at;
	size_t n, room;
};

static void ranges_add(struct ranges *r, unsigned lo, unsigned hi, uint32_t flags)
{
	if (r->n == r->room) {
		r->room = r->room ? r->room * 2 : 64;
		r->at = reallocarray(r->at, r->room, sizeof(*r->at));
		if (!r->at)
			die("out of memory");
	}
	r->at[r->n++] =
		(struct block_range){ .lo = (uint16_t)lo, .hi = (uint16_t)hi, .flags = flags };
}

static void ranges_join(struct ranges *r)
{
	size_t n = 0;

	qsort(r->at, r->n, sizeof(*r->at), by_port);
	for (size_t i = 0; i < r->n; i++) {
		struct block_range *last = n ? &r->at[n - 1] : NULL;

		if (!last || last->flags != r->at[i].flags || r->at[i].lo > last->hi + 1)
			r->at[n++] = r->at[i];
		else if (r->at[i].hi > last->hi)
			last->hi = r->at[i].hi;
	}
	r->n = n;
}

static void ranges_take(struct ranges *r, const struct block *deny)
{
	size_t n = r->n, keep = 0;

	for (size_t i = 0; i < n; i++) {
		struct block_range was = r->at[i];

		if ((was.flags ^ deny->flags) & BLOCK_UDP || deny->port_hi < was.lo ||
		    deny->port_lo > was.hi) {
			r->at[keep++] = was;
			continue;
		}
		if (was.lo < deny->port_lo)
			ranges_add(r, was.lo, deny->port_lo - 1u, was.flags);
		if (was.hi > deny->port_hi)
			ranges_add(r, deny->port_hi + 1u, was.hi, was.flags);
	}
	memmove(r->at + keep, r->at + n, (r->n - n) * sizeof(*r->at));
	r->n = keep + r->n - n;
}

static int row_of(const struct item *all, const struct level *levels, size_t depth,
		  struct ranges *scratch, struct block_row *ret)
{
	const struct block *own = &all[levels[depth - 1].from].b;

	*ret = (struct block_row){ .prefix = own->prefix };
	memcpy(ret->addr, own->addr, 16);
	scratch->n = 0;
	for (size_t d = 0; d < depth; d++)
		for (size_t i = levels[d].from; i < levels[d].to; i++)
			if (!all[i].b.deny)
				ranges_add(scratch, all[i].b.port_lo, all[i].b.port_hi,
					   all[i].b.flags);
	if (scratch->n == 0)
		return -ENOENT; /* nothing to take away from */
	ranges_join(scratch);
	for (size_t d = 0; d < depth; d++)
		for (size_t i = levels[d].from; i < levels[d].to; i++)
			if (all[i].b.deny)
				ranges_take(scratch, &all[i].b);
	if (scratch->n > BLOCK_RANGES)
		return -E2BIG;
	ranges_join(scratch); /* pieces in order again */
	if (scratch->n)
		memcpy(ret->range, scratch->at, scratch->n * sizeof(*scratch->at));
	return 0;
}

int block_rows(const struct block *list, size_t n, struct block_row **ret, size_t *ret_n,
	       size_t *ret_at)
{
	cleanup_free struct item *all = mem_new((n + 1) * sizeof(*all));
	cleanup_free struct block_row *rows = mem_new((n + 1) * sizeof(*rows));
	struct level levels[PREFIX_MAX + 1];
	struct ranges scratch = { 0 };
	size_t nrows = 0, depth = 0, to;
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		if (list[i].prefix > PREFIX_MAX || !list[i].port_hi ||
		    list[i].port_lo > list[i].port_hi)
			return -EINVAL;
		all[i] = (struct item){ list[i], i };
		mask(all[i].b.addr, list[i].prefix);
	}
	qsort(all, n, sizeof(*all), by_place);
	for (size_t i = 0; i < n && r == 0; i = to) {
		for (to = i + 1; to < n && by_place(&all[i], &all[to]) == 0; to++)
			;
		while (depth && !covers(&all[levels[depth - 1].from].b, &all[i].b))
			depth--;
		levels[depth++] = (struct level){ i, to };
		r = row_of(all, levels, depth, &scratch, &rows[nrows]);
		if (r == 0)
			nrows++;
		else if (r == -ENOENT)
			r = 0;
		else
			*ret_at = all[i].at;
	}
	free(scratch.at);
	if (r < 0)
		return r;
	qsort(rows, nrows, sizeof(*rows), block_row_cmp);
	*ret = TAKE_PTR(rows);
	*ret_n = nrows;
	return 0;
}
