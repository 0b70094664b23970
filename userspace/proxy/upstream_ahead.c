// SPDX-License-Identifier: Apache-2.0
/*
 * Dials that nobody asked for yet: see ahead.h. Two kinds: whole ones, to where a request was
 * recorded before, end in the pool; those of a first connection go as far as TCP and are taken by
 * the first ask for their host, whatever its credential and its hello. Reads no byte of anybody.
 */
#include "proxy/told.h"
#include "proxy/upstream_in.h"
#include <stdlib.h>

void ahead_out_of_use(struct upstreams *u, struct pooled *c)
{
	struct ahead_place *p = ahead_of(&u->places, c->place);

	c->place = 0;
	if (p)
		p->in_use--;
}

/* A whole one goes to the pool, where the one that waits for it looks first. */
void ahead_finish(struct upstream_want *w)
{
	struct upstreams *u = w->px->upstreams;
	bool failed = w->fault.reason != REASON_NONE;

	if (w->ready) {
		w->ready->ahead = w->px;
		pool_put(u->pool, TAKE_PTR(w->ready));
	}
	if (failed)
		ahead_forget(&u->places, &w->key);
	/* That no protocol is common is what who asks may have an answer to. */
	want_release(w, failed && !w->fault.alpn);
	want_free(w);
}

void ahead_leave(struct upstreams *u, uint64_t netns)
{
	struct upstream_want *lists[] = { u->ahead, u->begun }, *next;

	for (unsigned i = 0; i < 2; i++)
		for (struct upstream_want *w = lists[i]; w; w = next) {
			next = w->next;
			if (w->key.netns == netns)
				upstream_cancel(w);
		}
}

void upstreams_forget(struct upstreams *u)
{
	ahead_forget_all(&u->places);
	while (u->begun)
		upstream_cancel(u->begun);
}

/* ---- whole ones ---- */

void upstream_recorded(struct proxy *px, struct upstream *up, const struct hello_shape *shape)
{
	struct pooled *c = (struct pooled *)up;
	struct ahead_place *p;

	/* One lane more is there at once, and a client certificate is for who asked. */
	if (!shape || up->lane || !c->key.tls || !c->key.host_n || c->key.cert)
		return;
	p = ahead_learn(&px->upstreams->places, &c->key, shape);
	c->place = p->id;
	p->in_use++;
}

static void dial_ahead(struct proxy *px, const struct pool_key *key,
		       const struct hello_shape *shape)
{
	struct upstream_want *w = mem_new(sizeof(*w));
	struct upstreams *u = px->upstreams;

	w->px = px;
	w->ahead = w->shaped = w->h2 = true;
	w->key = *key;
	w->shape = *shape;
	w->offer = SHAPE_H2_FOLLOW;
	w->next = u->ahead;
	u->ahead = w;
	want_find(w);
}

void upstream_ahead(struct proxy *px, const struct upstream_ask *ask)
{
	struct upstreams *u = px->upstreams;
	enum upstream_speaks speaks = upstreams_speaks(u, ask->host, ask->port);
	struct upstream_want *w = u->ahead;
	struct pool_key key;

	if (!ask->h2 || !ask->shape || !ask->host.n || px->stopping || speaks == SPEAKS_H2 ||
	    speaks == SPEAKS_H2_ONLY || !pool_key_of(ask, &key) || pool_count_of(u->pool, &key))
		return;
	while (w && !pool_same(&w->key, &key))
		w = w->next;
	if (!w)
		dial_ahead(px, &key, ask->shape);
}

/* ---- as far as TCP ---- */

static bool same_place(const struct pool_key *a, const struct pool_key *b)
{
	return a->port == b->port && a->netns == b->netns && a->host_n == b->host_n &&
	       !memcmp(a->host, b->host, a->host_n);
}

static unsigned begun_for(const struct upstreams *u, const struct pool_key *key, unsigned *ret_all)
{
	unsigned n = 0;

	*ret_all = 0;
	for (const struct upstream_want *w = u->begun; w; w = w->next, ++*ret_all)
		n += same_place(&w->key, key);
	return n;
}

static void on_unused(struct timer *t)
{
	upstream_cancel(t->owner);
}

static void begin(struct proxy *px, const struct pool_key *key)
{
	struct upstream_want *w = mem_new(sizeof(*w)), **at = &px->upstreams->begun;

	w->px = px;
	w->ahead = w->begun = true;
	w->key = *key;
	while (*at)
		at = &(*at)->next;
	*at = w;
	timer_set(px->loop, &w->now, AHEAD_BEGUN_MS, on_unused, w);
	want_find(w);
}

bool ahead_take(struct upstream_want *w)
{
	struct upstreams *u = w->px->upstreams;
	struct upstream_want *b = u->begun;
	struct dial_want d;

	/* The record of a recorded one stands before the dial is told. */
	if (w->recorded)
		return false;
	while (b && ((!b->dial && !b->ask) || !same_place(&b->key, &w->key)))
		b = b->next;
	if (!b)
		return false;
	w->taken = true;
	want_leave(&u->begun, b);
	timer_del(&b->now);
	if (b->ask) {
		b->heir = w;
		w->heir_of = b;
		return true;
	}
	d = want_dial(w);
	w->dial = dial_take(TAKE_PTR(b->dial), &d, want_dialled, w);
	want_free(b);
	return true;
}

/* ---- connections of the job ---- */

uint64_t upstream_client(struct proxy *px, struct str host, uint16_t port, uint64_t netns,
			 bool exact)
{
	struct upstreams *u = px->upstreams;
	struct ahead_place *p = ahead_get(&u->places, host, port, netns);
	enum upstream_speaks speaks = upstreams_speaks(u, host, port);
	unsigned all, have = begun_for(u, &p->key, &all);

	p->clients++;
	if (px->stopping || speaks == SPEAKS_H2 || speaks == SPEAKS_H2_ONLY)
		return p->id;
	if (!p->learned) {
		if (exact && have < AHEAD_MAX && all < AHEAD_BEGUN_MAX &&
		    !upstreams_by_parent(u, host, port))
			begin(px, &p->key);
		return p->id;
	}
	/* A client that rests will want the one again that it had. */
	have += p->in_use + pool_count_of(u->pool, &p->key);
	for (struct upstream_want *w = u->ahead; w; w = w->next)
		have += pool_same(&w->key, &p->key);
	if (have < p->clients && have < AHEAD_MAX)
		dial_ahead(px, &p->key, &p->shape);
	return p->id;
}

void upstream_client_gone(struct proxy *px, uint64_t place)
{
	struct ahead_place *p = ahead_of(&px->upstreams->places, place);

	if (p)
		p->clients--;
}
