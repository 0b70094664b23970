/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 with the job: see h2serve.h. Requests are judged one by one, by the same code as those of
 * HTTP/1.1; a slow one holds up no other. Trusts no byte of the client: what breaks the protocol is
 * recorded and reset, what carries nothing is counted (http/h2.c).
 */
#include "proxy/h2serve.h"

#include "proxy/h2conn.h"
#include "proxy/session.h"

#include <stdlib.h>

#define REST_MS 1000u

struct h2serve {
	struct proxy *px;
	struct h2conn conn;
	const struct origin *origin;
	void (*done)(void *owner);
	void *owner;
	struct timer timer; /* while no request is under way */
	unsigned requests;  /* under way */
	uint64_t rested_ms; /* since the last request's end */
	bool stopping;
};

static void wait(struct h2serve *s, uint64_t ms);

struct h2_limits h2_limits_of(const struct proxy *px)
{
	const struct limits *l = &px->limits;

	return (struct h2_limits){ .header_bytes = l->header_bytes,
				   .header_count = l->header_count,
				   .buffer_bytes = l->buffer_bytes,
				   .window = (uint32_t)l->h2_window,
				   .lanes = (uint32_t)l->h2_streams,
				   .idle_frames = (uint32_t)l->h2_idle_frames };
}

static void note(struct h2serve *s, enum event_kind kind, enum reason r, const char *why)
{
	struct event e;

	record_begin(s->px, &e, kind, VERDICT_DENY, r, s->origin, NULL, STR(""));
	event_text(&e, FIELD_MESSAGE, str_of(why));
	record_note(s->px, &e);
}

static void over(void *owner)
{
	struct h2serve *s = owner;
	void (*done)(void *owner) = s->done;
	void *theirs = s->owner;

	if (h2_flooded(s->conn.h2))
		note(s, EVENT_LIMIT_HIT, REASON_LIMIT,
		     "limits.h2_idle_frames: the connection was ended");
	s->stopping = true;
	h2conn_done(&s->conn);
	timer_del(&s->timer); /* the last request that ended with it may have set it */
	free(s);
	done(theirs);
}

static void on_idle(struct timer *t)
{
	struct h2serve *s = t->owner;

	/* What was answered is still being read. */
	if (h2_lanes(s->conn.h2) && s->rested_ms < s->px->limits.idle_ms) {
		s->rested_ms += REST_MS;
		wait(s, REST_MS);
		return;
	}
	/* Once in order; who does not hang up then is hung up on. */
	if (s->stopping) {
		over(s);
		return;
	}
	h2serve_stop(s, false);
}

static void wait(struct h2serve *s, uint64_t ms)
{
	timer_set(s->px->loop, &s->timer, ms, on_idle, s);
}

static void request_over(void *owner)
{
	struct h2serve *s = owner;

	if (!--s->requests)
		wait(s, s->px->limits.keepalive_ms);
}

static void opened(void *owner, struct h2_lane *lane)
{
	struct h2serve *s = owner;

	s->requests++;
	s->rested_ms = 0;
	timer_del(&s->timer);
	session_lane(s->px, lane, true, s->origin, request_over, s);
}

static void refused(void *owner, const char *why)
{
	note(owner, EVENT_HTTP_REQUEST, REASON_BAD_REQUEST, why);
}

struct h2serve *h2serve_start(struct proxy *px, struct stream *client, const struct origin *o,
			      void (*done)(void *owner), void *owner)
{
	struct h2serve *s = mem_new(sizeof(*s));
	struct h2_limits limits = h2_limits_of(px);

	s->px = px;
	s->origin = o;
	s->done = done;
	s->owner = owner;
	h2conn_init(&s->conn, px->loop, client, true, &limits, over, opened, refused, s);
	wait(s, px->limits.header_ms);
	return s;
}

void h2serve_stop(struct h2serve *s, bool at_once)
{
	if (at_once) {
		over(s);
		return;
	}
	s->stopping = true;
	h2_goaway(s->conn.h2);
	if (!s->requests)
		wait(s, 1000);
}
