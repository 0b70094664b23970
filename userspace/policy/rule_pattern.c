/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what a rule names: "METHODS scheme://host:ports/path" and the addresses of "direct". Called
 * by load_rule.c on text of a policy file; each fault gets one sentence that says what to write
 * instead.
 */
#include "policy/model.h"

#include <errno.h>
#include <stdlib.h>

static const char *const scheme_names[] = { "http", "https", "tls", "tcp" };
static const uint16_t scheme_ports[] = { 80, 443, 443, 0 };

static int bad(const struct load *l, const struct node *n, const char *why)
{
	diag_add(l->errors, l->file, n->at, n->key, "%s", why);
	return -EINVAL;
}

/* "443", "443,8443", "8000-8010". */
static int ports_parse(struct str s, struct rule *r)
{
	size_t at = 0;

	while (at <= s.n) {
		const char *comma = at < s.n ? memchr(s.p + at, ',', s.n - at) : NULL;
		size_t end = comma ? (size_t)(comma - s.p) : s.n;
		struct str one = { s.p + at, end - at };
		const char *dash = one.n ? memchr(one.p, '-', one.n) : NULL;
		struct port_range p;

		if (r->nports == PORTS_MAX)
			return -EINVAL;
		if (dash) {
			struct str lo = { one.p, (size_t)(dash - one.p) };
			struct str hi = { dash + 1, one.n - lo.n - 1 };

			if (port_parse(lo, &p.lo) < 0 || port_parse(hi, &p.hi) < 0 || p.lo > p.hi)
				return -EINVAL;
		} else {
			if (port_parse(one, &p.lo) < 0)
				return -EINVAL;
			p.hi = p.lo;
		}
		r->ports[r->nports++] = p;
		at = end + 1;
	}
	return 0;
}

static int method_parse(const struct load *l, const struct node *n, struct str m, struct rule *r)
{
	const char *words[64 + 4];
	size_t nwords = 0;
	uint64_t bit = method_bit(m);

	if (str_is(m, "READ")) {
		bit = METHODS_READ;
	} else if (str_is(m, "ANY")) {
		bit = METHODS_ANY;
	} else if (str_is(m, "GIT-FETCH")) {
		r->git |= GIT_FETCH;
		return 0;
	} else if (str_is(m, "GIT-PUSH")) {
		r->git |= GIT_PUSH;
		return 0;
	}
	if (!bit) {
		words[nwords++] = "READ";
		words[nwords++] = "ANY";
		words[nwords++] = "GIT-FETCH";
		words[nwords++] = "GIT-PUSH";
		for (size_t i = 0; i < method_names_n; i++)
			words[nwords++] = method_names[i];
		if (m.n && memchr(m.p, '|', m.n))
			return bad(l, n, "methods are separated by commas: GET,POST");
		unknown_word(l, n->at, n->key, "method", m, words, nwords);
		return -EINVAL;
	}
	r->methods |= bit;
	return 0;
}

static int methods_parse(const struct load *l, const struct node *n, struct str s, struct rule *r)
{
	for (size_t at = 0, end; at <= s.n; at = end + 1) {
		const char *comma = at < s.n ? memchr(s.p + at, ',', s.n - at) : NULL;

		end = comma ? (size_t)(comma - s.p) : s.n;
		if (method_parse(l, n, (struct str){ s.p + at, end - at }, r) < 0)
			return -EINVAL;
	}
	if (r->git && r->methods)
		return bad(l, n,
			   "GIT-FETCH and GIT-PUSH stand alone; write the other methods as a "
			   "second rule");
	if (r->git && r->path.p)
		r->path = git_repo_trim(r->path);
	if (r->git && r->path.n == 1)
		return bad(l, n, "no repository: write its path, /** or no path at all");
	return 0;
}

static int path_parse(const struct load *l, const struct node *n, struct str s, struct rule *r)
{
	const char *why = NULL;
	struct target t;
	struct buf to;
	int err;

	if (memchr(s.p, '?', s.n))
		return bad(l, n,
			   "a query does not stand in the pattern; list the allowed names in "
			   "\"query\"");
	buf_init(&to, RULE_TEXT_MAX);
	err = target_canonical(s, &to, &t, &why);
	if (err == 0) {
		err = path_pattern_check(t.path, &why);
		if (err == 0)
			r->path = arena_str(l->a, t.path);
		else
			bad(l, n, why);
	} else {
		diag_add(l->errors, l->file, n->at, n->key, "the path could never match: %s", why);
	}
	buf_done(&to);
	return err;
}

/* host[:ports], where the host may be an address in brackets. */
static int host_parse(const struct load *l, const struct node *n, struct str s, struct rule *r)
{
	struct str host = s, ports = { 0 };
	const char *colon, *why;
	size_t from = 0;

	if (s.n && s.p[0] == '[') {
		const char *end = memchr(s.p, ']', s.n);

		if (!end)
			return bad(l, n, "this [ has no ]");
		from = (size_t)(end - s.p);
	}
	colon = s.n > from ? memchr(s.p + from, ':', s.n - from) : NULL;
	if (colon) {
		host.n = (size_t)(colon - s.p);
		ports = (struct str){ colon + 1, s.n - host.n - 1 };
		if (memchr(ports.p, ':', ports.n))
			return bad(l, n, "an IPv6 address stands in brackets: [2001:db8::1]:443");
		if (ports_parse(ports, r) < 0)
			return bad(l, n,
				   "ports are numbers from 1 to 65535: :443 or :443,8443 or "
				   ":8000-8010");
	}
	if (host.n && memchr(host.p, '@', host.n))
		return bad(l, n, "a user name does not stand in a rule; use \"credential\"");
	if (host_pattern_parse(l->a, host, &r->host, &why) < 0)
		return bad(l, n, why);
	return 0;
}

int rule_pattern_parse(const struct load *l, const struct node *n, struct rule *r)
{
	struct str s = n->text, rest, methods = { 0 };
	const char *blank = s.n ? memchr(s.p, ' ', s.n) : NULL, *mark = NULL, *slash;
	unsigned k;

	if (s.n == 0 || s.n > RULE_TEXT_MAX - 64)
		return bad(l, n, "must be \"METHODS https://host/path\"");
	if (str_is(s, "services")) {
		if (r->deny)
			return bad(l, n,
				   "services are closed unless a rule allows them; take this rule "
				   "out");
		r->scheme = SCHEME_SERVICES;
		return 0;
	}
	rest = s;
	if (blank) {
		methods = (struct str){ s.p, (size_t)(blank - s.p) };
		rest = (struct str){ blank + 1, s.n - methods.n - 1 };
		if (str_is(rest, "services"))
			return bad(l, n, "\"services\" stands alone: it takes no method");
		if (rest.n == 0 || memchr(rest.p, ' ', rest.n))
			return bad(l, n, "must be \"METHODS https://host/path\", with one blank");
	}
	for (size_t i = 0; i + 2 < rest.n && !mark; i++)
		if (memcmp(rest.p + i, "://", 3) == 0)
			mark = rest.p + i;
	if (!mark && rest.n > 8 && memcmp(rest.p, "services", 8) == 0 && memchr(":/", rest.p[8], 2))
		return bad(l, n, "\"services\" stands alone: it takes no port and no path");
	if (!mark)
		return bad(l, n,
			   "no scheme: write https://, http://, tls:// or tcp:// before the host");
	for (k = 0; k < ARRAY_SIZE(scheme_names); k++)
		if (str_is((struct str){ rest.p, (size_t)(mark - rest.p) }, scheme_names[k]))
			break;
	if (k == ARRAY_SIZE(scheme_names)) {
		unknown_word(l, n->at, n->key, "scheme",
			     (struct str){ rest.p, (size_t)(mark - rest.p) }, scheme_names,
			     ARRAY_SIZE(scheme_names));
		return -EINVAL;
	}
	r->scheme = k;
	rest = (struct str){ mark + 3, (size_t)(rest.p + rest.n - mark) - 3 };
	slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
	if (slash) {
		struct str path = { slash, rest.n - (size_t)(slash - rest.p) };

		rest.n -= path.n;
		if (k == SCHEME_TLS || k == SCHEME_TCP)
			return bad(l, n,
				   k == SCHEME_TLS ? "tls:// passes a connection through unopened: "
						     "it takes no path"
						   : "tcp:// takes no path; a block of addresses "
						     "is written with \"direct\"");
		if (path_parse(l, n, path, r) < 0)
			return -EINVAL;
	} else if (rest.n && memchr(rest.p, '?', rest.n)) {
		return bad(l, n,
			   "a query does not stand in the pattern; list the allowed names in "
			   "\"query\"");
	}
	if (host_parse(l, n, rest, r) < 0)
		return -EINVAL;
	if (k == SCHEME_TLS && r->host.kind == HOST_ADDR)
		return bad(l, n, "an address has no SNI to check; use tcp://");
	if (r->nports == 0) {
		if (!scheme_ports[k])
			return bad(l, n, "tcp:// needs a port: tcp://github.com:22");
		r->ports[r->nports++] = (struct port_range){ scheme_ports[k], scheme_ports[k] };
	}
	if (k == SCHEME_TLS || k == SCHEME_TCP) {
		if (blank)
			return bad(l, n, "tls:// and tcp:// are not opened: they take no method");
		r->methods = METHODS_ANY;
		return 0;
	}
	if (blank)
		return methods_parse(l, n, methods, r);
	if (!r->deny)
		return bad(l, n,
			   "no method: write READ, ANY or a list before the address, e.g. "
			   "\"GET,POST https://...\"");
	r->methods = METHODS_ANY;
	return 0;
}

/* What `direct` never opens, whatever a policy says. */
static const struct {
	const char *addr;
	uint8_t prefix;
	const char *what;
} closed[] = {
	{ "0.0.0.0", 96 + 8, "the unspecified address" },
	{ "127.0.0.0", 96 + 8, "loopback" },
	{ "169.254.0.0", 96 + 16, "link-local and metadata addresses" },
	{ "224.0.0.0", 96 + 3, "multicast and broadcast" },
	{ "168.63.129.16", 128, "a metadata address (168.63.129.16)" },
	{ "100.100.100.200", 128, "a metadata address (100.100.100.200)" },
	{ "::", 127, "the unspecified address and loopback" },
	{ "fe80::", 10, "link-local addresses" },
	{ "ff00::", 8, "multicast" },
	{ "fd00:ec2::254", 128, "a metadata address (fd00:ec2::254)" },
	{ "fd20:ce::", 64, "metadata addresses (fd20:ce::/64)" },
	{ "64:ff9b::", 96, "translated IPv4 addresses (64:ff9b::/96)" },
	{ "2002::", 16, "6to4 addresses (2002::/16)" },
};

int rule_direct_parse(const struct load *l, const struct node *n, struct rule *r)
{
	static const char form[] = "must be \"address:port\" or \"block/length:port\", e.g. "
				   "\"10.0.5.0/24:5432\", with "
				   "/udp behind it for UDP";
	struct str s = n->text, addr, ports;
	const char *colon, *slash;
	bool v6 = s.n && s.p[0] == '[';
	uint64_t prefix;

	r->scheme = SCHEME_DIRECT;
	r->methods = METHODS_ANY;
	r->host.kind = HOST_ADDR;
	if (s.n > 4 && memcmp(s.p + s.n - 4, "/udp", 4) == 0) {
		r->scheme = SCHEME_DIRECT_UDP;
		s.n -= 4;
	} else if (s.n > 4 && memcmp(s.p + s.n - 4, "/tcp", 4) == 0) {
		return bad(l, n, "TCP is what direct means: leave /tcp out");
	}
	colon = s.n ? memrchr(s.p, ':', s.n) : NULL;
	if (!colon)
		return bad(l, n, form);
	ports = (struct str){ colon + 1, (size_t)(s.p + s.n - colon) - 1 };
	addr = (struct str){ s.p, (size_t)(colon - s.p) };
	if (ports_parse(ports, r) < 0)
		return bad(l, n, form);
	for (unsigned i = 0; i < r->nports; i++)
		if (r->ports[i].lo == DIRECT_NEVER_PORT && r->ports[i].hi == DIRECT_NEVER_PORT)
			return bad(l, n,
				   "port 53 is never direct: it is turned to the job's resolver, "
				   "which knows the job's names");
	if (v6) { /* [2001:db8::/32]:443 or [2001:db8::1]:443 */
		if (addr.n < 2 || addr.p[addr.n - 1] != ']')
			return bad(l, n, "an IPv6 block stands in brackets: [2001:db8::/32]:443");
		addr = (struct str){ addr.p + 1, addr.n - 2 };
	}
	slash = addr.n ? memchr(addr.p, '/', addr.n) : NULL;
	prefix = v6 ? 128 : 32;
	if (slash) {
		if (str_u64((struct str){ slash + 1, (size_t)(addr.p + addr.n - slash) - 1 },
			    &prefix) < 0 ||
		    prefix > (v6 ? 128 : 32))
			return bad(l, n, form);
		addr.n = (size_t)(slash - addr.p);
	}
	if (addr_parse(addr, r->host.addr) < 0 || v6 != (memchr(addr.p, ':', addr.n) != NULL))
		return bad(l, n, form);
	if (v6 && prefix < 128 &&
	    addr_in(r->host.addr, (const uint8_t[16]){ [10] = 0xff, [11] = 0xff }, 96))
		return bad(l, n, "write IPv4 blocks as IPv4: 10.0.5.0/24:5432");
	r->host.prefix = (uint8_t)(v6 ? prefix : prefix + 96);
	for (unsigned bit = r->host.prefix; bit < 128; bit++)
		if (r->host.addr[bit / 8] & (0x80 >> bit % 8))
			return bad(l, n,
				   "the address has bits behind its block's length; write the "
				   "block's first address");
	if (prefix == 0)
		return bad(l, n, "this is every address; name the blocks");
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		uint8_t a[16];
		unsigned both =
			closed[i].prefix < r->host.prefix ? closed[i].prefix : r->host.prefix;

		if (addr_parse(str_of(closed[i].addr), a) == 0 && addr_in(r->host.addr, a, both)) {
			diag_add(l->errors, l->file, n->at, n->key,
				 "holds %s, which is never direct", closed[i].what);
			return -EINVAL;
		}
	}
	return 0;
}
