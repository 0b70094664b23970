/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP with the job on one connection, while there is something to read. Owns the client's stream,
 * two flows and one exchange at a time, so that pipelined requests are answered in order: the next
 * head is parsed when the last answer is written. Trusts no byte of the client; every wait has a
 * deadline from the one table.
 */
#include "proxy/body.h"
#include "proxy/git.h"
#include "proxy/told.h"

#include <errno.h>
#include <stdlib.h>

#define LINGER_MS 2000u
#define LINGER_BYTES (1u << 20)

static void on_readable(void *owner);
static void on_writable(void *owner);
static void on_gone(void *owner);
static void on_client_gone(void *owner);
static void session_rest(struct session *s);

static session_connect_fn on_connect;

void session_on_connect(session_connect_fn fn)
{
	on_connect = fn;
}

session_connect_fn session_connect_handler(void)
{
	return on_connect;
}

/* ---- what the streams are asked for ---- */

void session_want(struct session *s)
{
	struct exchange *x = &s->x;
	bool read = false, write = false;

	switch (s->state) {
	case SESSION_UPGRADED:
		return;
	case SESSION_HEAD:
	case SESSION_LIST:
	case SESSION_BODY:
		read = true;
		break;
	case SESSION_LINGER:
		read = s->drained <= LINGER_BYTES;
		break;
	case SESSION_FORWARD:
		read = !x->up_done && !x->up_lost && !x->up_write_waits;
		write = x->down_write_waits;
		break;
	case SESSION_ANSWER:
		read = !x->up_done;
		write = x->down_write_waits;
		break;
	case SESSION_DECIDE:
	case SESSION_REFUSE:
		break;
	}
	if (s->lane)
		h2_lane_want(s->lane, read ? on_readable : NULL, write ? on_writable : NULL,
			     on_gone, s);
	else if (read || write || s->state == SESSION_REFUSE)
		stream_want(s->client, read ? on_readable : NULL, write ? on_writable : NULL, s);
	else
		stream_want_gone(s->client, on_client_gone, s);
}

/* ---- deadlines ---- */

static void on_deadline(struct timer *t)
{
	struct session *s = t->owner;

	switch (s->state) {
	case SESSION_HEAD:
		if (!flow_has_input(&s->up)) {
			session_end(s);
			return;
		}
		s->x.start_us = clock_now_us();
		answer_fault(s, 408, REASON_TIMEOUT, "its head took too long");
		return;
	case SESSION_LIST:
		answer_fault(s, 408, REASON_TIMEOUT, "its list of refs took too long");
		return;
	case SESSION_BODY:
		answer_fault(s, 408, REASON_TIMEOUT, "its body took too long");
		return;
	case SESSION_FORWARD:
		forward_idle(s);
		return;
	case SESSION_ANSWER:
	case SESSION_LINGER:
		session_end(s);
		return;
	case SESSION_DECIDE:
	case SESSION_REFUSE:
	case SESSION_UPGRADED:
		/* Their waits have deadlines of their own. */
		return;
	}
}

void session_deadline(struct session *s, uint64_t ms)
{
	timer_set(s->px->loop, &s->timer, ms, on_deadline, s);
}

/* ---- reading heads ---- */

static void head_event(struct session *s, enum h1_event ev)
{
	struct h1 *h = &s->req;

	s->x.start_us = clock_now_us(); /* the rest is as session_new or session_next left it */
	if (ev == H1_HEAD) {
		s->served = true;
		s->x.parsed = true;
		timer_del(&s->timer);
		exchange_start(s);
		return;
	}
	switch (h->fault) {
	case H1_TARGET_LONG:
		answer_fault(s, 414, REASON_LIMIT, "%s", h->why);
		return;
	case H1_HEAD_LARGE:
		answer_fault(s, 431, REASON_LIMIT, "%s", h->why);
		return;
	case H1_VERSION:
		answer_fault(s, 505, REASON_BAD_REQUEST, "refused the request: %s", h->why);
		return;
	case H1_METHOD:
		answer_fault(s, 501, REASON_BAD_REQUEST, "refused the request: %s", h->why);
		return;
	case H1_OK:
	case H1_BAD:
		answer_fault(s, 400, REASON_BAD_REQUEST, "%s", h->why);
		return;
	}
}

static void read_head(struct session *s, bool may_read)
{
	bool started = flow_has_input(&s->up) || s->up.read_total;
	enum h1_event ev = H1_MORE;
	ssize_t r;

	if (may_read && !s->lane) {
		r = flow_fill(&s->up);
		if (r == -EAGAIN) {
			if (!started)
				session_rest(s);
			return;
		}
		if (r < 0 && r != -ENOBUFS) {
			session_end(s);
			return;
		}
	}
	if (s->lane || flow_has_input(&s->up))
		ev = flow_parse(&s->up);
	if (ev != H1_MORE) {
		head_event(s, ev);
		return;
	}
	if (s->up.eof) {
		session_end(s);
		return;
	}
	/* The clock of a head starts with its first byte. */
	if (!started && !s->lane)
		session_deadline(s, s->px->limits.header_ms);
}

void session_read(struct session *s)
{
	read_head(s, true);
}

static void on_kick(struct timer *t)
{
	struct session *s = t->owner;

	if (s->state == SESSION_HEAD)
		read_head(s, false);
	else if (s->state == SESSION_FORWARD)
		forward_quiet(s);
}

void session_kick(struct session *s, uint64_t ms)
{
	timer_set(s->px->loop, &s->kick, ms, on_kick, s);
}

/* ---- the streams' events ---- */

static void linger_read(struct session *s)
{
	char bytes[16384];
	ssize_t r = stream_read(s->client, bytes, sizeof(bytes));

	if (r == -EAGAIN)
		return;
	if (r <= 0) {
		session_end(s);
		return;
	}
	/* Who sends on finds its window full, then, and reads what was answered: closing now would
	 * reset the connection under its next byte. */
	s->drained += (uint64_t)r;
	session_want(s);
}

static void on_readable(void *owner)
{
	struct session *s = owner;

	switch (s->state) {
	case SESSION_HEAD:
		read_head(s, true);
		return;
	case SESSION_LIST:
		git_readable(s);
		return;
	case SESSION_BODY:
		body_readable(s);
		return;
	case SESSION_FORWARD:
		forward_client_readable(s);
		return;
	case SESSION_ANSWER:
		answer_client_readable(s);
		return;
	case SESSION_LINGER:
		linger_read(s);
		return;
	case SESSION_DECIDE:
	case SESSION_REFUSE:
	case SESSION_UPGRADED:
		return;
	}
}

static void on_writable(void *owner)
{
	struct session *s = owner;

	if (s->state == SESSION_FORWARD)
		forward_client_writable(s);
	else if (s->state == SESSION_ANSWER)
		answer_client_writable(s);
}

/* The client took its request back, or its connection ended. */
static void on_gone(void *owner)
{
	void (*done)(void *owner);
	struct session *s = owner;

	/* A refusal waits for its record's number: the record stays, and who waits for us need not.
	 */
	if (s->state == SESSION_REFUSE) {
		done = s->done;
		s->done = NULL;
		if (done)
			done(s->owner);
		return;
	}
	if (s->x.recorded && s->state != SESSION_ANSWER)
		exchange_over(s, REASON_CLIENT_LOST, NULL);
	session_end(s);
}

/* What it asked for is waited for no longer. */
static void on_client_gone(void *owner)
{
	struct session *s = owner;

	if (s->state == SESSION_DECIDE || s->state == SESSION_FORWARD)
		on_gone(s);
	else if (s->state == SESSION_LINGER)
		session_end(s);
}

/* ---- life ---- */

static struct session *session_new(struct proxy *px, bool tls, const struct origin *o,
				   void (*done)(void *owner), void *owner)
{
	const struct limits *l = &px->limits;
	struct session *s = mem_new(sizeof(*s));

	s->px = px;
	s->tls = tls;
	s->origin = *o;
	if (o->addr)
		memcpy(s->origin.record.addr, o->addr, sizeof(s->origin.record.addr));
	s->origin.addr = o->addr ? s->origin.record.addr : NULL;
	s->done = done;
	s->owner = owner;
	s->limits = (struct h1_limits){ .header_bytes = l->header_bytes,
					.header_count = l->header_count,
					.target_bytes = l->target_bytes,
					.chunk_extension_bytes = l->chunk_extension_bytes };
	h1_init(&s->req, true, &s->limits);
	h1_init(&s->res, false, &s->limits);
	flow_init(&s->up, l->buffer_bytes, l->header_bytes);
	flow_init(&s->down, l->buffer_bytes, l->header_bytes);
	s->up.parser = &s->req;
	s->down.parser = &s->res;
	s->up.arena = s->down.arena = &s->arena;
	/* Two heads, two trailer sections and a few interim heads: each is bounded by header_bytes,
	 * copied with an index; the limit is past what they can need. */
	arena_init(&s->arena, (size_t)(l->interim_responses + 8) *
				      (3 * l->header_bytes + (l->header_count + 32) * 128 + 65536));
	buf_init(&s->target, l->target_bytes + 64);
	s->x.credential = s->x.derived = -1;
	s->state = SESSION_HEAD;
	return s;
}

struct session *session_start(struct proxy *px, struct stream *client, bool tls,
			      const struct origin *o,
			      void (*rest)(void *owner, struct stream *client, bool served),
			      void (*done)(void *owner), void *owner)
{
	struct session *s = session_new(px, tls, o, done, owner);

	s->rest = rest;
	s->client = s->up.from = s->down.to = client;
	session_want(s);
	return s;
}

struct session *session_lane(struct proxy *px, struct h2_lane *lane, bool tls,
			     const struct origin *o, void (*done)(void *owner), void *owner)
{
	struct session *s = session_new(px, tls, o, done, owner);

	s->lane = s->up.from_lane = s->down.to_lane = lane;
	session_deadline(s, px->limits.header_ms);
	session_want(s);
	return s;
}

void exchange_drop(struct session *s)
{
	struct exchange *x = &s->x;

	if (x->want_credential)
		creds_cancel(TAKE_PTR(x->want_credential));
	if (x->want_upstream)
		upstream_cancel(TAKE_PTR(x->want_upstream));
	if (x->want_record) {
		record_wait_cancel(TAKE_PTR(x->want_record));
		if (x->up && !x->recorded)
			told_given_up(s->px, x->rq.q.host, x->up->addr, x->rq.q.port);
	}
	if (x->up) {
		upstream_put(s->px, TAKE_PTR(x->up), x->reusable);
	}
	s->up.to = NULL;
	s->up.to_lane = NULL;
	s->down.from = NULL;
	s->down.from_lane = NULL;
	inject_done(&x->inject);
	resign_done(&x->resign);
}

static void bodies_done(struct exchange *x)
{
	if (x->answer.p)
		wipe(x->answer.p, x->answer.size);
	buf_done(&x->answer);
	buf_done(&x->body);
}

/* All but the client's side. */
static void session_free(struct session *s)
{
	exchange_drop(s);
	timer_del(&s->timer);
	timer_del(&s->kick);
	flow_done(&s->up);
	flow_done(&s->down);
	scrub_free(s->scrub);
	bodies_done(&s->x);
	arena_done(&s->arena);
	buf_done(&s->target);
	free(s);
}

void session_end(struct session *s)
{
	void (*done)(void *owner) = s->done;
	void *owner = s->owner;
	struct h2_lane *lane = s->lane;
	struct stream *client = s->client;

	session_free(s);
	if (lane)
		h2_lane_close(lane);
	else
		stream_free(client);
	if (done)
		done(owner);
}

/* Nothing to read, nothing under way: only the stream is left. */
static void session_rest(struct session *s)
{
	void (*rest)(void *owner, struct stream *client, bool served) = s->rest;
	void *owner = s->owner;
	struct stream *client = s->client;
	bool served = s->served;

	session_free(s);
	rest(owner, client, served);
}

void session_abort(struct session *s)
{
	if (s->client)
		stream_reset(s->client);
	session_end(s);
}

void session_linger(struct session *s)
{
	exchange_drop(s);
	if (s->lane || stream_shutdown(s->client) < 0 || s->up.eof) {
		session_end(s);
		return;
	}
	s->state = SESSION_LINGER;
	s->drained = 0;
	session_deadline(s, LINGER_MS);
	session_want(s);
}

void session_next(struct session *s)
{
	size_t limit = s->arena.limit;

	if (s->lane || s->x.close || s->stopping || (s->up.eof && !flow_has_input(&s->up))) {
		session_linger(s);
		return;
	}
	if (!flow_has_input(&s->up)) {
		session_rest(s);
		return;
	}
	/* The client has sent the next one behind it. */
	exchange_drop(s);
	flow_reset(&s->up);
	flow_reset(&s->down);
	s->down.in.n = s->down.in_at = 0;
	s->down.eof = false;
	h1_init(&s->res, false, &s->limits);
	bodies_done(&s->x);
	arena_done(&s->arena);
	arena_init(&s->arena, limit);
	s->x = (struct exchange){ .credential = -1, .derived = -1 };
	s->state = SESSION_HEAD;
	session_deadline(s, s->px->limits.header_ms);
	/* By the loop, not by recursion: a client may have pipelined thousands. */
	session_kick(s, 0);
	session_want(s);
}

void session_stop(struct session *s, bool at_once)
{
	if (at_once && s->relay) {
		upgraded_stop(s, REASON_SHUTDOWN, NULL);
		return;
	}
	if (at_once) {
		if (s->x.recorded)
			exchange_over(s, REASON_SHUTDOWN, NULL);
		session_abort(s);
		return;
	}
	s->stopping = true;
	if (s->state == SESSION_HEAD && !flow_has_input(&s->up))
		session_end(s); /* empty lines came, and no head behind them */
}
