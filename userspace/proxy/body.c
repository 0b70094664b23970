/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A body in which a placeholder may stand is read whole before anything is decided about its
 * credential, and sent with a length of its own: framing, HTTP version and Expect of the client do
 * not matter to the origin then. Called by exchange.c and session.c; every byte is a job's. A body
 * past limits.swap_bytes is refused with nothing sent.
 */
#include "proxy/body.h"

#include <errno.h>

/* A credential that could go with this request looks into such bodies: the one that the rule names,
 * or where it names none each that may go to the host. */
static bool looked_into(const struct session *s, enum carrier_body kind)
{
	const struct request *rq = &s->x.rq;
	const struct credentials *creds = s->px->creds;
	struct credential c;

	for (int i = 0; i < creds_count(creds); i++) {
		c = creds_at(creds, i);
		if ((!rq->verdict.credential.n ||
		     str_eq(rq->verdict.credential, credential_name(&c))) &&
		    inject_reads_body(&c, rq->q.host, kind))
			return true;
	}
	return false;
}

bool body_wanted(const struct session *s)
{
	const struct exchange *x = &s->x;
	enum carrier_body kind;

	if (!creds_count(s->px->creds) || x->carrier.body.p || x->git || !s->tls ||
	    !x->rq.origin.name_n)
		return false;
	if (resign_reads_body(s))
		return true;
	kind = carrier_body(&s->req.head);
	return kind && looked_into(s, kind);
}

static void too_large(struct session *s)
{
	answer_fault(s, 413, REASON_LIMIT,
		     "its body %s and is over %llu bytes (limits.swap_bytes), too many to look "
		     "through; nothing was sent",
		     resign_reads_body(s) ? "is to be signed" : "could hold a placeholder",
		     (unsigned long long)s->px->limits.swap_bytes);
}

/* The arena would keep each size that it grew through. */
static void body_over(struct session *s)
{
	struct exchange *x = &s->x;

	x->up_done = true; /* read to its end */
	x->carrier.body = buf_str(&x->body);
	s->state = SESSION_DECIDE;
	timer_del(&s->timer);
	session_want(s);
	exchange_allowed(s);
}

static void read_body(struct session *s)
{
	struct exchange *x = &s->x;

	for (;;) {
		switch (flow_parse(&s->up)) {
		case H1_MORE:
			if (s->up.eof)
				session_end(s);
			return;
		case H1_BODY:
			if (buf_add_str(&x->body, s->req.body) == 0)
				break;
			too_large(s);
			return;
		case H1_TRAILERS:
			s->req.ntrailers = 0;
			break;
		case H1_END:
			body_over(s);
			return;
		case H1_HEAD:
		case H1_FAULT:
			answer_fault(s, 400, REASON_BAD_REQUEST, "%s",
				     s->req.why ? s->req.why : "its body cannot be read");
			return;
		}
	}
}

void body_readable(struct session *s)
{
	ssize_t r = flow_fill(&s->up);

	session_deadline(s, s->px->limits.header_ms);
	if (r < 0 && r != -EAGAIN && r != -ENOBUFS)
		session_end(s);
	else
		read_body(s);
}

static bool encoded(const struct head *h)
{
	const struct field *f = head_find(h, "content-encoding");

	return f &&
	       (head_count(h, "content-encoding") > 1 || !str_eq_nocase(f->value, STR("identity")));
}

void body_start(struct session *s)
{
	struct exchange *x = &s->x;
	const struct head *h = &s->req.head;

	if (encoded(h) && !resign_reads_body(s)) {
		answer_fault(s, 415, REASON_CREDENTIAL,
			     "its body could hold a placeholder and comes compressed; send it as "
			     "it is");
		return;
	}
	if (h->body == BODY_LENGTH && h->length > s->px->limits.swap_bytes) {
		too_large(s);
		return;
	}
	if (!exchange_go_on(s))
		return;
	x->carrier.kind = carrier_body(h);
	buf_init(&x->body, s->px->limits.swap_bytes);
	if (buf_reserve(&x->body, 1) < 0)
		die("no room for a byte");
	s->state = SESSION_BODY;
	session_deadline(s, s->px->limits.header_ms);
	session_want(s);
	read_body(s);
}
