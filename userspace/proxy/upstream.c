// SPDX-License-Identifier: Apache-2.0
/*
 * Upstreams: see upstream.h. One ask goes: pool, else addresses (the configuration's hosts, else
 * the nameservers), each address judged, dialled, handshaken. Trusts the configuration; hostile
 * bytes are read by resolve.c, uptls.c and verify.c only.
 */
#include "proxy/upstream.h"

#include "proxy/address.h"
#include "proxy/told.h"
#include "proxy/upstream_in.h"
#include "proxy/uptls.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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
	r = hosts_read(&u->hosts, s);
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
	while (u->ahead)
		upstream_cancel(u->ahead);
	while (u->begun)
		upstream_cancel(u->begun);
	pool_free(u->pool);
	h2pool_free(u->h2);
	resolve_free(u->resolve);
	uptls_free(u->tls);
	parent_free(u->parent);
	hosts_done(&u->hosts);
	free(u);
}

void upstreams_warm(struct upstreams *u, SSL *server)
{
	uptls_warm(u->tls, server);
}

void upstreams_leave(struct upstreams *u, uint64_t netns)
{
	ahead_leave(u, netns);
	pool_leave(u->pool, netns);
	h2pool_leave(u->h2, netns);
}

static struct str parent_name(const struct upstreams *u)
{
	return (struct str){ u->parent->host, u->parent->host_n };
}

bool upstreams_by_parent(const struct upstreams *u, struct str host, uint16_t port)
{
	return !hosts_find(&u->hosts, host) && parent_takes(u->parent, host, port);
}

bool upstreams_host(const struct upstreams *u, struct str name)
{
	return hosts_find(&u->hosts, name) != NULL;
}

enum upstream_speaks upstreams_speaks(const struct upstreams *u, struct str host, uint16_t port)
{
	return speaks_of(&u->speaks, host, port);
}

static bool offers_h2(const struct upstream_want *w)
{
	return shape_offers_h2(w->shaped ? &w->shape : NULL, w->offer);
}

/* ---- asks that wait for another's dial ---- */

static void ask_again(struct timer *t);
static void finish_later(struct timer *t);

void want_leave(struct upstream_want **list, struct upstream_want *w)
{
	while (*list && *list != w)
		list = &(*list)->next;
	if (*list)
		*list = w->next;
	w->next = NULL;
}

static struct upstream_want **list_of(const struct upstream_want *w)
{
	struct upstreams *u = w->px->upstreams;

	if (w->begun)
		return &u->begun;
	return w->ahead ? &u->ahead : &u->dialling;
}

void want_release(struct upstream_want *w, bool failed)
{
	struct upstream_want *one;

	want_leave(list_of(w), w);
	while ((one = w->waiting)) {
		w->waiting = one->next;
		one->next = one->leader = NULL;
		if (failed)
			one->fault = w->fault;
		timer_set(w->px->loop, &one->now, 0, failed ? finish_later : ask_again, one);
	}
}

void want_free(struct upstream_want *w)
{
	if (w->leader)
		want_leave(&w->leader->waiting, w);
	want_release(w, false);
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

	if (w->ahead) {
		ahead_finish(w);
		return;
	}
	if (ready)
		ready->ahead = NULL;
	want_release(w, !ready);
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
	if (!fault->alpn || !w->h2 || w->ahead || offers_h2(w))
		return false;
	speaks_learn(&w->px->upstreams->speaks, &w->key, SPEAKS_H2_ONLY);
	w->offer = SHAPE_H2_ALWAYS;
	look(w, w->fresh);
	return true;
}

static void fail(struct upstream_want *w, enum reason reason, const char *text)
{
	w->fault.reason = reason;
	(void)snprintf(w->fault.text, sizeof(w->fault.text), "%s", text);
}

void want_dialled(void *owner, struct stream *s, const uint8_t addr[16],
		  const struct upstream_fault *fault)
{
	struct upstream_want *w = owner;
	struct pooled *c;

	w->dial = NULL;
	if (s && w->key.tls && uptls_verified(stream_ssl(s)) && offers_h2(w) &&
	    uptls_chose_h2(stream_ssl(s))) {
		speaks_learn(&w->px->upstreams->speaks, &w->key, SPEAKS_H2);
		h2pool_add(w->px->upstreams->h2, s, &w->key, addr);
		if (w->ahead) /* that pool keeps no account of who asked */
			told_given_up(w->px, (struct str){ w->key.host, w->key.host_n }, addr,
				      w->key.port);
		else
			w->ready = h2pool_take(w->px->upstreams->h2, &w->key);
		if (!w->ready && !w->ahead)
			fail(w, REASON_UPSTREAM_LOST, "it closed the connection");
	} else if (s) {
		if (offers_h2(w))
			speaks_learn(&w->px->upstreams->speaks, &w->key, SPEAKS_H1);
		c = mem_new(sizeof(*c));
		c->u.stream = s;
		memcpy(c->u.addr, addr, 16);
		c->u.verified = w->key.tls && uptls_verified(stream_ssl(s));
		c->u.reused = w->taken && !w->key.tls; /* it may have ended while it rested */
		c->key = w->key;
		w->ready = c;
		if (w->key.tls && !c->u.verified) {
			w->ready = NULL;
			pooled_free(c);
			fail(w, REASON_CERTIFICATE, "the certificate was not verified");
		}
	} else if (refused_for_h2(w, fault)) {
		return;
	} else if (fault->lost && w->taken) {
		w->taken = false;
		want_find(w);
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

struct dial_want want_dial(const struct upstream_want *w)
{
	const struct upstreams *u = w->px->upstreams;

	return (struct dial_want){ .port = w->key.port,
				   .tls = w->key.tls ? u->tls : NULL,
				   .host = { w->key.host, w->key.host_n },
				   .parent = w->by_parent ? u->parent : NULL,
				   .netns = w->key.netns,
				   .cert = w->cert,
				   .recorded = w->recorded,
				   .ahead = w->ahead,
				   .hold = w->begun,
				   .shape = w->shaped ? &w->shape : NULL,
				   .h2 = w->offer,
				   .connect_ms = w->px->limits.connect_ms,
				   .handshake_ms = w->px->limits.handshake_ms };
}

/* Keeps the addresses that may be dialled and starts, or fails in words. Later: from inside
 * upstream_get. */
static int start_dial(struct upstream_want *w, const uint8_t (*addrs)[16], unsigned n)
{
	struct proxy *px = w->px;
	struct upstreams *u = px->upstreams;
	struct dial_want d = want_dial(w);
	enum address_class class, refused = ADDRESS_PUBLIC;
	uint16_t port = w->by_parent ? u->parent->port : w->key.port;
	/* The configuration's own word, and in the cage with its port: nothing is left to judge. */
	bool named = w->by_parent && (!u->parent->host_n || hosts_find(&u->hosts, parent_name(u)));
	const uint8_t *bad = NULL;
	char text[46];

	for (unsigned i = 0; i < n && d.n < RESOLVE_MAX; i++) {
		class = named ? ADDRESS_PUBLIC : address_judge(&u->hosts.rules, addrs[i]);
		if (class != ADDRESS_PUBLIC &&
		    (class == ADDRESS_SYNTHETIC || !named_by_rule(px, addrs[i], port))) {
			refused = class;
			bad = addrs[i];
			continue;
		}
		memcpy(d.addrs[d.n++], addrs[i], 16);
	}
	if (d.n) {
		w->dial = dial_start(px, &d, want_dialled, w);
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
	struct upstream_want *w = owner, *heir = w->heir;

	w->ask = NULL;
	if (heir) {
		heir->heir_of = NULL;
		want_free(w);
		w = heir;
	}
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

void want_find(struct upstream_want *w)
{
	struct upstreams *u = w->px->upstreams;
	struct str name = { w->key.host, w->key.host_n };
	const uint8_t(*addrs)[16] = (const uint8_t(*)[16])w->key.addr;
	const struct host *h = hosts_find(&u->hosts, name);
	unsigned n = 1;

	if (!w->begun && ahead_take(w))
		return;
	/* Addresses and the configuration's own hosts are dialled by us. */
	if (upstreams_by_parent(u, name, w->key.port)) {
		w->by_parent = true;
		name = parent_name(u);
		addrs = (const uint8_t(*)[16])u->parent->addr;
		h = hosts_find(&u->hosts, name);
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
	for (d = fresh ? NULL : u->ahead; d; d = d->next) {
		if (!d->waiting && pool_same(&d->key, &w->key)) {
			w->leader = d;
			d->waiting = w;
			return;
		}
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
	want_find(w);
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
	w->recorded = ask->recorded;
	w->shaped = ask->shape != NULL;
	if (w->shaped)
		w->shape = *ask->shape;
	w->h2 = ask->h2 && ask->tls;
	w->offer = w->h2 ? SHAPE_H2_FOLLOW : SHAPE_H2_NEVER;
	w->fresh = ask->fresh;
	if (!pool_key_of(ask, &w->key)) {
		fail(w, REASON_BAD_NAME, "there is neither a name nor an address to dial");
		timer_set(px->loop, &w->now, 0, finish_later, w);
		return w;
	}
	w->cert = client_cert_hold(ask->cert);
	look(w, w->fresh);
	return w;
}

void upstream_cancel(struct upstream_want *w)
{
	if (w->heir_of)
		upstream_cancel(w->heir_of);
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

	ahead_out_of_use(px->upstreams, c);
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

	ahead_out_of_use(px->upstreams, c);
	free(c);
	return s;
}
