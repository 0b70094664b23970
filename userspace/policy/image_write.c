/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a policy's image: rules grouped by host pattern, a hash over the patterns, denies before
 * allows, the most specific allow first. Called by compile.c once all is loaded and checked.
 */
#include "policy/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct sorted { /* a rule on its way into a group */
	const struct rule *r;
	uint32_t index; /* in the policy */
	uint32_t rank;
};

static uint32_t rule_rank(const struct rule *r)
{
	unsigned methods = r->git ? 1u + (r->git == (GIT_FETCH | GIT_PUSH))
				  : (unsigned)__builtin_popcountll(r->methods);

	/* Literal length first, then fewer methods, then a named query. */
	return path_rank(r->path) << 8 | (64 - methods) << 1 | r->has_query;
}

static int by_host(const struct host_pattern *a, const struct host_pattern *b)
{
	size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
	int c;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == HOST_ADDR) {
		if (a->prefix != b->prefix) /* narrow blocks first */
			return a->prefix > b->prefix ? -1 : 1;
		return memcmp(a->addr, b->addr, 16);
	}
	c = n ? memcmp(a->name.p, b->name.p, n) : 0;
	return c ? c : (a->name.n > b->name.n) - (a->name.n < b->name.n);
}

static int compare(const void *pa, const void *pb)
{
	const struct sorted *a = pa, *b = pb;
	int c = by_host(&a->r->host, &b->r->host);

	if (c)
		return c;
	if (a->r->deny != b->r->deny)
		return a->r->deny ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank > b->rank ? -1 : 1;
	return a->index < b->index ? -1 : 1;
}

static void write_entry(struct image_out *o, const struct sorted *s)
{
	const struct rule *r = s->r;
	struct img_entry e = { .methods = r->methods,
			       .until_us = r->until_us,
			       .rule = s->index,
			       .schemes = (uint8_t)SCHEME_BIT(r->scheme),
			       .port_lo = r->ports[0].lo,
			       .port_hi = r->ports[0].hi,
			       .port = o->tables[TABLE_PORT].n,
			       .nports = (uint16_t)(r->nports - 1),
			       .rank = s->rank };

	for (unsigned i = 1; i < r->nports; i++) {
		struct img_port p = { r->ports[i].lo, r->ports[i].hi };

		image_row(o, TABLE_PORT, &p);
	}
	if (r->deny)
		e.flags |= ENTRY_DENY;
	if (r->git & GIT_FETCH)
		e.flags |= ENTRY_GIT_FETCH;
	if (r->git & GIT_PUSH)
		e.flags |= ENTRY_GIT_PUSH;
	if (r->path.p) {
		const char *star = memchr(r->path.p, '*', r->path.n);

		e.flags |= ENTRY_PATH;
		e.path = image_str(o, r->path);
		e.literal = (uint32_t)(star ? (size_t)(star - r->path.p) : r->path.n);
		/* A deep star takes its slash with it: "/x/" and the two stars also match "/x". */
		if (star && e.literal > 1 && r->path.n - e.literal >= 2 && star[1] == '*')
			e.literal--;
	}
	if (r->has_query) {
		e.flags |= ENTRY_QUERY;
		e.query = o->tables[TABLE_VALUE].n;
		e.nquery = r->nquery;
		for (unsigned i = 0; i < r->nquery; i++) {
			struct img_str v = image_str(o, r->query[i]);

			image_row(o, TABLE_VALUE, &v);
		}
	}
	if (r->nrefs) {
		e.flags |= ENTRY_REFS;
		e.query = o->tables[TABLE_VALUE].n;
		e.nquery = r->nrefs;
		for (unsigned i = 0; i < r->nrefs; i++) {
			struct img_str v = image_str(o, r->refs[i]);

			image_row(o, TABLE_VALUE, &v);
		}
	}
	image_row(o, TABLE_ENTRY, &e);
}

static void write_rule(struct image_out *o, const struct rule *r)
{
	char text[RULE_TEXT_MAX + 256];
	int n = snprintf(text, sizeof(text), "%.*s: %.*s", STR_ARG(r->id), STR_ARG(r->text));
	struct img_rule out = { .id = image_str(o, r->id),
				.nearest = image_str(o, (struct str){ text, (size_t)n }),
				.credential = image_str(o, r->credential) };

	image_row(o, TABLE_RULE, &out);
}

static void write_groups(struct image_out *o, const struct sorted *s, size_t n, uint32_t *ret_kinds)
{
	struct img_group g = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct host_pattern *h = &s[i].r->host;
		uint32_t entry = o->tables[TABLE_ENTRY].n;

		*ret_kinds |= 1u << h->kind;
		write_entry(o, &s[i]);
		if (h->kind == HOST_ADDR) {
			struct img_block b = { .prefix = h->prefix, .entry = entry };

			memcpy(b.addr, h->addr, 16);
			image_row(o, TABLE_BLOCK, &b);
			continue;
		}
		if (i == 0 || by_host(h, &s[i - 1].r->host) != 0)
			g = (struct img_group){ .kind = h->kind,
						.entry = entry,
						.name = image_str(o, h->name) };
		g.ndeny += s[i].r->deny;
		g.nallow += !s[i].r->deny;
		if (i + 1 == n || by_host(h, &s[i + 1].r->host) != 0)
			image_row(o, TABLE_GROUP, &g);
	}
}

static void write_slots(struct image_out *o)
{
	const struct table_out *groups = &o->tables[TABLE_GROUP];
	uint32_t size = 4, *slots;

	while (size < groups->n * 2)
		size *= 2;
	slots = mem_new(size * sizeof(*slots));
	for (uint32_t i = 0; i < groups->n && !o->failed; i++) {
		struct img_group g;
		uint32_t h = HASH_START;

		memcpy(&g, groups->bytes.p + (size_t)i * sizeof(g), sizeof(g));
		for (uint32_t k = g.name.n; k > 0; k--)
			h = hash_step(h, o->strings.p[g.name.off + k - 1]);
		for (h = hash_slot(h, g.kind);; h++) {
			if (slots[h & (size - 1)])
				continue;
			slots[h & (size - 1)] = i + 1;
			break;
		}
	}
	for (uint32_t i = 0; i < size; i++)
		image_row(o, TABLE_SLOT, &slots[i]);
	free(slots);
}

/* The whole segments before the first star, PATH_DEPTH at most, and their hash. */
static unsigned path_begins(const struct image_out *o, const struct img_entry *e, uint32_t *ret)
{
	const char *p = o->strings.p + e->path.off, *star;
	uint32_t hash = HASH_START;
	unsigned depth = 0;
	size_t n, end;

	*ret = hash;
	if (!(e->flags & ENTRY_PATH) || (e->flags & (ENTRY_GIT_FETCH | ENTRY_GIT_PUSH)))
		return 0;
	star = memchr(p, '*', e->path.n);
	n = star ? (size_t)(star - p) : e->path.n;
	for (size_t at = 0; at < n && depth < PATH_DEPTH; at = end) {
		for (end = at + 1; end < n && p[end] != '/';)
			end++;
		if (end == n && star)
			break; /* the star's own segment */
		for (; at < end; at++)
			hash = hash_step(hash, p[at]);
		depth++;
	}
	*ret = hash;
	return depth;
}

static void write_paths(struct image_out *o)
{
	struct table_out *groups = &o->tables[TABLE_GROUP], *entries = &o->tables[TABLE_ENTRY];
	uint32_t size = 4, *slots;

	while (size < entries->n)
		size *= 2;
	slots = mem_new(size * sizeof(*slots));
	/* From the last to the first, so that each chain is in the order of its entries. */
	for (uint32_t i = groups->n; i > 0 && !o->failed; i--) {
		struct img_group g;

		memcpy(&g, groups->bytes.p + (size_t)(i - 1) * sizeof(g), sizeof(g));
		for (uint32_t k = g.entry + g.ndeny + g.nallow; k > g.entry; k--) {
			char *at = entries->bytes.p + (size_t)(k - 1) * sizeof(struct img_entry);
			uint32_t hash, *slot;
			struct img_entry e;
			unsigned depth;

			memcpy(&e, at, sizeof(e));
			depth = path_begins(o, &e, &hash);
			slot = &slots[path_slot(g.entry, e.flags & ENTRY_DENY, depth, hash) &
				      (size - 1)];
			e.next = *slot;
			*slot = k;
			memcpy(at, &e, sizeof(e));
		}
	}
	for (uint32_t i = 0; i < size; i++)
		image_row(o, TABLE_PATH, &slots[i]);
	free(slots);
}

int policy_image(struct arena *a, const struct policy_model *m, struct str name,
		 const struct rule *rules, const struct for_entry *fors, struct str *ret)
{
	static const size_t records[POLICY_TABLES] = {
		[TABLE_FOR] = sizeof(struct img_for),	  [TABLE_COND] = sizeof(struct img_cond),
		[TABLE_VALUE] = sizeof(struct img_str),	  [TABLE_RULE] = sizeof(struct img_rule),
		[TABLE_ENTRY] = sizeof(struct img_entry), [TABLE_GROUP] = sizeof(struct img_group),
		[TABLE_SLOT] = sizeof(uint32_t),	  [TABLE_PORT] = sizeof(struct img_port),
		[TABLE_BLOCK] = sizeof(struct img_block), [TABLE_PATH] = sizeof(uint32_t),
	};
	struct img_policy head = { .magic = POLICY_MAGIC,
				   .mode = m->mode,
				   .settings = m->settings,
				   .priority = m->priority };
	struct sorted *sorted;
	struct image_out o;
	size_t n = 0, nsorted = 0;
	int r;

	for (const struct rule *i = rules; i; i = i->next)
		n++;
	if (n > RULES_MAX)
		return -EFBIG;
	image_out_init(&o, records, POLICY_TABLES);
	head.name = image_str(&o, name);
	sorted = mem_new((n + 1) * sizeof(*sorted));
	n = 0;
	for (const struct rule *i = rules; i; i = i->next, n++) {
		write_rule(&o, i);
		if (i->scheme != SCHEME_SERVICES)
			sorted[nsorted++] = (struct sorted){ i, (uint32_t)n, rule_rank(i) };
		else if (!head.services)
			head.services = (uint32_t)n + 1;
	}
	qsort(sorted, nsorted, sizeof(*sorted), compare);
	write_groups(&o, sorted, nsorted, &head.kinds);
	free(sorted);
	write_slots(&o);
	write_paths(&o);
	image_fors(&o, fors, TABLE_FOR, TABLE_COND, TABLE_VALUE);
	r = image_finish(&o, a, &head, sizeof(head), head.tables, POLICY_TABLES, &head.strings,
			 ret);
	image_out_done(&o, POLICY_TABLES);
	return r;
}
