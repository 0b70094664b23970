// SPDX-License-Identifier: Apache-2.0
/*
 * The pool: see pool.h. The last one put back is the first taken. A byte or an end on a waiting
 * connection closes it: an answer that nobody asked for must never meet the next request.
 */
#include "proxy/pool.h"

#include "http/h2.h"
#include "proxy/ahead.h"
#include "proxy/clientcert.h"
#include "proxy/told.h"

#include <stdlib.h>

struct pool {
	struct loop *loop;
	struct pooled *newest, *oldest;
	size_t count, max;
	uint64_t idle_ms;
};

struct pool *pool_new(struct loop *l, size_t max, uint64_t idle_ms)
{
	struct pool *p = mem_new(sizeof(*p));

	p->loop = l;
	p->max = max;
	p->idle_ms = idle_ms;
	return p;
}

void pooled_free(struct pooled *c)
{
	if (c->ahead)
		told_given_up(c->ahead, (struct str){ c->key.host, c->key.host_n }, c->u.addr,
			      c->key.port);
	if (c->u.lane)
		h2_lane_close(c->u.lane);
	else
		stream_free(c->u.stream);
	free(c);
}

static void unlink_one(struct pooled *c)
{
	struct pool *p = c->pool;

	if (c->older)
		c->older->newer = c->newer;
	else
		p->oldest = c->newer;
	if (c->newer)
		c->newer->older = c->older;
	else
		p->newest = c->older;
	c->older = c->newer = NULL;
	c->pool = NULL;
	p->count--;
	timer_del(&c->idle);
	stream_want(c->u.stream, NULL, NULL, NULL);
}

static void drop(struct pooled *c)
{
	unlink_one(c);
	pooled_free(c);
}

struct pool *pool_free(struct pool *p)
{
	if (!p)
		return NULL;
	while (p->oldest)
		drop(p->oldest);
	free(p);
	return NULL;
}

bool pool_key_of(const struct upstream_ask *ask, struct pool_key *ret)
{
	struct pool_key k = { .port = ask->port,
			      .netns = ask->netns,
			      .tls = ask->tls,
			      .host_n = ask->host.n,
			      .credential_n = ask->credential.n,
			      .cert = client_cert_number(ask->cert) };

	if (ask->host.n > HOST_MAX || ask->credential.n > sizeof(k.credential) ||
	    (!ask->host.n && !ask->addr))
		return false;
	if (ask->host.n)
		memcpy(k.host, ask->host.p, ask->host.n);
	else
		memcpy(k.addr, ask->addr, 16);
	if (ask->credential.n)
		memcpy(k.credential, ask->credential.p, ask->credential.n);
	*ret = k;
	return true;
}

bool pool_same(const struct pool_key *a, const struct pool_key *b)
{
	return a->port == b->port && a->tls == b->tls && a->netns == b->netns &&
	       a->host_n == b->host_n && a->credential_n == b->credential_n && a->cert == b->cert &&
	       !memcmp(a->host, b->host, a->host_n) &&
	       !memcmp(a->credential, b->credential, a->credential_n) &&
	       (a->host_n || !memcmp(a->addr, b->addr, sizeof(a->addr)));
}

struct pooled *pool_take(struct pool *p, const struct pool_key *key)
{
	struct pooled *c, *older;

	for (c = p->newest; c; c = older) {
		older = c->older;
		if (!pool_same(&c->key, key))
			continue;
		if (stream_is_stale(c->u.stream)) {
			drop(c);
			continue;
		}
		unlink_one(c);
		c->u.reused = true;
		return c;
	}
	return NULL;
}

static void on_bytes(void *owner)
{
	struct pooled *c = owner;

	if (stream_is_stale(c->u.stream))
		drop(c);
}

static void on_idle(struct timer *t)
{
	drop(t->owner);
}

void pool_put(struct pool *p, struct pooled *c)
{
	uint64_t idle_ms = c->ahead && p->idle_ms > AHEAD_UNUSED_MS ? AHEAD_UNUSED_MS : p->idle_ms;

	/* What is in the socket by now is told by on_bytes; only what TLS has read already is not.
	 */
	if (!p->max || !p->idle_ms ||
	    (stream_has_buffered(c->u.stream) && stream_is_stale(c->u.stream))) {
		pooled_free(c);
		return;
	}
	if (p->count == p->max)
		drop(p->oldest);
	c->pool = p;
	c->older = p->newest;
	c->newer = NULL;
	if (p->newest)
		p->newest->newer = c;
	else
		p->oldest = c;
	p->newest = c;
	p->count++;
	timer_set(p->loop, &c->idle, idle_ms, on_idle, c);
	stream_want(c->u.stream, on_bytes, NULL, c);
}

void pool_leave(struct pool *p, uint64_t netns)
{
	struct pooled *c, *older;

	for (c = p->newest; c; c = older) {
		older = c->older;
		if (c->key.netns == netns)
			drop(c);
	}
}

size_t pool_count(const struct pool *p)
{
	return p->count;
}

unsigned pool_count_of(const struct pool *p, const struct pool_key *key)
{
	unsigned n = 0;

	for (const struct pooled *c = p->newest; c; c = c->older)
		n += pool_same(&c->key, key);
	return n;
}
