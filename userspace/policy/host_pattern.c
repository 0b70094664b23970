/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host patterns, whole labels only: "x.example" that name, "*.x.example" one label before it,
 * "**.x.example" one or more; none of the two matches x.example itself. Called by the loaders; the
 * matcher finds patterns by hash (match.c) and shares the rules of rank.
 */
#include "policy/model.h"

#include <errno.h>

int host_pattern_parse(struct arena *a, struct str s, struct host_pattern *ret,
		       const char **ret_why)
{
	struct host_pattern p = { .kind = HOST_EXACT };
	char name[HOST_MAX + 1];
	struct str rest = s;
	size_t n;

	if (str_starts(s, "**.")) {
		p.kind = HOST_MANY;
		rest = (struct str){ s.p + 3, s.n - 3 };
	} else if (str_starts(s, "*.")) {
		p.kind = HOST_ONE;
		rest = (struct str){ s.p + 2, s.n - 2 };
	}
	if (str_is(s, "*") || str_is(s, "**")) {
		*ret_why = "a bare * would name every host; write the hosts, or use mode audit";
		return -EINVAL;
	}
	if (rest.n && memchr(rest.p, '*', rest.n)) {
		*ret_why =
			"* and ** stand for whole labels at the front (*.x.example, **.x.example)";
		return -EINVAL;
	}
	if (rest.n && rest.p[0] == '.') {
		*ret_why = "a host does not begin with a dot; write **.x.example for all names "
			   "below it";
		return -EINVAL;
	}
	if (rest.n > 1 && rest.p[0] == '[' && rest.p[rest.n - 1] == ']')
		rest = (struct str){ rest.p + 1, rest.n - 2 };
	if (addr_parse(rest, p.addr) == 0) {
		if (p.kind != HOST_EXACT) {
			*ret_why = "an address has no names below it; a block of addresses is "
				   "written with \"direct\"";
			return -EINVAL;
		}
		p.kind = HOST_ADDR;
		p.prefix = 128;
		*ret = p;
		return 0;
	}
	if (host_canonical(rest, name, &n) < 0) {
		*ret_why = "not a well-formed host name";
		return -EINVAL;
	}
	if (p.kind != HOST_EXACT && public_suffix(name)) {
		*ret_why = "a public suffix: below it are everybody's hosts; name the hosts";
		return -EINVAL;
	}
	p.name = arena_str(a, (struct str){ name, n });
	*ret = p;
	return 0;
}

bool host_name_fits(enum host_kind kind, struct str name, struct str host)
{
	size_t front;

	if (kind == HOST_EXACT)
		return str_eq(name, host);
	if (kind == HOST_ADDR || host.n < name.n + 2 || host.p[host.n - name.n - 1] != '.' ||
	    memcmp(host.p + host.n - name.n, name.p, name.n) != 0)
		return false;
	front = host.n - name.n - 1;
	return kind == HOST_MANY || !memchr(host.p, '.', front);
}

bool host_pattern_fits(const struct host_pattern *p, struct str host)
{
	return host_name_fits(p->kind, p->name, host);
}

bool addr_in(const uint8_t addr[16], const uint8_t block[16], unsigned prefix)
{
	unsigned bytes = prefix / 8, bits = prefix % 8;

	if (memcmp(addr, block, bytes) != 0)
		return false;
	return bits == 0 || ((addr[bytes] ^ block[bytes]) >> (8 - bits)) == 0;
}

/* Is b's every name below a's suffix? */
static bool below(struct str suffix, struct str name)
{
	return name.n > suffix.n + 1 && name.p[name.n - suffix.n - 1] == '.' &&
	       memcmp(name.p + name.n - suffix.n, suffix.p, suffix.n) == 0;
}

bool host_pattern_covers(const struct host_pattern *wide, const struct host_pattern *narrow)
{
	if (wide->kind == HOST_ADDR || narrow->kind == HOST_ADDR)
		return wide->kind == narrow->kind && wide->prefix <= narrow->prefix &&
		       addr_in(narrow->addr, wide->addr, wide->prefix);
	if (narrow->kind == HOST_EXACT)
		return host_pattern_fits(wide, narrow->name);
	if (wide->kind == HOST_EXACT || (wide->kind == HOST_ONE && narrow->kind == HOST_MANY))
		return false;
	if (str_eq(wide->name, narrow->name))
		return true;
	return wide->kind == HOST_MANY && below(wide->name, narrow->name);
}

bool host_pattern_overlaps(const struct host_pattern *a, const struct host_pattern *b)
{
	if (a->kind == HOST_ADDR || b->kind == HOST_ADDR) {
		unsigned prefix = a->prefix < b->prefix ? a->prefix : b->prefix;

		return a->kind == b->kind && addr_in(a->addr, b->addr, prefix);
	}
	if (host_pattern_covers(a, b) || host_pattern_covers(b, a))
		return true;
	/* *.b.a with **.a is covered above; *.a with **.b.a shares nothing; *.a and *.b.a differ in
	 * their labels. */
	return false;
}

uint32_t host_rank(const struct host_pattern *p)
{
	static const uint32_t kinds[] = {
		[HOST_EXACT] = 3, [HOST_ONE] = 2, [HOST_MANY] = 1, [HOST_ADDR] = 3
	};
	uint32_t labels = 1;

	if (p->kind == HOST_ADDR)
		labels = p->prefix;
	else
		for (size_t i = 0; i < p->name.n; i++)
			labels += p->name.p[i] == '.';
	return kinds[p->kind] << 16 | labels;
}
