// SPDX-License-Identifier: Apache-2.0
/*
 * Upstreams: see upstream.h. One ask goes: pool, else addresses (the configuration's hosts, else
 * the nameservers), each address judged, dialled, handshaken. Trusts the configuration; hostile
 * bytes are read by resolve.c, uptls.c and verify.c only.
 */
#include "proxy/upstream.h"

#include "proxy/address.h"
#include "proxy/dial.h"
#include "proxy/hello.h"
#include "proxy/h2pool.h"
#include "proxy/parent.h"
#include "proxy/pool.h"
#include "base/resolve.h"
#include "proxy/uptls.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HOST_ADDRS 8
#define LEARNED 256 /* hosts, of which it is known what they speak */

struct host {
	char name[HOST_MAX + 1];
	size_t n;
	uint8_t addrs[HOST_ADDRS][16];
	unsigned naddrs;
};

struct learned {
	char host[HOST_MAX + 1];
	size_t n;
	uint16_t port;
	enum upstream_speaks speaks;
};

struct upstreams {
	struct resolve *resolve;
	struct uptls *tls;
	struct pool *pool;
	struct h2pool *h2;
	struct learned learned[LEARNED];
	unsigned learned_at;
	struct upstream_want *dialling; /* that could become connections for others too */
	struct parent *parent;		/* NULL: none */
	struct host *hosts;
	size_t nhosts;
	struct address_block *blocks; /* allow, local, synthetic */
	struct address_rules rules;
};

struct upstream_want {
	struct proxy *px;
	struct pool_key key;
	struct timer now;
	struct resolve_ask *ask;
	struct dial *dial;
	struct pooled *ready;
	struct upstream_fault fault;
	bool recorded, h2, fresh;
	enum shape_h2 offer;
	/* Asks of one key wait for the first one's dial: it may serve them all. */
	struct upstream_want *next; /* in dialling, or among those that wait for one of these */
	struct upstream_want *leader, *waiting;
	bool by_parent, shaped;
	struct hello_shape shape;
	struct client_cert *cert;
	upstream_fn fn;
	void *owner;
};

static int read_host(struct str s, struct host *ret)
{
	const char *equals = memchr(s.p, '=', s.n), *end = s.p + s.n, *at, *comma;

	if (!equals ||
	    host_canonical((struct str){ s.p, (size_t)(equals - s.p) }, ret->name, &ret->n))
		return -EINVAL;
	for (at = equals + 1; at < end; at = comma + 1) {
		comma = memchr(at, ',', (size_t)(end - at));
		if (!comma)
			comma = end;
		if (ret->naddrs == HOST_ADDRS ||
		    address_parse((struct str){ at, (size_t)(comma - at) },
				  ret->addrs[ret->naddrs]))
			return -EINVAL;
		ret->naddrs++;
	}
	return ret->naddrs ? 0 : -EINVAL;
}

static int read_blocks(const struct str *list, unsigned n, struct address_block *to)
{
	for (unsigned i = 0; i < n; i++)
		if (address_block_parse(list[i], &to[i]))
			return -EINVAL;
	return 0;
}

static int read_setup(struct upstreams *u, const struct upstream_setup *s)
{
	unsigned n = s->nallow_private + s->nlocal + s->nsynthetic;
	struct address_block *allow, *local, *synthetic;

	u->hosts = mem_new((s->nhosts + 1) * sizeof(*u->hosts));
	for (unsigned i = 0; i < s->nhosts; i++)
		if (read_host(s->hosts[i], &u->hosts[u->nhosts++]))
			return -EINVAL;
	u->blocks = mem_new((n + 1) * sizeof(*u->blocks));
	allow = u->blocks;
	local = allow + s->nallow_private;
	synthetic = local + s->nlocal;
	u->rules = (struct address_rules){ allow,     s->nallow_private, local,
					   s->nlocal, synthetic,	 s->nsynthetic };
	if (read_blocks(s->allow_private, s->nallow_private, allow) ||
	    read_blocks(s->local, s->nlocal, local) ||
	    read_blocks(s->synthetic, s->nsynthetic, synthetic))
		return -EINVAL;
	return 0;
}

static const struct h2pool_times h2_times = {
	.rest = 5000, .quiet = 10000, .answer = 15000, .doubt = 2000
};

int upstreams_new(struct proxy *px, const struct upstream_setup *s, struct upstreams **ret)
{
	struct upstreams *u = mem_new(sizeof(*u));
	int r;

	u->tls = uptls_new(s->root_fds, s->nroots, px->limits.chain_bytes);
	u->h2 = h2pool_new(px, &h2_times);
	u->pool = pool_new(px->loop, px->limits.upstream_idle, px->limits.upstream_idle_ms);
	r = read_setup(u, s);
	if (!r && s->parent.n)
		r = parent_new(s->parent, s->no_proxy, s->nno_proxy, &u->parent);
	if (!r)
		r = resolve_new(px->loop, s->nameservers, s->nnameservers, px->limits.resolve_ms,
				&u->resolve);
	if (r) {
		upstreams_free(u);
		return r;
	}
	*ret = u;
	return 0;
}

void upstreams_free(struct upstreams *u)
{
	if (!u)
		return;
	pool_free(u->pool);
	h2pool_free(u->h2);
	resolve_free(u->resolve);
	uptls_free(u->tls);
	parent_free(u->parent);
	free(u->hosts);
	free(u->blocks);
	free(u);
}

void upstreams_leave(struct upstreams *u, uint64_t netns)
{
	pool_leave(u->pool, netns);
	h2pool_leave(u->h2, netns);
}

/* NULL: the configuration gives it no address. */
static const struct host *host_of(const struct upstreams *u, struct str name)
{
	for (size_t i = 0; name.n && i < u->nhosts; i++)
		if (str_eq((struct str){ u->hosts[i].name, u->hosts[i].n }, name))
			return &u->hosts[i];
	return NULL;
}

static struct str parent_name(const struct upstreams *u)
{
	return (struct str){ u->parent->host, u->parent->host_n };
}

bool upstreams_host(const struct upstreams *u, struct str name)
{
	return host_of(u, name) != NULL;
}

/* ---- what a host speaks ---- */

static struct learned *find_learned(const struct upstreams *u, struct str host, uint16_t port)
{
	/* They fill up from the first on. */
	for (unsigned i = 0; i < LEARNED && u->learned[i].n; i++) {
		const struct learned *l = &u->learned[i];

		if (l->port == port && str_eq((struct str){ l->host, l->n }, host))
			return (struct learned *)l;
	}
	return NULL;
}

enum upstream_speaks upstreams_speaks(const struct upstreams *u, struct str host, uint16_t port)
{
	const struct learned *l = host.n ? find_learned(u, host, port) : NULL;

	return l ? l->speaks : SPEAKS_UNKNOWN;
}

static void learn(struct upstreams *u, const struct pool_key *key, enum upstream_speaks speaks)
{
	struct str host = { key->host, key->host_n };
	struct learned *l = host.n ? find_learned(u, host, key->port) : NULL;

	if (!l && host.n) {
		l = &u->learned[u->learned_at++ % LEARNED];
		memcpy(l->host, host.p, host.n);
		l->n = host.n;
		l->port = key->port;
	}
	if (l && (speaks != SPEAKS_H2 || l->speaks != SPEAKS_H2_ONLY))
		l->speaks = speaks;
}

static bool offers_h2(const struct upstream_want *w)
{
	return shape_offers_h2(w->shaped ? &w->shape : NULL, w->offer);
}

/* ---- asks that wait for another's dial ---- */

static void ask_again(struct timer *t);
static void finish_later(struct timer *t);

static void leave(struct upstream_want **list, struct upstream_want *w)
{
	while (*list && *list != w)
		list = &(*list)->next;
	if (*list)
		*list = w->next;
	w->next = NULL;
}

/* The dial of w is over, or given up: those that waited for it look again, or fail as it did. */
static void release(struct upstream_want *w, bool failed)
{
	struct upstream_want *one;

	leave(&w->px->upstreams->dialling, w);
	while ((one = w->waiting)) {
		w->waiting = one->next;
		one->next = one->leader = NULL;
		if (failed)
			one->fault = w->fault;
		timer_set(w->px->loop, &one->now, 0, failed ? finish_later : ask_again, one);
	}
}

static void want_free(struct upstream_want *w)
{
	if (w->leader)
		leave(&w->leader->waiting, w);
	release(w, false);
	client_cert_free(w->cert);
	timer_del(&w->now);
	free(w);
}

static void finish(struct upstream_want *w)
{
	struct pooled *ready = w->ready;
	struct upstream_fault fault = w->fault;
	upstream_fn fn = w->fn;
	void *owner = w->owner;

	release(w, !ready);
	want_free(w);
	fn(owner, ready ? &ready->u : NULL, ready ? NULL : &fault);
}

static void finish_later(struct timer *t)
{
	finish(t->owner);
}

static void look(struct upstream_want *w, bool fresh);

/* A server of HTTP/2 alone, and a client that did not offer it: no dial of its shape can succeed,
 * and what is to be sent can go by HTTP/2. */
static bool refused_for_h2(struct upstream_want *w, const struct upstream_fault *fault)
{
	if (!fault->alpn || !w->h2 || offers_h2(w))
		return false;
	learn(w->px->upstreams, &w->key, SPEAKS_H2_ONLY);
	w->offer = SHAPE_H2_ALWAYS;
	look(w, w->fresh);
	return true;
}

static void fail(struct upstream_want *w, enum reason reason, const char *text)
{
	w->fault.reason = reason;
	(void)snprintf(w->fault.text, sizeof(w->fault.text), "%s", text);
}

static void dialled(void *owner, struct stream *s, const uint8_t addr[16],
		    const struct upstream_fault *fault)
{
	struct upstream_want *w = owner;
	struct pooled *c;

	w->dial = NULL;
	if (s && w->key.tls && uptls_verified(stream_ssl(s)) && offers_h2(w) &&
	    uptls_chose_h2(stream_ssl(s))) {
		learn(w->px->upstreams, &w->key, SPEAKS_H2);
		h2pool_add(w->px->upstreams->h2, s, &w->key, addr);
		w->ready = h2pool_take(w->px->upstreams->h2, &w->key);
		if (!w->ready)
			fail(w, REASON_UPSTREAM_LOST, "it closed the connection");
	} else if (s) {
		if (offers_h2(w))
			learn(w->px->upstreams, &w->key, SPEAKS_H1);
		c = mem_new(sizeof(*c));
		c->u.stream = s;
		memcpy(c->u.addr, addr, 16);
		c->u.verified = w->key.tls && uptls_verified(stream_ssl(s));
		c->key = w->key;
		w->ready = c;
		if (w->key.tls && !c->u.verified) {
			w->ready = NULL;
			pooled_free(c);
			fail(w, REASON_CERTIFICATE, "the certificate was not verified");
		}
	} else if (refused_for_h2(w, fault)) {
		return;
	} else {
		w->fault = *fault;
	}
	finish(w);
}

/* Does a rule of the job's policy name this very address? Those are opened in the cage too. */
static bool named_by_rule(const struct proxy *px, const uint8_t addr[16], uint16_t port)
{
	struct policy_block b;
	size_t at = 0;

	if (!px->npolicies)
		return false;
	while (policy_each_block(&px->policies[0], &at, &b)) {
		struct address_block block = { .prefix = b.prefix };

		memcpy(block.addr, b.addr, 16);
		if (port >= b.port_lo && port <= b.port_hi && address_in(addr, &block))
			return true;
	}
	return false;
}

/* Keeps the addresses that may be dialled and starts, or fails in words. Later: from inside
 * upstream_get. */
static int start_dial(struct upstream_want *w, const uint8_t (*addrs)[16], unsigned n)
{
	struct proxy *px = w->px;
	struct upstreams *u = px->upstreams;
	struct dial_want d = { .port = w->key.port,
			       .tls = w->key.tls ? u->tls : NULL,
			       .host = { w->key.host, w->key.host_n },
			       .parent = w->by_parent ? u->parent : NULL,
			       .netns = w->key.netns,
			       .cert = w->cert,
			       .recorded = w->recorded,
			       .shape = w->shaped ? &w->shape : NULL,
			       .h2 = w->offer,
			       .connect_ms = px->limits.connect_ms,
			       .handshake_ms = px->limits.handshake_ms };
	enum address_class class, refused = ADDRESS_PUBLIC;
	uint16_t port = w->by_parent ? u->parent->port : w->key.port;
	/* The configuration's own word, and in the cage with its port: nothing is left to judge. */
	bool named = w->by_parent && (!u->parent->host_n || host_of(u, parent_name(u)));
	const uint8_t *bad = NULL;
	char text[46];

	for (unsigned i = 0; i < n && d.n < RESOLVE_MAX; i++) {
		class = named ? ADDRESS_PUBLIC : address_judge(&u->rules, addrs[i]);
		if (class != ADDRESS_PUBLIC &&
		    (class == ADDRESS_SYNTHETIC || !named_by_rule(px, addrs[i], port))) {
			refused = class;
			bad = addrs[i];
			continue;
		}
		memcpy(d.addrs[d.n++], addrs[i], 16);
	}
	if (d.n) {
		w->dial = dial_start(px, &d, dialled, w);
		return 0;
	}
	w->fault.reason = REASON_ADDRESS;
	if (bad) {
		address_text(bad, text);
		(void)snprintf(w->fault.text, sizeof(w->fault.text),
			       "%s %s (%s), which is never dialled unless allow_private names it",
			       w->by_parent ? "the parent proxy is at" : "it leads to", text,
			       address_class_name(refused));
	} else {
		fail(w, REASON_RESOLVE, "the name has no address");
	}
	return -EACCES;
}

static void resolved(void *owner, int err, const uint8_t (*addrs)[16], unsigned n)
{
	struct upstream_want *w = owner;

	w->ask = NULL;
	if (err == -ENOENT)
		fail(w, REASON_RESOLVE,
		     w->by_parent ? "there is no such name as the parent proxy's"
				  : "there is no such name");
	else if (err == -ETIMEDOUT)
		fail(w, REASON_TIMEOUT, "the nameservers did not answer in time");
	else if (err)
		fail(w, REASON_RESOLVE, "the nameservers failed");
	else
		err = start_dial(w, addrs, n);
	if (err)
		finish(w);
}

static void find_addresses(struct upstream_want *w)
{
	struct upstreams *u = w->px->upstreams;
	struct str name = { w->key.host, w->key.host_n };
	const uint8_t(*addrs)[16] = (const uint8_t(*)[16])w->key.addr;
	const struct host *h = host_of(u, name);
	unsigned n = 1;

	/* Addresses and the configuration's own hosts are dialled by us. */
	if (!h && parent_takes(u->parent, name, w->key.port)) {
		w->by_parent = true;
		name = parent_name(u);
		addrs = (const uint8_t(*)[16])u->parent->addr;
		h = host_of(u, name);
	}
	if (h) {
		addrs = (const uint8_t(*)[16])h->addrs;
		n = h->naddrs;
	}
	if (name.n && !h)
		w->ask = resolve_get(u->resolve, name, resolved, w);
	else if (start_dial(w, addrs, n))
		timer_set(w->px->loop, &w->now, 0, finish_later, w);
}

/* From the pools, or by another's dial, or by one of its own. */
static void look(struct upstream_want *w, bool fresh)
{
	struct upstreams *u = w->px->upstreams;
	struct str host = { w->key.host, w->key.host_n };
	enum upstream_speaks speaks = upstreams_speaks(u, host, w->key.port);
	struct upstream_want *d;

	if (w->h2 && speaks == SPEAKS_H2_ONLY)
		w->offer = SHAPE_H2_ALWAYS;
	if (!fresh && w->h2)
		w->ready = h2pool_take(u->h2, &w->key);
	if (!fresh && !w->ready)
		w->ready = pool_take(u->pool, &w->key);
	if (w->ready) {
		timer_set(w->px->loop, &w->now, 0, finish_later, w);
		return;
	}
	/* Who offers no HTTP/2 waits only if the other's dial is sure to serve it, and leads
	 * nobody.
	 */
	if (w->h2 && (offers_h2(w) ? speaks != SPEAKS_H1 : speaks == SPEAKS_H2)) {
		for (d = u->dialling; d && !pool_same(&d->key, &w->key); d = d->next)
			;
		if (d) {
			w->leader = d;
			w->next = d->waiting;
			d->waiting = w;
			return;
		}
		if (offers_h2(w)) {
			w->next = u->dialling;
			u->dialling = w;
		}
	}
	find_addresses(w);
}

static void ask_again(struct timer *t)
{
	look(t->owner, false);
}

struct upstream_want *upstream_get(struct proxy *px, const struct upstream_ask *ask, upstream_fn fn,
				   void *owner)
{
	struct upstream_want *w = mem_new(sizeof(*w));

	w->px = px;
	w->fn = fn;
	w->owner = owner;
	w->key.port = ask->port;
	w->key.netns = ask->netns;
	w->key.tls = ask->tls;
	w->recorded = ask->recorded;
	w->shaped = ask->shape != NULL;
	if (w->shaped)
		w->shape = *ask->shape;
	w->h2 = ask->h2 && ask->tls;
	w->offer = w->h2 ? SHAPE_H2_FOLLOW : SHAPE_H2_NEVER;
	w->fresh = ask->fresh;
	if (ask->host.n > HOST_MAX || ask->credential.n > sizeof(w->key.credential) ||
	    (!ask->host.n && !ask->addr)) {
		fail(w, REASON_BAD_NAME, "there is neither a name nor an address to dial");
		timer_set(px->loop, &w->now, 0, finish_later, w);
		return w;
	}
	if (ask->host.n)
		memcpy(w->key.host, ask->host.p, ask->host.n);
	else
		memcpy(w->key.addr, ask->addr, 16);
	w->key.host_n = ask->host.n;
	if (ask->credential.n)
		memcpy(w->key.credential, ask->credential.p, ask->credential.n);
	w->key.credential_n = ask->credential.n;
	w->cert = client_cert_hold(ask->cert);
	w->key.cert = client_cert_number(w->cert);
	look(w, w->fresh);
	return w;
}

void upstream_cancel(struct upstream_want *w)
{
	if (w->ask)
		resolve_cancel(w->ask);
	dial_cancel(w->dial);
	if (w->ready)
		pooled_free(w->ready);
	want_free(w);
}

void upstream_put(struct proxy *px, struct upstream *u, bool reusable)
{
	struct pooled *c = (struct pooled *)u;

	if (u->lane) {
		pooled_free(c);
		return;
	}
	stream_want(u->stream, NULL, NULL, NULL);
	if (reusable && !px->stopping)
		pool_put(px->upstreams->pool, c);
	else
		pooled_free(c);
}

void upstream_want(struct upstream *u, stream_fn on_read, stream_fn on_write, void *owner)
{
	if (u->lane)
		h2_lane_want(u->lane, on_read, on_write, NULL, owner);
	else
		stream_want(u->stream, on_read, on_write, owner);
}

struct stream *upstream_take(struct proxy *px, struct upstream *u)
{
	struct pooled *c = (struct pooled *)u;
	struct stream *s = c->u.stream;

	free(c);
	return s;
}
