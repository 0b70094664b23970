// SPDX-License-Identifier: Apache-2.0
/*
 * What a query is answered with: see resolver.h; the sockets are in resolver_io.c. Hostile bytes:
 * every query (dns.c). A and AAAA of any well-formed name get synthetic addresses, so that a
 * refusal can be said in words later; all else gets an empty answer. A name gets one event when it
 * is new, a refused query one event while it is remembered, so that the job cannot flood the audit
 * by asking again.
 */
#include "proxy/resolver.h"

#include "proxy/names.h"
#include "proxy/resolver_io.h"
#include "proxy/upstream.h"
#include <errno.h>
#include <stdlib.h>

#define TTL_S 60
#define REFUSED 256 /* hashes of refused queries that were already noted */

struct resolver {
	struct proxy *px;
	struct resolver_io *io;
	struct str *search;
	unsigned nsearch;
	uint64_t refused[REFUSED];
};

static size_t resolver_answer(void *owner, const struct resolver_asker *who, const uint8_t *p,
			      size_t n, uint8_t *to, size_t size);

int resolver_new(struct proxy *px, const struct str *search, unsigned n, struct resolver **ret)
{
	struct resolver *r = mem_new(sizeof(*r));
	char text[HOST_MAX + 1];
	struct str s;
	size_t len;

	r->px = px;
	r->search = mem_new((n + 1) * sizeof(*r->search));
	for (unsigned i = 0; i < n; i++) {
		s = search[i];
		if (s.n && s.p[0] == '.') {
			s.p++;
			s.n--;
		}
		if (host_canonical(s, text, &len))
			continue; /* "." and the like append nothing */
		s = (struct str){ text, len };
		r->search[r->nsearch++] = (struct str){ mem_dup(s), len };
	}
	r->io = resolver_io_new(px->loop, px->limits.dns_clients, resolver_answer, r);
	*ret = r;
	return 0;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	resolver_io_free(r->io);
	for (unsigned i = 0; i < r->nsearch; i++)
		free((char *)r->search[i].p);
	free(r->search);
	free(r);
}

int resolver_add_udp(struct resolver *r, uint64_t netns, int fd)
{
	return resolver_io_udp(r->io, netns, fd);
}

int resolver_add_tcp(struct resolver *r, uint64_t netns, int fd)
{
	return resolver_io_tcp(r->io, netns, fd);
}

void resolver_close(struct resolver *r, uint64_t netns)
{
	resolver_io_close(r->io, netns);
}

static bool under(struct str name, struct str suffix)
{
	struct str tail;

	if (name.n < suffix.n)
		return false;
	tail = (struct str){ name.p + name.n - suffix.n, suffix.n };
	return str_eq(tail, suffix) && (name.n == suffix.n || name.p[name.n - suffix.n - 1] == '.');
}

/* Does a rule (on the usual ports) or the configuration speak of a name that would else not be
 * answered? */
static bool spoken_of(const struct proxy *px, struct str name)
{
	static const struct {
		enum scheme scheme;
		uint16_t port;
	} usual[] = { { SCHEME_HTTPS, 443 }, { SCHEME_HTTP, 80 },   { SCHEME_TCP, 22 },
		      { SCHEME_TCP, 5432 },  { SCHEME_TCP, 3306 },  { SCHEME_TCP, 6379 },
		      { SCHEME_HTTP, 8080 }, { SCHEME_HTTPS, 8443 } };
	const struct policy *decided;

	if (upstreams_host(px->upstreams, name))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
		struct conn_query q = { .scheme = usual[i].scheme,
					.host = name,
					.port = usual[i].port };
		struct verdict v = { 0 };

		if (decide_connection(px, &q, &v, &decided) != CONN_REFUSE &&
		    v.verdict == VERDICT_ALLOW)
			return true;
	}
	return false;
}

static bool unanswered(const struct resolver *r, struct str name)
{
	bool hit = !memchr(name.p, '.', name.n) || under(name, STR("local"));

	for (unsigned i = 0; i < r->nsearch && !hit; i++)
		hit = under(name, r->search[i]);
	return hit && !spoken_of(r->px, name);
}

static uint64_t hash(const struct dns_query *q)
{
	uint64_t h = 0xcbf29ce484222325u ^ q->type;

	for (size_t i = 0; i < q->name_n; i++)
		h = (h ^ (uint8_t)q->name[i]) * 0x100000001b3u;
	return h ^ h >> 32 ? h ^ h >> 32 : 1;
}

static void note(struct resolver *r, const struct dns_query *q, enum event_verdict v,
		 enum reason reason, enum dns_rcode rcode, const uint8_t *addr4)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	uint64_t h = hash(q), *place = &r->refused[h % REFUSED];
	char name[DNS_NAME_TEXT], type[16];
	uint8_t addr[16];
	struct event e;

	if (v == VERDICT_DENY) {
		if (*place == h)
			return;
		*place = h;
	}
	text_escape(name, sizeof(name), (struct str){ q->name, q->name_n });
	dns_type_name(q->type, type);
	record_begin(r->px, &e, EVENT_DNS_QUERY, v, reason, NULL, NULL, STR(""));
	if (addr4) {
		memcpy(addr, mapped, 12);
		memcpy(addr + 12, addr4, 4);
		event_addr(&e, FIELD_DEST_IP, addr);
	}
	event_text(&e, FIELD_DNS_NAME, str_of(name));
	event_text(&e, FIELD_DNS_TYPE, str_of(type));
	event_text(&e, FIELD_DNS_RCODE, str_of(dns_rcode_name(rcode)));
	record_note(r->px, &e);
}

struct reply {
	enum dns_rcode rcode;
	uint8_t addr[16];
	size_t addr_n; /* 0: no data */
};

static void loopback(const struct dns_query *q, struct reply *a)
{
	if (q->type == DNS_A) {
		memcpy(a->addr, "\x7f\x00\x00\x01", 4);
		a->addr_n = 4;
	} else if (q->type == DNS_AAAA) {
		memset(a->addr, 0, 15);
		a->addr[15] = 1;
		a->addr_n = 16;
	}
}

static void synthetic(struct resolver *r, const struct dns_query *q, struct str name,
		      struct reply *a)
{
	uint8_t addr4[4];
	uint32_t slot;
	bool fresh;
	int err;

	err = names_add(r->px->names, name, &slot, &fresh);
	if (err) {
		a->rcode = DNS_SERVFAIL;
		note(r, q, VERDICT_DENY, REASON_LIMIT, a->rcode, NULL);
		return;
	}
	names_addr4(r->px->names, slot, addr4);
	if (fresh)
		note(r, q, VERDICT_ALLOW, REASON_NONE, DNS_NOERROR, addr4);
	if (q->type == DNS_A) {
		memcpy(a->addr, addr4, 4);
		a->addr_n = 4;
	} else {
		names_addr6(r->px->names, slot, a->addr);
		a->addr_n = 16;
	}
}

static void reply_to(struct resolver *r, const struct dns_query *q, struct reply *a)
{
	char text[HOST_MAX + 1];
	struct str name;
	size_t n;

	if (q->edns && q->edns_version) {
		a->rcode = DNS_BADVERS;
	} else if (q->class != 1) {
		a->rcode = DNS_REFUSED;
	} else if (!q->name_n) {
		if (q->type != DNS_NS && q->type != DNS_SOA)
			note(r, q, VERDICT_DENY, REASON_DNS_TYPE, a->rcode, NULL);
	} else if (q->odd || host_canonical((struct str){ q->name, q->name_n }, text, &n)) {
		/* Service labels (_ldap._tcp) and reverse names end up here or below: no data of
		 * theirs leaves. */
		a->rcode = DNS_NXDOMAIN;
		note(r, q, VERDICT_DENY, REASON_BAD_NAME, a->rcode, NULL);
	} else {
		name = (struct str){ text, n };
		if (under(name, STR("localhost"))) {
			loopback(q, a);
		} else if (unanswered(r, name)) {
			a->rcode = DNS_NXDOMAIN;
			note(r, q, VERDICT_DENY, REASON_DNS_NAME, a->rcode, NULL);
		} else if (q->type == DNS_A || q->type == DNS_AAAA) {
			synthetic(r, q, name, a);
		} else {
			note(r, q, VERDICT_DENY, REASON_DNS_TYPE, a->rcode, NULL);
		}
	}
}

static size_t resolver_answer(void *owner, const struct resolver_asker *who, const uint8_t *p,
			      size_t n, uint8_t *to, size_t size)
{
	struct resolver *r = owner;
	struct reply a = { .rcode = DNS_NOERROR };
	struct dns_query q = { 0 };
	int err;

	err = dns_parse(p, n, &q);
	if (err == -ENOMSG)
		return 0;
	if (err) {
		a.rcode = err == -EPROTONOSUPPORT ? DNS_NOTIMP : DNS_FORMERR;
		q.question_n = 0;
		q.edns = false;
	} else {
		reply_to(r, &q, &a);
	}
	if (who->udp && size > q.udp_size)
		size = q.udp_size;
	return dns_answer(to, size, p, &q, a.rcode, a.addr_n ? a.addr : NULL, a.addr_n, TTL_S);
}
