// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP/1.1 with the job: see h1serve.h. A runner holds thousands of connections of which few have
 * something to say: at rest one is its stream and a deadline, and the session - parsers, buffers,
 * the exchange - is made when there is something to read. Reads no byte itself.
 */
#include "proxy/h1serve.h"

#include "proxy/session.h"

#include <stdlib.h>

struct h1serve {
	struct proxy *px;
	struct stream *client;	 /* while it rests, else the session's */
	struct session *session; /* or NULL */
	const struct origin *origin;
	void (*done)(void *owner);
	void *owner;
	struct timer timer; /* of the rest; means nothing while a session is there */
	bool tls;
};

static void over(void *owner)
{
	struct h1serve *h = owner;
	void (*done)(void *owner) = h->done;
	void *theirs = h->owner;

	timer_del(&h->timer);
	stream_free(h->client);
	free(h);
	done(theirs);
}

static void on_deadline(struct timer *t)
{
	struct h1serve *h = t->owner;

	if (!h->session)
		over(h);
}

static void on_readable(void *owner);

/* Something that is no request (a key update) moves no deadline. */
static void rested(void *owner, struct stream *client, bool served)
{
	struct h1serve *h = owner;

	h->session = NULL;
	h->client = client;
	if (served)
		timer_set(h->px->loop, &h->timer, h->px->limits.keepalive_ms, on_deadline, h);
	stream_want(client, on_readable, NULL, h);
}

static void on_readable(void *owner)
{
	struct h1serve *h = owner;

	h->session = session_start(h->px, TAKE_PTR(h->client), h->tls, h->origin, rested, over, h);
	session_read(h->session);
}

struct h1serve *h1serve_start(struct proxy *px, struct stream *client, bool tls,
			      const struct origin *o, void (*done)(void *owner), void *owner)
{
	struct h1serve *h = mem_new(sizeof(*h));

	h->px = px;
	h->client = client;
	h->tls = tls;
	h->origin = o;
	h->done = done;
	h->owner = owner;
	timer_set(px->loop, &h->timer, px->limits.header_ms, on_deadline, h);
	stream_want(client, on_readable, NULL, h);
	return h;
}

void h1serve_judge(struct h1serve *h)
{
	if (h->session)
		session_judge(h->session);
}

void h1serve_stop(struct h1serve *h, bool at_once)
{
	if (h->session) {
		session_stop(h->session, at_once);
		return;
	}
	if (at_once)
		stream_reset(h->client);
	over(h);
}
