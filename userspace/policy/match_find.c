/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the rules that name a host: one walk over the name from its end gives the hash of every
 * suffix, so the cost does not grow with the number of hosts in the policy. Called by match.c for
 * every connection and request; the host is a job's, the image is checked but its contents may be
 * anything.
 */
#include "policy/match.h"
#include "base/clock.h"

#define FEW 8 /* entries of a group are looked at one by one */

static bool group_find(const struct hits *h, uint32_t hash, unsigned kind, struct str name,
		       struct img_group *ret)
{
	const struct img_table slots = h->head.tables[TABLE_SLOT];
	uint32_t at = hash_slot(hash, kind), slot;

	if (!(h->head.kinds & 1u << kind))
		return false;
	for (uint32_t tries = 0; tries < slots.n; tries++, at++) {
		IMG_GET(h->p, slots, at & (slots.n - 1), &slot);
		if (slot == 0)
			return false;
		IMG_GET(h->p, h->head.tables[TABLE_GROUP], slot - 1, ret);
		if (ret->kind == kind && ret->name.n == name.n &&
		    memcmp(h->p + h->head.strings.off + ret->name.off, name.p, name.n) == 0)
			return true;
	}
	return false;
}

void hits_find(const struct policy *p, struct str host, struct hits *ret)
{
	struct {
		size_t at;
		uint32_t hash;
	} suffixes[HITS_MAX - 2];
	uint32_t hash = HASH_START;
	size_t n = 0;

	ret->p = p->p;
	memcpy(&ret->head, p->p, sizeof(ret->head));
	ret->n = 0;
	ret->by_addr = false;
	if (host.n == 0 || host.n > HOST_MAX)
		return;
	for (size_t i = host.n; i > 0; i--) {
		if (host.p[i - 1] == '.' && n < HITS_MAX - 2) {
			suffixes[n].at = i;
			suffixes[n++].hash = hash;
		}
		hash = hash_step(hash, host.p[i - 1]);
	}
	if (group_find(ret, hash, HOST_EXACT, host, &ret->groups[0]))
		ret->n = 1;
	/* The last suffix found is the longest: all but the first label. */
	for (size_t i = n; i > 0; i--) {
		struct str name = { host.p + suffixes[i - 1].at, host.n - suffixes[i - 1].at };

		if (i == n &&
		    group_find(ret, suffixes[i - 1].hash, HOST_ONE, name, &ret->groups[ret->n]))
			ret->n++;
		if (group_find(ret, suffixes[i - 1].hash, HOST_MANY, name, &ret->groups[ret->n]))
			ret->n++;
	}
}

bool policy_names(const struct policy *p, struct str host)
{
	struct hits h;

	hits_find(p, host, &h);
	return h.n && h.groups[0].kind == HOST_EXACT && h.groups[0].nallow;
}

void entry_get(const struct hits *h, uint32_t i, struct img_entry *ret)
{
	IMG_GET(h->p, h->head.tables[TABLE_ENTRY], i, ret);
}

/* Address rules, behind those that name a host. */
static bool hits_block(const struct hits *h, bool deny, struct hit_at *at, struct img_entry *ret)
{
	while (h->by_addr && at->block < h->head.tables[TABLE_BLOCK].n) {
		struct img_block b;

		IMG_GET(h->p, h->head.tables[TABLE_BLOCK], at->block++, &b);
		if (!addr_in(h->addr, b.addr, b.prefix))
			continue;
		entry_get(h, b.entry, ret);
		if (!!(ret->flags & ENTRY_DENY) == deny)
			return true;
	}
	return false;
}

bool hits_each(const struct hits *h, bool deny, struct hit_at *at, struct img_entry *ret)
{
	for (; at->group < h->n; at->group++, at->entry = 0) {
		const struct img_group *g = &h->groups[at->group];

		if (at->entry < (deny ? g->ndeny : g->nallow)) {
			entry_get(h, g->entry + (deny ? 0 : g->ndeny) + at->entry++, ret);
			return true;
		}
	}
	return hits_block(h, deny, at, ret);
}

void path_begin(struct str path, struct path_begin *ret)
{
	uint32_t hash = HASH_START;
	size_t end;

	ret->n = 0;
	ret->hashes[0] = hash;
	for (size_t at = 0; at < path.n && ret->n < PATH_DEPTH; at = end) {
		end = at;
		do
			hash = hash_step(hash, path.p[end++]);
		while (end < path.n && path.p[end] != '/');
		ret->hashes[++ret->n] = hash;
	}
}

/* The next entry of a large group, first to last, over the chains that the path's beginnings lead
 * to. A chain may hold others by chance; whoever asks looks at each entry as a whole. */
static bool chains_next(const struct hits *h, uint32_t first, uint32_t end, unsigned n,
			struct hit_at *at, struct img_entry *ret)
{
	struct img_entry entries[PATH_DEPTH + 1];
	uint32_t best = UINT32_MAX;

	for (unsigned d = 0; d <= n; d++) {
		uint32_t *next = &at->chains[d];

		for (; *next; *next = entries[d].next) {
			if (*next - 1 >= end)
				break;
			entry_get(h, *next - 1, &entries[d]);
			if (*next - 1 >= first)
				break;
		}
		if (*next && *next - 1 < end && *next < best) {
			best = *next;
			*ret = entries[d];
		}
	}
	if (best == UINT32_MAX)
		return false;
	for (unsigned d = 0; d <= n; d++)
		if (at->chains[d] == best)
			at->chains[d] = ret->next;
	return true;
}

bool hits_path(const struct hits *h, bool deny, const struct path_begin *b, struct hit_at *at,
	       struct img_entry *ret)
{
	const struct img_table slots = h->head.tables[TABLE_PATH];

	for (; at->group < h->n; at->group++, at->entry = 0) {
		const struct img_group *g = &h->groups[at->group];
		uint32_t first = g->entry + (deny ? 0 : g->ndeny), n = deny ? g->ndeny : g->nallow;

		if (n <= FEW) {
			if (at->entry == n)
				continue;
			entry_get(h, first + at->entry++, ret);
			return true;
		}
		if (!at->entry) {
			for (unsigned d = 0; d <= b->n; d++)
				IMG_GET(h->p, slots,
					path_slot(g->entry, deny, d, b->hashes[d]) & (slots.n - 1),
					&at->chains[d]);
			at->entry = 1;
		}
		if (chains_next(h, first, first + n, b->n, at, ret))
			return true;
	}
	return hits_block(h, deny, at, ret);
}

bool entry_port(const struct hits *h, const struct img_entry *e, uint16_t port)
{
	struct img_port p;

	if (port >= e->port_lo && port <= e->port_hi)
		return true;
	for (uint32_t i = 0; i < e->nports; i++) {
		IMG_GET(h->p, h->head.tables[TABLE_PORT], e->port + i, &p);
		if (port >= p.lo && port <= p.hi)
			return true;
	}
	return false;
}

bool entry_expired(const struct img_entry *e)
{
	return e->until_us && clock_wall_us() >= e->until_us;
}

bool entry_method(const struct img_entry *e, uint64_t bit)
{
	if (e->methods != METHODS_ANY)
		return e->methods & bit;
	return bit != METHODS_WEBSOCKET || (e->flags & ENTRY_DENY);
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A parameter's name as sent, its escapes read, against a name of the rule. */
static bool name_eq(struct str sent, struct str want)
{
	size_t k = 0;

	for (size_t i = 0; i < sent.n; i++, k++) {
		int c = (unsigned char)sent.p[i];

		if (c == '%' && i + 2 < sent.n) {
			int high = nibble(sent.p[i + 1]), low = nibble(sent.p[i + 2]);

			if (high < 0 || low < 0)
				return false;
			c = high << 4 | low;
			i += 2;
		}
		if (k >= want.n || c != (unsigned char)want.p[k])
			return false;
	}
	return k == want.n;
}

static bool query_fits(const struct hits *h, const struct img_entry *e, struct str q)
{
	for (size_t at = 0, end; at < q.n; at = end + 1) {
		const char *amp = memchr(q.p + at, '&', q.n - at), *eq;
		struct str one;
		bool known = false;

		end = amp ? (size_t)(amp - q.p) : q.n;
		one = (struct str){ q.p + at, end - at };
		/* Some origins also split at ';', and would then see a name that was not looked at.
		 */
		if (memchr(one.p, ';', one.n))
			return false;
		eq = one.n ? memchr(one.p, '=', one.n) : NULL;
		if (eq)
			one.n = (size_t)(eq - one.p);
		for (uint32_t i = 0; i < e->nquery && !known; i++) {
			struct img_str s;

			IMG_GET(h->p, h->head.tables[TABLE_VALUE], e->query + i, &s);
			known = name_eq(one, img_text(h->p, h->head.strings, s));
		}
		if (!known)
			return false;
	}
	return true;
}

static bool path_fits(const struct hits *h, const struct img_entry *e, struct str path)
{
	struct str pattern;

	if (!(e->flags & ENTRY_PATH))
		return true;
	pattern = img_text(h->p, h->head.strings, e->path);
	if (path.n < e->literal || memcmp(path.p, pattern.p, e->literal) != 0)
		return false;
	if (e->literal == pattern.n)
		return path.n == pattern.n;
	return path_pattern_fits(pattern, path);
}

static bool refs_fit(const struct hits *h, const struct img_entry *e, struct str ref)
{
	struct img_str s;

	for (uint32_t i = 0; i < e->nquery; i++) {
		IMG_GET(h->p, h->head.tables[TABLE_VALUE], e->query + i, &s);
		if (ref_pattern_fits(img_text(h->p, h->head.strings, s), ref))
			return true;
	}
	return false;
}

bool entry_refs(const struct hits *h, const struct img_entry *e, const struct request_query *q,
		uint64_t bit, bool *ret_open)
{
	if (!(e->flags & ENTRY_REFS))
		return true;
	if (q->ref.n)
		return refs_fit(h, e, q->ref);
	/* What is asked first names none (GET), or names them in its body. */
	*ret_open |= bit == method_bit(STR("POST"));
	return !(e->flags & ENTRY_DENY);
}

bool entry_path(const struct hits *h, const struct img_entry *e, const struct request_query *q,
		uint64_t bit)
{
	struct str repo;

	if (e->flags & (ENTRY_GIT_FETCH | ENTRY_GIT_PUSH)) {
		unsigned asked = git_service(q, bit, &repo);

		return ((asked == GIT_FETCH && (e->flags & ENTRY_GIT_FETCH)) ||
			(asked == GIT_PUSH && (e->flags & ENTRY_GIT_PUSH))) &&
		       path_fits(h, e, repo);
	}
	return path_fits(h, e, q->path) &&
	       (!(e->flags & ENTRY_QUERY) || query_fits(h, e, q->query));
}
