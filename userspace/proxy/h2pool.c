/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 towards upstreams: see h2pool.h. A connection that says goodbye, or breaks, is no longer
 * found here; its requests are told by their lanes. Hostile bytes: the upstream's, read by
 * http/h2.c.
 */
#include "proxy/h2pool.h"

#include "base/clock.h"
#include "proxy/h2conn.h"
#include "proxy/h2serve.h"

#include <stdio.h>
#include <stdlib.h>

struct shared {
	struct h2pool *pool;
	struct shared *next;
	struct h2conn conn;
	struct pool_key key;
	uint8_t addr[16];
	struct timer idle;
	uint64_t last; /* taken */
	bool used;     /* by a first request */
	struct timer watch;
	uint64_t pinged; /* 0: none is on its way */
	uint64_t before; /* conn.bytes when it went */
	bool asked;	 /* since it was last taken */
};

struct h2pool {
	struct proxy *px;
	struct h2pool_times times;
	struct shared *first;
};

struct h2pool *h2pool_new(struct proxy *px, const struct h2pool_times *times)
{
	struct h2pool *p = mem_new(sizeof(*p));

	p->px = px;
	p->times = *times;
	return p;
}

static void note_flood(const struct shared *s)
{
	char text[HOST_MAX + 80];
	struct event e;

	snprintf(text, sizeof(text), "limits.h2_idle_frames: the connection to %s was ended",
		 s->key.host_n ? s->key.host : "an address");
	record_begin(s->pool->px, &e, EVENT_LIMIT_HIT, VERDICT_NONE, REASON_LIMIT, NULL, NULL,
		     STR(""));
	event_text(&e, FIELD_MESSAGE, str_of(text));
	record_note(s->pool->px, &e);
}

static void over(void *owner)
{
	struct shared *s = owner, **at;

	/* First: who is told by its lane may ask for another at once. */
	for (at = &s->pool->first; *at != s; at = &(*at)->next)
		;
	*at = s->next;
	if (h2_flooded(s->conn.h2))
		note_flood(s);
	timer_del(&s->idle);
	timer_del(&s->watch);
	h2conn_done(&s->conn);
	free(s);
}

struct h2pool *h2pool_free(struct h2pool *p)
{
	if (!p)
		return NULL;
	while (p->first)
		over(p->first);
	free(p);
	return NULL;
}

void h2pool_leave(struct h2pool *p, uint64_t netns)
{
	struct shared *s = p->first;

	while (s) {
		if (s->key.netns != netns) {
			s = s->next;
			continue;
		}
		over(s);
		s = p->first; /* who was told may have changed the list */
	}
}

/* ---- is it still there? ---- */

static void on_watch(struct timer *t);

static void watch(struct shared *s, uint64_t ms)
{
	timer_set(s->pool->px->loop, &s->watch, ms, on_watch, s);
}

static void ping(struct shared *s)
{
	s->pinged = clock_now();
	s->before = s->conn.bytes;
	s->asked = true;
	h2_ping(s->conn.h2);
	watch(s, s->pool->times.answer);
}

static bool answered(const struct shared *s)
{
	return !s->pinged || s->conn.bytes != s->before;
}

static void on_watch(struct timer *t)
{
	struct shared *s = t->owner;
	const struct h2pool_times *times = &s->pool->times;
	uint64_t since = s->conn.heard > s->last ? s->conn.heard : s->last, now = clock_now();

	if (!answered(s)) {
		h2_silent(s->conn.h2);
		over(s);
		return;
	}
	s->pinged = 0;
	if (s->asked || !h2_lanes(s->conn.h2))
		return;
	if (now - since >= times->quiet)
		ping(s);
	else
		watch(s, times->quiet - (now - since));
}

static void taken(struct shared *s)
{
	s->last = clock_now();
	s->used = true;
	if (!answered(s))
		return; /* that one counts for all */
	s->pinged = 0;
	s->asked = false;
	if (s->last - s->conn.heard >= s->pool->times.rest)
		ping(s);
	else
		watch(s, s->pool->times.quiet);
}

/* ---- at rest ---- */

/* limits.upstream_idle: the one that was used least lately is closed. */
static void make_room(struct h2pool *p)
{
	struct shared *oldest;
	size_t n;

	do {
		oldest = NULL;
		n = 0;
		for (struct shared *s = p->first; s; s = s->next) {
			if (h2_lanes(s->conn.h2))
				continue;
			n++;
			if (!oldest || s->last < oldest->last)
				oldest = s;
		}
		if (n > p->px->limits.upstream_idle)
			over(oldest);
	} while (n > p->px->limits.upstream_idle + 1);
}

static void on_idle(struct timer *t)
{
	struct shared *s = t->owner;
	struct h2pool *p = s->pool;
	uint64_t limit = p->px->limits.upstream_idle_ms, idle = clock_now() - s->last;

	if (h2_lanes(s->conn.h2))
		timer_set(p->px->loop, &s->idle, limit ? limit : 1000, on_idle, s);
	else if (idle < limit)
		timer_set(p->px->loop, &s->idle, limit - idle, on_idle, s);
	else
		over(s);
	make_room(p);
}

void h2pool_add(struct h2pool *p, struct stream *stream, const struct pool_key *key,
		const uint8_t addr[16])
{
	struct h2_limits limits = h2_limits_of(p->px);
	struct shared *s = mem_new(sizeof(*s));

	s->pool = p;
	s->key = *key;
	memcpy(s->addr, addr, sizeof(s->addr));
	make_room(p);
	s->last = clock_now();
	s->next = p->first;
	p->first = s;
	h2conn_init(&s->conn, p->px->loop, stream, false, &limits, over, NULL, NULL, s);
	timer_set(p->px->loop, &s->idle, p->px->limits.upstream_idle_ms, on_idle, s);
}

struct pooled *h2pool_take(struct h2pool *p, const struct pool_key *key)
{
	struct pooled *c;
	struct shared *s;
	bool going;

	for (s = p->first; s; s = s->next)
		if (pool_same(&s->key, key) && h2_room(s->conn.h2, &going) &&
		    (answered(s) || clock_now() - s->pinged < p->times.doubt))
			break;
	if (!s)
		return NULL;
	c = mem_new(sizeof(*c));
	c->key = *key;
	memcpy(c->u.addr, s->addr, sizeof(c->u.addr));
	c->u.verified = true; /* or upstream.c had not added it */
	c->u.reused = s->used;
	c->u.lane = h2_open(s->conn.h2);
	taken(s);
	return c;
}
