// SPDX-License-Identifier: Apache-2.0
/*
 * What a query is answered with: see resolver.h; the sockets are in resolver_io.c, questions to an
 * engine in services.c. Hostile bytes:
 * every query (dns.c). A and AAAA of any well-formed name get synthetic addresses, so that a
 * refusal can be said in words later; all else gets an empty answer. A name gets one event when it
 * is new, a refused query one event while it is remembered, so that the job cannot flood the audit
 * by asking again.
 */
#include "proxy/resolver.h"

#include "proxy/names.h"
#include "proxy/resolver_io.h"
#include "proxy/services.h"
#include "proxy/upstream.h"
#include <errno.h>
#include <stdlib.h>

#define TTL_S 60
#define SERVICE_TTL_S 5 /* a container may be made anew with another address */
#define NOTED 256	/* hashes of queries that are told of once: refused ones, services */

struct resolver {
	struct proxy *px;
	struct resolver_io *io;
	struct services *services;
	struct str *search;
	unsigned nsearch;
	uint64_t noted[NOTED];
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
	r->services = services_new(px);
	r->io = resolver_io_new(px->loop, px->limits.dns_clients, resolver_answer, r);
	*ret = r;
	return 0;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	services_free(r->services);
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

int resolver_add_engine(struct resolver *r, uint64_t netns, int fd)
{
	return services_engine(r->services, netns, fd);
}

int resolver_services(struct resolver *r, const struct str *names, unsigned n,
		      unsigned *ret_left_out)
{
	return services_set(r->services, names, n, ret_left_out);
}

void resolver_close(struct resolver *r, uint64_t netns)
{
	services_leave(r->services, netns);
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

static uint64_t hash(const struct dns_query *q, const uint8_t *addr)
{
	uint64_t h = 0xcbf29ce484222325u ^ q->type;

	for (size_t i = 0; i < q->name_n; i++)
		h = (h ^ (uint8_t)q->name[i]) * 0x100000001b3u;
	for (size_t i = 0; addr && i < 16; i++)
		h = (h ^ addr[i]) * 0x100000001b3u;
	return h ^ h >> 32 ? h ^ h >> 32 : 1;
}

/* By each policy: the others narrow the first. The rule's id is the first's. */
static bool services_allowed(const struct proxy *px, struct str *ret_rule)
{
	struct str rule;

	for (unsigned i = 0; i < px->npolicies; i++) {
		if (!policy_services(&px->policies[i], &rule))
			return false;
		if (i == 0)
			*ret_rule = rule;
	}
	return px->npolicies > 0;
}

/* Was the same said a short while ago? */
static bool said_already(struct resolver *r, const struct dns_query *q, const uint8_t *addr)
{
	uint64_t h = hash(q, addr), *place = &r->noted[h % NOTED];

	if (*place == h)
		return true;
	*place = h;
	return false;
}

static void note_query(struct event *e, const struct dns_query *q, enum dns_rcode rcode)
{
	char name[DNS_NAME_TEXT], type[16];

	text_escape(name, sizeof(name), (struct str){ q->name, q->name_n });
	dns_type_name(q->type, type);
	event_text(e, FIELD_DNS_NAME, str_of(name));
	event_text(e, FIELD_DNS_TYPE, str_of(type));
	event_text(e, FIELD_DNS_RCODE, str_of(dns_rcode_name(rcode)));
}

static void note(struct resolver *r, const struct dns_query *q, enum event_verdict v,
		 enum reason reason, enum dns_rcode rcode, const uint8_t *addr4)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	uint8_t addr[16];
	struct event e;

	if (v == VERDICT_DENY && said_already(r, q, NULL))
		return;
	record_begin(r->px, &e, EVENT_DNS_QUERY, v, reason, NULL, NULL, STR(""));
	if (addr4) {
		memcpy(addr, mapped, 12);
		memcpy(addr + 12, addr4, 4);
		event_addr(&e, FIELD_DEST_IP, addr);
	}
	note_query(&e, q, rcode);
	record_note(r->px, &e);
}

/* message: what went wrong at the engine, or NULL. */
static void note_service(struct resolver *r, const struct dns_query *q, enum dns_rcode rcode,
			 const uint8_t *addr, const char *message)
{
	static const uint8_t none[16];
	enum event_verdict v = VERDICT_ALLOW;
	enum reason reason = REASON_RULE;
	struct str rule = STR("");
	struct event e;

	if (!services_allowed(r->px, &rule) || said_already(r, q, addr ? addr : none))
		return;
	if (!rule.n) {
		v = VERDICT_WOULD_DENY;
		reason = REASON_NO_RULE;
	}
	record_begin(r->px, &e, EVENT_DNS_QUERY, v, reason, NULL, &r->px->policies[0], rule);
	if (addr)
		event_addr(&e, FIELD_DEST_IP, addr);
	if (message)
		event_text(&e, FIELD_MESSAGE, str_of(message));
	note_query(&e, q, rcode);
	record_note(r->px, &e);
}

struct reply {
	enum dns_rcode rcode;
	uint8_t addr[16];
	size_t addr_n; /* 0: no data */
	uint32_t ttl;
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

/* A query that waits for the engine. */
struct later {
	struct resolver *r;
	struct resolver_asker who;
	struct dns_query q;
	uint8_t bytes[DNS_QUESTION_MAX]; /* head and question */
};

static size_t write_reply(const struct resolver_asker *who, uint8_t *to, size_t size,
			  const uint8_t *p, const struct dns_query *q, const struct reply *a)
{
	if (who->udp && size > q->udp_size)
		size = q->udp_size;
	return dns_answer(to, size, p, q, a->rcode, a->addr_n ? a->addr : NULL, a->addr_n, a->ttl);
}

static const char *engine_fault(int err)
{
	switch (err) {
	case 0:
		return NULL;
	case -ETIMEDOUT:
		return "the engine's resolver did not answer in time";
	case -EACCES:
		return "the engine's resolver named an address that no container has";
	default:
		return "the engine's resolver cannot be asked";
	}
}

static void service_found(void *owner, int err, const struct dns_found *found)
{
	struct later *l = owner;
	struct reply a = { .rcode = DNS_SERVFAIL, .ttl = SERVICE_TTL_S };
	uint8_t to[DNS_UDP_MAX];
	const uint8_t *addr = NULL;
	size_t n;

	if (err == -ECANCELED) {
		free(l);
		return;
	}
	if (!err && (found->rcode == DNS_NOERROR || found->rcode == DNS_NXDOMAIN))
		a.rcode = found->rcode;
	if (!err && found->n) {
		addr = found->addr[0];
		a.addr_n = l->q.type == DNS_A ? 4 : 16;
		memcpy(a.addr, addr + 16 - a.addr_n, a.addr_n);
		if (found->ttl < a.ttl)
			a.ttl = found->ttl;
	}
	note_service(l->r, &l->q, a.rcode, addr, engine_fault(err));
	n = write_reply(&l->who, to, sizeof(to), l->bytes, &l->q, &a);
	if (n)
		resolver_io_answer(l->r->io, &l->who, to, n);
	free(l);
}

/* true: the engine was asked. */
static bool ask_engine(struct resolver *r, const struct resolver_asker *who, const uint8_t *p,
		       const struct dns_query *q, struct str name)
{
	struct later *l = mem_new(sizeof(*l));
	int err;

	l->r = r;
	l->who = *who;
	l->q = *q;
	memcpy(l->bytes, p, 12 + q->question_n);
	err = services_ask(r->services, who->netns, name, q->type, service_found, l);
	if (!err)
		return true;
	free(l);
	if (err == -EBUSY)
		note(r, q, VERDICT_DENY, REASON_LIMIT, DNS_SERVFAIL, NULL);
	else
		note_service(r, q, DNS_SERVFAIL, NULL, engine_fault(err));
	return false;
}

/* A canonical name. true: the answer comes later. */
static bool reply_by_name(struct resolver *r, const struct resolver_asker *who, const uint8_t *p,
			  const struct dns_query *q, struct str name, struct reply *a)
{
	struct str rule;

	if (under(name, STR("localhost"))) {
		loopback(q, a);
	} else if (services_known(r->services, who->netns, name) &&
		   services_allowed(r->px, &rule)) {
		if (q->type != DNS_A && q->type != DNS_AAAA)
			note(r, q, VERDICT_DENY, REASON_DNS_TYPE, a->rcode, NULL);
		else if (ask_engine(r, who, p, q, name))
			return true;
		else
			a->rcode = DNS_SERVFAIL;
	} else if (unanswered(r, name)) {
		a->rcode = DNS_NXDOMAIN;
		note(r, q, VERDICT_DENY, REASON_DNS_NAME, a->rcode, NULL);
	} else if (q->type == DNS_A || q->type == DNS_AAAA) {
		synthetic(r, q, name, a);
	} else {
		note(r, q, VERDICT_DENY, REASON_DNS_TYPE, a->rcode, NULL);
	}
	return false;
}

static bool reply_to(struct resolver *r, const struct resolver_asker *who, const uint8_t *p,
		     const struct dns_query *q, struct reply *a)
{
	char text[HOST_MAX + 1];
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
		return reply_by_name(r, who, p, q, (struct str){ text, n }, a);
	}
	return false;
}

static size_t resolver_answer(void *owner, const struct resolver_asker *who, const uint8_t *p,
			      size_t n, uint8_t *to, size_t size)
{
	struct reply a = { .rcode = DNS_NOERROR, .ttl = TTL_S };
	struct resolver *r = owner;
	struct dns_query q = { 0 };
	int err;

	err = dns_parse(p, n, &q);
	if (err == -ENOMSG)
		return 0;
	if (err) {
		a.rcode = err == -EPROTONOSUPPORT ? DNS_NOTIMP : DNS_FORMERR;
		q.question_n = 0;
		q.edns = false;
		q.udp_size = 512;
	} else if (reply_to(r, who, p, &q, &a)) {
		return RESOLVER_LATER;
	}
	return write_reply(who, to, size, p, &q, &a);
}
