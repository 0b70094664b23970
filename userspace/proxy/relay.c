/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relays: see relay.h. An idle one holds no buffer: what is read lies in one of this process's own
 * until it is written, and only what the other side did not take at once is kept.
 */
#include "proxy/relay.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

#define PIECE 16384 /* a record of TLS */
#define TURNS 16    /* pieces in one go before other connections get theirs */

struct way {
	struct stream *from, *to;
	struct buf held; /* from `at` on not written */
	size_t at;
	uint64_t moved;
	bool ended;   /* the source will say no more */
	bool torn;    /* and did not say so in order */
	bool done;    /* the end was passed on */
	bool blocked; /* waits for the sink */
};

struct relay {
	struct loop *loop;
	struct way out, in;
	struct timer timer;
	uint64_t idle_ms, last;
	relay_fn fn;
	void *owner;
};

static void relay_free(struct relay *r, bool reset, struct relay_end *ret)
{
	ret->out = r->out.moved;
	ret->in = r->in.moved;
	timer_del(&r->timer);
	if (reset) {
		stream_reset(r->out.from);
		stream_reset(r->in.from);
	}
	stream_free(r->out.from);
	stream_free(r->in.from);
	buf_done(&r->out.held);
	buf_done(&r->in.held);
	free(r);
}

static void relay_over(struct relay *r, int err, bool reset)
{
	struct relay_end end = { .err = err };
	relay_fn fn = r->fn;
	void *owner = r->owner;

	relay_free(r, reset, &end);
	fn(owner, &end);
}

void relay_cut(struct relay *r, struct relay_end *ret)
{
	ret->err = -ECANCELED;
	relay_free(r, true, ret);
}

/* 0: all written; -EAGAIN: some is held; else what broke it. */
static int way_flush(struct way *w)
{
	ssize_t n;

	while (w->at < w->held.n) {
		n = stream_write(w->to, w->held.p + w->at, w->held.n - w->at);
		if (n < 0) {
			w->blocked = n == -EAGAIN;
			return (int)n;
		}
		w->at += (size_t)n;
		w->moved += (uint64_t)n;
	}
	buf_done(&w->held);
	w->at = 0;
	return 0;
}

/* Passes the end on. A torn one ends the relay instead: see relay_step. */
static int way_end(struct way *w)
{
	int e;

	if (w->torn)
		return 0;
	e = stream_shutdown(w->to);
	if (e == -EAGAIN)
		w->blocked = true;
	if (e < 0 && e != -ENOTCONN)
		return e;
	w->done = true;
	return 0;
}

/* Moves what can be moved one way. 0 or what broke it. */
static int way_move(struct way *w)
{
	static char piece[PIECE];
	ssize_t n, put;
	int e;

	for (int turn = 0; turn < TURNS && !w->done && !w->blocked; turn++) {
		e = way_flush(w);
		if (e < 0)
			return e == -EAGAIN ? 0 : e;
		if (w->ended) {
			e = way_end(w);
			return e == -EAGAIN ? 0 : e;
		}
		n = stream_read(w->from, piece, sizeof(piece));
		if (n == -EAGAIN)
			return 0;
		if (n <= 0) {
			/* What it said before still arrives. */
			w->torn = n < 0;
			w->ended = true;
			continue;
		}
		put = stream_write(w->to, piece, (size_t)n);
		w->blocked = put == -EAGAIN;
		if (w->blocked)
			put = 0;
		if (put < 0)
			return (int)put;
		w->moved += (uint64_t)put;
		if (put < n && buf_add(&w->held, piece + put, (size_t)(n - put)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void on_a_read(void *owner);
static void on_a_write(void *owner);
static void on_b_read(void *owner);
static void on_b_write(void *owner);

static bool way_reads(const struct way *w)
{
	return !w->ended && !w->blocked && w->at == w->held.n;
}

static void relay_step(struct relay *r)
{
	uint64_t before = r->out.moved + r->in.moved;
	int e = way_move(&r->out);

	if (e == 0)
		e = way_move(&r->in);
	if (e < 0) {
		relay_over(r, e, true);
		return;
	}
	/* Ended without a word: the other side is told in the same way, behind the last byte. */
	if ((r->out.torn && !r->out.held.n) || (r->in.torn && !r->in.held.n)) {
		relay_over(r, -ECONNRESET, false);
		return;
	}
	if (r->out.done && r->in.done) {
		relay_over(r, 0, false);
		return;
	}
	if (r->out.moved + r->in.moved != before)
		r->last = clock_now();
	stream_want(r->out.from, way_reads(&r->out) ? on_a_read : NULL,
		    r->in.blocked ? on_a_write : NULL, r);
	stream_want(r->in.from, way_reads(&r->in) ? on_b_read : NULL,
		    r->out.blocked ? on_b_write : NULL, r);
}

static void on_a_read(void *owner)
{
	relay_step(owner);
}

static void on_a_write(void *owner)
{
	struct relay *r = owner;

	r->in.blocked = false;
	relay_step(r);
}

static void on_b_read(void *owner)
{
	relay_step(owner);
}

static void on_b_write(void *owner)
{
	struct relay *r = owner;

	r->out.blocked = false;
	relay_step(r);
}

static void on_idle(struct timer *t)
{
	struct relay *r = t->owner;
	uint64_t silent = clock_now() - r->last;

	if (silent >= r->idle_ms)
		relay_over(r, -ETIMEDOUT, true);
	else
		timer_set(r->loop, &r->timer, r->idle_ms - silent, on_idle, r);
}

static void on_begin(struct timer *t)
{
	struct relay *r = t->owner;

	timer_set(r->loop, &r->timer, r->idle_ms, on_idle, r);
	relay_step(r);
}

static void way_init(struct way *w, struct stream *from, struct stream *to, struct str first)
{
	w->from = from;
	w->to = to;
	buf_init(&w->held, first.n > PIECE ? first.n : PIECE);
	if (first.n && buf_add_str(&w->held, first) < 0)
		die("out of memory for a relay's first bytes");
}

struct relay *relay_start(struct loop *l, struct stream *a, struct stream *b, struct str from_a,
			  struct str from_b, uint64_t idle_ms, relay_fn fn, void *owner)
{
	struct relay *r = mem_new(sizeof(*r));

	r->loop = l;
	way_init(&r->out, a, b, from_a);
	way_init(&r->in, b, a, from_b);
	r->idle_ms = idle_ms;
	r->last = clock_now();
	r->fn = fn;
	r->owner = owner;
	stream_want(a, NULL, NULL, NULL);
	stream_want(b, NULL, NULL, NULL);
	timer_set(l, &r->timer, 0, on_begin, r);
	return r;
}
