/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens a policy's image: every offset, count and number is checked here once, so that nothing that
 * reads it later can leave it, whatever its bytes are. Called by egretd, the proxy and the command
 * line; the bytes come from the compiler, which is not trusted.
 */
#include "policy/image.h"

#include "base/clock.h"
#include <errno.h>
#include <stdlib.h>

static const size_t records[POLICY_TABLES] = {
	[TABLE_FOR] = sizeof(struct img_for),	  [TABLE_COND] = sizeof(struct img_cond),
	[TABLE_VALUE] = sizeof(struct img_str),	  [TABLE_RULE] = sizeof(struct img_rule),
	[TABLE_ENTRY] = sizeof(struct img_entry), [TABLE_GROUP] = sizeof(struct img_group),
	[TABLE_SLOT] = sizeof(uint32_t),	  [TABLE_PORT] = sizeof(struct img_port),
	[TABLE_BLOCK] = sizeof(struct img_block), [TABLE_PATH] = sizeof(uint32_t),
};

static void head_get(const struct policy *p, struct img_policy *ret)
{
	memcpy(ret, p->p, sizeof(*ret));
}

static struct for_view view(const uint8_t *p, const struct img_policy *h)
{
	return (struct for_view){ p, h->tables[TABLE_FOR], h->tables[TABLE_COND],
				  h->tables[TABLE_VALUE], h->strings };
}

static bool entries_ok(const uint8_t *p, const struct img_policy *h)
{
	const struct img_table *t = h->tables;
	struct img_entry e;

	for (uint32_t i = 0; i < t[TABLE_ENTRY].n; i++) {
		IMG_GET(p, t[TABLE_ENTRY], i, &e);
		if (e.rule >= t[TABLE_RULE].n || !range_ok(e.port, e.nports, t[TABLE_PORT].n) ||
		    !range_ok(e.query, e.nquery, t[TABLE_VALUE].n) || !str_ok(e.path, h->strings) ||
		    e.path.n > PATTERN_MAX || e.literal > e.path.n ||
		    e.schemes >= 1u << (SCHEME_DIRECT_UDP + 1) || e.flags >= ENTRY_REFS * 2 ||
		    e.nquery > QUERY_MAX || e.nports > PORTS_MAX ||
		    (e.next && (e.next > t[TABLE_ENTRY].n || e.next - 1 <= i)))
			return false;
	}
	return true;
}

static bool slots_ok(const uint8_t *p, struct img_table slots, uint32_t most)
{
	uint32_t slot;

	if (slots.n == 0 || (slots.n & (slots.n - 1)))
		return false;
	for (uint32_t i = 0; i < slots.n; i++) {
		IMG_GET(p, slots, i, &slot);
		if (slot > most)
			return false;
	}
	return true;
}

static bool groups_ok(const uint8_t *p, const struct img_policy *h)
{
	const struct img_table *t = h->tables;
	struct img_group g;

	for (uint32_t i = 0; i < t[TABLE_GROUP].n; i++) {
		IMG_GET(p, t[TABLE_GROUP], i, &g);
		if (g.kind > HOST_MANY || !str_ok(g.name, h->strings) || g.name.n == 0 ||
		    g.name.n > HOST_MAX || !range_ok(g.entry, g.ndeny, t[TABLE_ENTRY].n) ||
		    !range_ok(g.entry + g.ndeny, g.nallow, t[TABLE_ENTRY].n))
			return false;
	}
	return slots_ok(p, t[TABLE_SLOT], t[TABLE_GROUP].n) &&
	       slots_ok(p, t[TABLE_PATH], t[TABLE_ENTRY].n);
}

static bool rules_ok(const uint8_t *p, const struct img_policy *h)
{
	const struct img_table *t = h->tables;
	struct img_rule r;
	struct img_block b;
	struct img_entry e;

	for (uint32_t i = 0; i < t[TABLE_RULE].n; i++) {
		IMG_GET(p, t[TABLE_RULE], i, &r);
		if (!str_ok(r.id, h->strings) || !str_ok(r.nearest, h->strings) ||
		    !str_ok(r.credential, h->strings) || r.id.n == 0 || r.id.n > PATTERN_MAX ||
		    r.credential.n > PATTERN_MAX)
			return false;
	}
	for (uint32_t i = 0; i < t[TABLE_BLOCK].n; i++) {
		IMG_GET(p, t[TABLE_BLOCK], i, &b);
		if (b.prefix > 128 || b.entry >= t[TABLE_ENTRY].n)
			return false;
		IMG_GET(p, t[TABLE_ENTRY], b.entry, &e);
		if (e.port_lo > e.port_hi)
			return false;
	}
	return true;
}

unsigned entry_direct(const struct img_entry *e)
{
	unsigned own = SCHEME_BIT(SCHEME_DIRECT), udp = SCHEME_BIT(SCHEME_DIRECT_UDP);

	if (!(e->flags & ENTRY_DENY))
		return (e->schemes & own ? DIRECT_TCP : 0) | (e->schemes & udp ? DIRECT_UDP : 0);
	/* A name of HTTP or TLS is one over QUIC, too. In part or whole: nobody looks inside. */
	return e->schemes & ~SCHEME_BIT(SCHEME_TCP) ? DIRECT_TCP | DIRECT_UDP : DIRECT_TCP;
}

int policy_open(struct str image, struct policy *ret)
{
	const uint8_t *p = (const uint8_t *)image.p;
	struct img_policy h;
	struct for_view v;

	if (image.n < sizeof(h) || image.n > IMAGE_SIZE_MAX)
		return -EBADMSG;
	memcpy(&h, p, sizeof(h));
	if (h.magic != POLICY_MAGIC || !image_sealed(p, image.n) || h.mode > POLICY_AUDIT ||
	    h.settings > SETTING_ALL)
		return -EBADMSG;
	if (!table_ok(h.strings, 1, image.n) || !str_ok(h.name, h.strings) || h.name.n == 0 ||
	    h.name.n > PATTERN_MAX)
		return -EBADMSG;
	for (unsigned i = 0; i < POLICY_TABLES; i++)
		if (!table_ok(h.tables[i], records[i], image.n))
			return -EBADMSG;
	v = view(p, &h);
	if (for_view_check(&v, image.n) < 0 || h.tables[TABLE_RULE].n > RULES_MAX ||
	    h.services > h.tables[TABLE_RULE].n || !entries_ok(p, &h) || !groups_ok(p, &h) ||
	    !rules_ok(p, &h))
		return -EBADMSG;
	*ret = (struct policy){ p, image.n };
	return 0;
}

struct str policy_name(const struct policy *p)
{
	struct img_policy h;

	head_get(p, &h);
	return img_text(p->p, h.strings, h.name);
}

struct str policy_digest(const struct policy *p)
{
	return (struct str){ (const char *)p->p + offsetof(struct img_policy, digest),
			     DIGEST_TEXT_N };
}

enum policy_mode policy_mode_of(const struct policy *p)
{
	struct img_policy h;

	head_get(p, &h);
	return policy_audits(&h) ? POLICY_AUDIT : h.mode;
}

bool policy_audits(const struct img_policy *h)
{
	return h->mode == POLICY_AUDIT ||
	       (h->audit_until_us && clock_boot_us() < h->audit_until_us);
}

int policy_audit_until(struct str image, uint64_t until_us, char **ret)
{
	cleanup_free char *copy = NULL;
	struct img_policy h;
	struct policy p;
	int r = policy_open(image, &p);

	if (r < 0)
		return r;
	copy = mem_new(image.n);
	memcpy(copy, image.p, image.n);
	memcpy(&h, copy, sizeof(h));
	h.audit_until_us = until_us;
	memcpy(copy, &h, sizeof(h));
	image_seal((uint8_t *)copy, image.n);
	*ret = TAKE_PTR(copy);
	return 0;
}

bool policy_services(const struct policy *p, struct str *ret_rule_id)
{
	struct str id = { 0 };
	struct img_policy h;
	struct img_rule r;

	head_get(p, &h);
	if (!h.services && h.mode != POLICY_AUDIT)
		return false;
	if (h.services) {
		IMG_GET(p->p, h.tables[TABLE_RULE], h.services - 1, &r);
		id = img_text(p->p, h.strings, r.id);
	}
	if (ret_rule_id)
		*ret_rule_id = id;
	return true;
}

bool policy_inbound(const struct policy *p)
{
	struct img_policy h;

	head_get(p, &h);
	return h.settings & SETTING_INBOUND;
}

bool policy_opens_tls(const struct policy *p)
{
	const unsigned opened = SCHEME_BIT(SCHEME_HTTP) | SCHEME_BIT(SCHEME_HTTPS);
	struct img_policy h;
	struct img_entry e;

	head_get(p, &h);
	if (h.mode == POLICY_AUDIT || h.services)
		return false;
	for (uint32_t i = 0; i < h.tables[TABLE_ENTRY].n; i++) {
		IMG_GET(p->p, h.tables[TABLE_ENTRY], i, &e);
		if ((e.flags & ENTRY_DENY) || !(e.schemes & ~opened))
			continue;
		if ((e.schemes & ~opened) != SCHEME_BIT(SCHEME_TCP) || e.nports ||
		    e.port_lo != 22 || e.port_hi != 22)
			return false;
	}
	return true;
}

unsigned policy_capabilities(const struct policy *p)
{
	struct img_policy h;

	head_get(p, &h);
	return h.settings & SETTING_CAPABILITIES;
}

int policy_for(const struct policy *p, const struct facts *f, int64_t *ret_priority)
{
	struct img_policy h;
	struct for_view v;
	int keys;

	head_get(p, &h);
	v = view(p->p, &h);
	keys = for_view_fits(&v, f);
	if (keys >= 0)
		*ret_priority = h.priority;
	return keys;
}

/* *at counts (block, port range) pairs: the block in the high half, the range in the low. */
bool policy_each_block(const struct policy *p, size_t *at, struct policy_block *ret)
{
	uint64_t place = *at;
	uint32_t i = (uint32_t)(place >> 16), range = (uint32_t)(place & 0xffff);
	struct img_policy h;
	struct img_block b;
	struct img_entry e;
	struct img_port port;

	head_get(p, &h);
	for (; i < h.tables[TABLE_BLOCK].n; i++, range = 0) {
		IMG_GET(p->p, h.tables[TABLE_BLOCK], i, &b);
		IMG_GET(p->p, h.tables[TABLE_ENTRY], b.entry, &e);
		if ((e.flags & ENTRY_DENY) || range > e.nports ||
		    (e.schemes & SCHEME_BIT(SCHEME_DIRECT_UDP)))
			continue;
		port = (struct img_port){ e.port_lo, e.port_hi };
		if (range)
			IMG_GET(p->p, h.tables[TABLE_PORT], e.port + range - 1, &port);
		memcpy(ret->addr, b.addr, 16);
		ret->prefix = (uint8_t)b.prefix;
		ret->port_lo = port.lo;
		ret->port_hi = port.hi;
		*at = (size_t)((uint64_t)i << 16 | (range + 1));
		return true;
	}
	*at = (size_t)((uint64_t)i << 16);
	return false;
}

/* *at counts (block, port range, protocol) triples. */
bool policy_each_direct(const struct policy *p, size_t *at, struct policy_direct *ret)
{
	uint64_t place = *at;
	uint32_t i = (uint32_t)(place >> 17), range = (uint32_t)(place >> 1 & 0xffff);
	bool udp = place & 1;
	unsigned protos;
	struct img_policy h;
	struct img_block b;
	struct img_entry e;
	struct img_port port;

	head_get(p, &h);
	for (; i < h.tables[TABLE_BLOCK].n; i++, range = 0, udp = false) {
		IMG_GET(p->p, h.tables[TABLE_BLOCK], i, &b);
		IMG_GET(p->p, h.tables[TABLE_ENTRY], b.entry, &e);
		protos = entry_direct(&e);
		for (; range <= e.nports; range++, udp = false) {
			if (!udp && !(protos & DIRECT_TCP))
				udp = true;
			if (udp && !(protos & DIRECT_UDP))
				continue;
			port = (struct img_port){ e.port_lo, e.port_hi };
			if (range)
				IMG_GET(p->p, h.tables[TABLE_PORT], e.port + range - 1, &port);
			*ret = (struct policy_direct){ .prefix = (uint8_t)b.prefix,
						       .deny = e.flags & ENTRY_DENY,
						       .udp = udp,
						       .port_lo = port.lo,
						       .port_hi = port.hi,
						       .until_us = e.until_us };
			memcpy(ret->addr, b.addr, 16);
			*at = (size_t)(((uint64_t)i << 17 | range << 1 | udp) + 1);
			return true;
		}
	}
	*at = (size_t)((uint64_t)i << 17);
	return false;
}
