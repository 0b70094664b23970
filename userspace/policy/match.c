/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision. Called by the proxy for every connection and request and by `egret policy explain`
 * and `test`: the same code for all. Host, path, method and query are a job's, already canonical.
 * Deny beats allow; of the allows the most specific speaks; nothing is allowed that no rule names.
 */
#include "policy/match.h"

static struct str rule_text(const struct hits *h, const struct img_entry *e, size_t member)
{
	struct img_str s;

	memcpy(&s,
	       h->p + h->head.tables[TABLE_RULE].off + e->rule * sizeof(struct img_rule) + member,
	       sizeof(s));
	return img_text(h->p, h->head.strings, s);
}

struct str verdict_nearest(const struct hits *h, const struct img_entry *e)
{
	return rule_text(h, e, offsetof(struct img_rule, nearest));
}

void verdict_rule(const struct hits *h, const struct img_entry *e, struct verdict *ret)
{
	ret->rule = rule_text(h, e, offsetof(struct img_rule, id));
	ret->rule_index = e->rule;
	if (e->flags & ENTRY_DENY) {
		ret->verdict = VERDICT_DENY;
		ret->reason = REASON_DENY_RULE;
	} else {
		ret->verdict = VERDICT_ALLOW;
		ret->reason = REASON_RULE;
		ret->credential = rule_text(h, e, offsetof(struct img_rule, credential));
	}
}

/* What a policy that only audits says instead of no. */
static void soften(const struct hits *h, struct verdict *v)
{
	if (v->verdict != VERDICT_DENY || !policy_audits(&h->head))
		return;
	v->verdict = VERDICT_WOULD_DENY;
	if (v->reason != REASON_DENY_RULE)
		v->reason = REASON_AUDIT_MODE;
}

static size_t common_end(struct str a, struct str b)
{
	size_t n = 0;

	while (n < a.n && n < b.n && a.p[a.n - 1 - n] == b.p[b.n - 1 - n])
		n++;
	return n;
}

/* No rule names the host: the allow rule whose name ends most alike, if that is more than a top
 * label. */
static struct str nearest_host(const struct hits *h, struct str host)
{
	struct img_group g, best = { 0 };
	struct img_entry e;
	size_t most = 0;

	for (uint32_t i = 0; i < h->head.tables[TABLE_GROUP].n; i++) {
		struct str name;
		size_t n, labels = 0;

		IMG_GET(h->p, h->head.tables[TABLE_GROUP], i, &g);
		if (g.nallow == 0)
			continue;
		name = img_text(h->p, h->head.strings, g.name);
		n = common_end(name, host);
		for (size_t k = 0; k < n; k++)
			labels += name.p[name.n - 1 - k] == '.';
		if (labels && n > 4 && n > most) {
			most = n;
			best = g;
		}
	}
	if (!most)
		return (struct str){ 0 };
	entry_get(h, best.entry + best.ndeny, &e);
	return verdict_nearest(h, &e);
}

/* How near an allow entry came: 0 not at all. */
static unsigned nearness(const struct hits *h, const struct img_entry *e,
			 const struct request_query *q, uint64_t bit)
{
	unsigned n = 1;

	if (e->schemes & SCHEME_BIT(q->scheme))
		n += 4;
	if (entry_port(h, e, q->port))
		n += 4;
	if (!(e->flags & ENTRY_PATH) || entry_path(h, e, q, bit))
		n += 3;
	else if (e->literal && q->path.n >= e->literal &&
		 memcmp(h->p + h->head.strings.off + e->path.off, q->path.p, e->literal) == 0)
		n += 1;
	if (entry_method(e, bit))
		n += 2;
	return n;
}

static void refuse(const struct hits *h, const struct request_query *q, uint64_t bit,
		   struct verdict *ret)
{
	struct hit_at at = { 0 };
	struct img_entry e;
	unsigned best = 0, n;

	ret->verdict = VERDICT_DENY;
	ret->reason = REASON_NO_RULE;
	while (hits_each(h, false, &at, &e)) {
		n = nearness(h, &e, q, bit);
		if (n > best) {
			best = n;
			ret->nearest = verdict_nearest(h, &e);
		}
	}
	if (!best)
		ret->nearest = nearest_host(h, q->host);
}

/* An address literal as host, or an address that was dialled without a name. */
static void find(const struct policy *p, struct str host, const uint8_t *addr, struct hits *h)
{
	if (host.n && addr_parse(host, h->addr) == 0) {
		hits_find(p, (struct str){ 0 }, h);
		h->by_addr = true;
		return;
	}
	hits_find(p, host, h);
	if (host.n == 0 && addr) {
		memcpy(h->addr, addr, 16);
		h->by_addr = true;
	}
}

void policy_request(const struct policy *p, const struct request_query *q, struct verdict *ret)
{
	unsigned schemes = SCHEME_BIT(q->scheme), deny_schemes = schemes | SCHEME_BIT(SCHEME_TCP);
	uint64_t bit = method_bit(q->method), deny_bit = bit;
	struct hit_at at = { 0 };
	struct img_entry e;
	struct path_begin begin;
	struct hits h;

	*ret = (struct verdict){ .rule_index = UINT32_MAX };
	find(p, q->host, q->addr, &h);
	path_begin(q->path, &begin);
	/* The handshake is a GET, too: who denies that denies both. */
	if (bit == METHODS_WEBSOCKET)
		deny_bit |= METHODS_GET;
	/* A denied connection is denied in every request on it. */
	if (q->scheme == SCHEME_HTTPS)
		deny_schemes |= SCHEME_BIT(SCHEME_TLS);
	while (hits_path(&h, true, &begin, &at, &e)) {
		bool connection = e.schemes & (SCHEME_BIT(SCHEME_TCP) | SCHEME_BIT(SCHEME_TLS));

		if (!(e.schemes & deny_schemes) || !entry_port(&h, &e, q->port) ||
		    entry_expired(&e))
			continue;
		if (!connection) {
			bool git = e.flags & (ENTRY_GIT_FETCH | ENTRY_GIT_PUSH);

			if ((!git && !entry_method(&e, deny_bit)) || !entry_path(&h, &e, q, bit) ||
			    !entry_refs(&h, &e, q, bit, &ret->refs))
				continue;
		}
		verdict_rule(&h, &e, ret);
		soften(&h, ret);
		return;
	}
	at = (struct hit_at){ 0 };
	while (hits_path(&h, false, &begin, &at, &e)) {
		bool git = e.flags & (ENTRY_GIT_FETCH | ENTRY_GIT_PUSH);

		if (!(e.schemes & schemes) || !entry_port(&h, &e, q->port) ||
		    (!git && !entry_method(&e, bit)) || !entry_path(&h, &e, q, bit) ||
		    entry_expired(&e) || !entry_refs(&h, &e, q, bit, &ret->refs))
			continue;
		verdict_rule(&h, &e, ret);
		return;
	}
	refuse(&h, q, bit, ret);
	soften(&h, ret);
}

/* A rule over the whole of what it names: no path, every method. It can be said of a connection. */
static bool whole(const struct img_entry *e)
{
	return !(e->flags & (ENTRY_PATH | ENTRY_QUERY)) && e->methods == METHODS_ANY;
}

enum conn_way policy_connection(const struct policy *p, const struct conn_query *q,
				struct verdict *ret)
{
	bool spoken = q->scheme == SCHEME_HTTP || q->scheme == SCHEME_HTTPS;
	unsigned pass = SCHEME_BIT(SCHEME_TCP) | SCHEME_BIT(SCHEME_DIRECT);
	unsigned deny = SCHEME_BIT(SCHEME_TCP), open;
	struct hit_at at = { 0 };
	struct img_entry e, opens = { 0 };
	bool openable = false;
	struct hits h;

	*ret = (struct verdict){ .rule_index = UINT32_MAX,
				 .verdict = VERDICT_DENY,
				 .reason = REASON_NO_RULE };
	find(p, q->host, q->addr, &h);
	if (q->addr) { /* tcp:// and direct name what is dialled, whatever name is said over it */
		memcpy(h.addr, q->addr, 16);
		h.by_addr = true;
	}
	if (q->scheme == SCHEME_HTTPS || q->scheme == SCHEME_TLS) {
		pass |= SCHEME_BIT(SCHEME_TLS);
		deny |= SCHEME_BIT(SCHEME_TLS) | SCHEME_BIT(SCHEME_HTTPS);
	}
	if (q->scheme == SCHEME_HTTP)
		deny |= SCHEME_BIT(SCHEME_HTTP);
	open = SCHEME_BIT(q->scheme) & (SCHEME_BIT(SCHEME_HTTP) | SCHEME_BIT(SCHEME_HTTPS));
	while (hits_each(&h, true, &at, &e)) {
		if (!(e.schemes & deny) || !entry_port(&h, &e, q->port) || entry_expired(&e) ||
		    !whole(&e))
			continue;
		verdict_rule(&h, &e, ret);
		soften(&h, ret);
		if (spoken && (q->host.n || q->scheme == SCHEME_HTTP))
			return CONN_OPEN; /* each request on it is refused in words, or softened one
					     by one */
		return ret->verdict == VERDICT_WOULD_DENY ? CONN_PASS : CONN_REFUSE;
	}
	at = (struct hit_at){ 0 };
	while (hits_each(&h, false, &at, &e)) {
		if (!entry_port(&h, &e, q->port) || entry_expired(&e))
			continue;
		if (e.schemes & pass) {
			verdict_rule(&h, &e, ret);
			return CONN_PASS;
		}
		if ((e.schemes & open) && !openable) {
			opens = e;
			openable = true;
		}
	}
	if (openable) {
		verdict_rule(&h, &opens, ret);
		ret->credential = (struct str){ 0 }; /* that is a request's matter */
		return CONN_OPEN;
	}
	ret->nearest = nearest_host(&h, q->host);
	if (spoken && (q->host.n || q->scheme == SCHEME_HTTP)) {
		soften(&h, ret);
		return CONN_OPEN;
	}
	ret->reason = q->host.n ? REASON_PROTOCOL : REASON_NO_NAME;
	soften(&h, ret);
	return ret->verdict == VERDICT_WOULD_DENY ? CONN_PASS : CONN_REFUSE;
}

bool policy_direct(const struct policy *p, const uint8_t addr[16], uint16_t port, bool udp,
		   struct verdict *ret)
{
	struct hit_at at = { 0 };
	struct img_entry e;
	struct hits h;

	*ret = (struct verdict){ .rule_index = UINT32_MAX,
				 .verdict = VERDICT_DENY,
				 .reason = udp ? REASON_K_UDP : REASON_NO_RULE };
	find(p, (struct str){ 0 }, addr, &h);
	for (unsigned deny = 2; deny-- > 0; at = (struct hit_at){ 0 }) {
		while (hits_each(&h, deny, &at, &e)) {
			if (!(entry_direct(&e) & (udp ? DIRECT_UDP : DIRECT_TCP)) ||
			    !entry_port(&h, &e, port) || entry_expired(&e) ||
			    (port == DIRECT_NEVER_PORT && !deny))
				continue;
			verdict_rule(&h, &e, ret);
			return !deny;
		}
	}
	return false;
}
