/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2's bytes: see h2conn.h. What lanes have to say is gathered until the end of the loop's turn
 * and goes in few large writes; while the peer takes nothing, nothing more is made of it. Called by
 * the loop.
 */
#include "proxy/h2conn.h"

#include "base/clock.h"
#include "base/secret.h"

#include <errno.h>

#define READ_SIZE 16384u
#define READS_MAX 64 /* a turn, of records that may be small: others want theirs */
#define TURN_SIZE (8 * READ_SIZE)
#define ROUNDS_MAX 8
#define KEEP_SIZE 40960u

static void on_readable(void *owner);
static void on_writable(void *owner);
static void on_kick(struct timer *t);

/* 0; -EAGAIN; -errno. */
static int flush(struct h2conn *c)
{
	bool more = true;
	ssize_t r;

	for (;;) {
		while (c->at < c->out.n) {
			r = stream_write(c->stream, c->out.p + c->at, c->out.n - c->at);
			if (r < 0)
				return (int)r;
			c->at += (size_t)r;
		}
		if (c->out.n)
			wipe(c->out.p, c->out.n);
		c->out.n = c->at = 0;
		if (!more)
			return 0;
		more = h2_pull(c->h2, &c->out);
		if (!c->out.n && !more)
			return 0;
	}
}

static void rest(struct h2conn *c)
{
	if (h2_lanes(c->h2) || c->out.n)
		return;
	buf_done(&c->out);
	buf_init(&c->out, 4 * KEEP_SIZE);
}

/* Lanes have their say, and what they said is written; c may be gone behind it. */
static void run(struct h2conn *c)
{
	int r = 0;

	c->running = true;
	for (int round = 0; round < ROUNDS_MAX; round++) {
		c->again = false;
		h2_run(c->h2);
		r = flush(c);
		if ((r < 0 && r != -EAGAIN) || !c->again)
			break;
	}
	c->running = false;
	if ((r < 0 && r != -EAGAIN) || c->eof || (r == 0 && h2_over(c->h2))) {
		c->over(c->owner);
		return;
	}
	rest(c);
	if (c->again)
		timer_set(c->loop, &c->kick, 0, on_kick, c);
	stream_want(c->stream, on_readable, r == -EAGAIN ? on_writable : NULL, c);
}

static void on_kick(struct timer *t)
{
	run(t->owner);
}

static void kick(void *owner)
{
	struct h2conn *c = owner;

	c->again = true;
	if (!c->running && !c->kick.loop)
		timer_set(c->loop, &c->kick, 0, on_kick, c);
}

static void on_readable(void *owner)
{
	struct h2conn *c = owner;
	char bytes[READ_SIZE];
	size_t n = 0;
	ssize_t r;

	/* What is called from inside must not end it. */
	c->running = true;
	for (int reads = 0; reads < READS_MAX && n < TURN_SIZE; reads++) {
		r = stream_read(c->stream, bytes, sizeof(bytes));
		if (r == -EAGAIN)
			break;
		if (r <= 0) {
			c->eof = true;
			break;
		}
		c->heard = clock_now();
		c->bytes += (size_t)r;
		if (h2_feed(c->h2, bytes, (size_t)r) < 0)
			break; /* what is to be said of it is still written */
		n += (size_t)r;
		/* Peers send a record a frame, and each turn costs a write of what came of it: all
		 * that TLS holds already goes in one. */
		if (r < READ_SIZE / 2 && !stream_has_buffered(c->stream))
			break;
	}
	run(c);
}

static void on_writable(void *owner)
{
	run(owner);
}

static void on_opened(void *owner, struct h2_lane *l)
{
	struct h2conn *c = owner;

	c->opened(c->owner, l);
}

static void on_refused(void *owner, const char *why)
{
	struct h2conn *c = owner;

	if (c->refused)
		c->refused(c->owner, why);
}

void h2conn_init(struct h2conn *c, struct loop *l, struct stream *s, bool server,
		 const struct h2_limits *limits, void (*over)(void *owner),
		 void (*opened)(void *owner, struct h2_lane *lane),
		 void (*refused)(void *owner, const char *why), void *owner)
{
	static const struct h2_calls calls = { on_opened, on_refused, kick };

	*c = (struct h2conn){ .loop = l,
			      .stream = s,
			      .over = over,
			      .opened = opened,
			      .refused = refused,
			      .owner = owner };
	c->heard = clock_now();
	buf_init(&c->out, 4 * KEEP_SIZE);
	c->h2 = h2_new(server, limits, &calls, c);
	stream_want(s, on_readable, NULL, c);
	kick(c);
}

void h2conn_done(struct h2conn *c)
{
	c->running = true; /* no kick any more */
	h2_lose(c->h2);
	h2_free(c->h2);
	timer_del(&c->kick);
	stream_free(c->stream);
	if (c->out.p)
		wipe(c->out.p, c->out.size);
	buf_done(&c->out);
}
