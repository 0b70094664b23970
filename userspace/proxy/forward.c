/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorded request out and its answer back, both ways at once, each in bounded memory. Called
 * by exchange.c when the record is written, then by the streams. The upstream is as hostile as the
 * client: its heads are parsed as strictly, its interim answers are counted, an injected value that
 * it writes back is overwritten.
 */
#include "proxy/exchange.h"

#include "http/h1_write.h"
#include "proxy/derive.h"
#include "proxy/derived.h"
#include "proxy/websocket.h"
#include "proxy/onward.h"
#include "proxy/uptls.h"

#include <errno.h>
#include <stdio.h>

#define QUIET_MS 20 /* held back no longer: see flow_holds_little */

static void forward_up(struct session *s, bool may_read);
static void forward_down(struct session *s, bool may_read);
static bool on_answer_head(struct flow *f, void *owner);

/* ---- the streams ---- */

static void on_up_readable(void *owner)
{
	forward_down(owner, true);
}

static void on_up_writable(void *owner)
{
	forward_up(owner, false);
}

static void forward_want(struct session *s)
{
	struct exchange *x = &s->x;

	session_want(s);
	upstream_want(x->up, x->down_write_waits ? NULL : on_up_readable,
		      x->up_write_waits ? on_up_writable : NULL, s);
}

void forward_client_readable(struct session *s)
{
	forward_up(s, true);
}

void forward_client_writable(struct session *s)
{
	forward_down(s, false);
}

/* ---- the request ---- */

/* What of the leases must not come back from this host. -ENOMEM. */
static int scrub_ready(struct session *s)
{
	int r = 0;

	s->down.scrub = NULL;
	s->scrub = scrub_free(s->scrub);
	if (s->x.rq.origin.name_n)
		r = creds_scrub(s->px->creds, s->x.rq.q.host, &s->scrub);
	if (r == 0 && !scrub_empty(s->scrub))
		s->down.scrub = s->scrub;
	return r;
}

/* What was read of the body already goes first. A body read whole is sent with its length. */
static void body_parts(struct session *s, struct carrier *k, struct h1_out *o)
{
	static const char *const sums[] = { "content-md5", "digest", "content-digest",
					    "repr-digest" };
	struct exchange *x = &s->x;
	char *length;

	if (x->first.n)
		flow_parts(&s->up, &x->first, 1, false);
	if (!k->body.p)
		return;
	for (size_t i = 0; k->nparts && i < ARRAY_SIZE(sums); i++)
		head_drop(k->head, sums[i]);
	if (!k->nparts) {
		k->parts = &x->carrier.body;
		k->length = k->body.n;
		k->nparts = 1;
	}
	flow_parts(&s->up, k->parts, k->nparts, true);
	x->up_done = false;
	o->body = BODY_LENGTH;
	o->length = k->length;
	length = arena_new(&s->arena, 24);
	snprintf(length, 24, "%zu", k->length);
	head_drop(k->head, "content-length");
	head_add(k->head, &s->arena, STR("content-length"), str_of(length));
}

/* RFC 9110 8.6: HTTP/2 says by its frames that there is none; some servers of HTTP/1.1 refuse these
 * methods without a length. */
static bool body_means(const struct head *h)
{
	return str_is(h->method, "POST") || str_is(h->method, "PUT") || str_is(h->method, "PATCH");
}

static bool write_request(struct session *s)
{
	struct exchange *x = &s->x;
	struct head *h = &s->req.head;
	struct field *fields = h->fields;
	size_t n = h->n, room = h->room;
	bool sized = head_find(h, "content-length") || (s->lane && body_means(h));
	struct h1_out o = { .body = h->body == BODY_NONE && sized ? BODY_LENGTH : h->body,
			    .length = h->length,
			    .websocket = x->rq.websocket };
	int r;

	struct carrier k = x->carrier;

	/* A retry writes the same head again, and values put in now are gone by then: work on a
	 * copy. */
	h->fields = arena_new(&s->arena, (n + 8) * sizeof(*fields));
	if (n)
		memcpy(h->fields, fields, n * sizeof(*fields));
	h->room = n + 8;
	/* What signs a request anew is worth nothing to who reads it back. */
	if ((exchange_credential(x) >= 0 && !x->resign.scope[0]) ||
	    (s->down.scrub && !scrub_loose(s->down.scrub))) {
		head_drop(h, "accept-encoding");
		head_drop(h, "range");
		head_drop(h, "if-range");
		head_add(h, &s->arena, STR("accept-encoding"), STR("identity"));
	}
	r = 0;
	inject_done(&x->inject);
	if (x->derived >= 0) {
		r = derived_swap(s->px->creds, x->rq.q.host, &k, &x->inject);
		s->up.secret = true;
	}
	if (r == 0 && x->credential >= 0) {
		const struct lease *l = exchange_lease(s);

		x->inject.formed = l ? l->formed : NULL;
		r = l ? inject_put(&l->cred, x->rq.q.host,
				   (struct str){ (char *)l->value.p, l->value.n }, &k, &x->inject)
		      : -ESTALE;
		s->up.secret = true;
		if (r == 0)
			creds_used(s->px, x->credential);
	}
	if (r == 0)
		body_parts(s, &k, &o);
	if (r == 0 && x->resign.scope[0])
		r = resign_put(s, exchange_lease(s), k.target);
	if (r == 0)
		r = flow_request(&s->up, h, s->tls, k.target,
				 (struct str){ x->rq.host, x->rq.host_n }, &o);
	if (!k.nparts) /* else they stand in what is still to be sent */
		inject_done(&x->inject);
	h->fields = fields;
	h->n = n;
	h->room = room;
	if (r == 0 || r == -EPIPE) /* that it takes nothing is found when it is written */
		return true;
	x->reusable = true;
	if (r == -EMSGSIZE || r == -E2BIG)
		answer_fault(s, 431, REASON_LIMIT, "the header section is too large");
	else
		answer_fault(s, 502, REASON_CREDENTIAL,
			     "could not put the credential into the request (%s); "
			     "the request was not sent",
			     r == -ESTALE   ? "the lease has expired"
			     : r == -EINVAL ? "its form cannot stand in a header"
					    : "no locked memory is left");
	return false;
}

void forward_start(struct session *s)
{
	struct exchange *x = &s->x;
	const struct limits *l = &s->px->limits;

	if (scrub_ready(s) < 0) {
		x->reusable = true;
		answer_fault(s, 502, REASON_SCRUB,
			     "could not search the answer for credentials (no locked "
			     "memory is left); the request was not sent");
		return;
	}
	if (!write_request(s))
		return;
	s->down.on_head = on_answer_head;
	s->down.owner = s;
	s->down.eof = false;
	s->down.in.n = s->down.in_at = 0;
	h1_init(&s->res, false, &s->limits);
	h1_expect(&s->res, str_is(s->req.head.method, "HEAD"));
	s->state = SESSION_FORWARD;
	x->sent_us = clock_now_us();
	s->progress = clock_now();
	session_deadline(s, l->idle_ms < l->response_ms ? l->idle_ms : l->response_ms);
	forward_up(s, false);
}

/* The client sends its body when the origin says so. */
static bool awaits_word(const struct session *s)
{
	return !s->up.bytes && head_find(&s->req.head, "expect");
}

/* ---- ends ---- */

static void client_lost(struct session *s)
{
	exchange_over(s, REASON_CLIENT_LOST, NULL);
	session_end(s);
}

/* The answer cannot be finished. If none of it was passed on, words can still say so. */
static void answer_broken(struct session *s, unsigned status, enum reason r, const char *why)
{
	if (s->x.head_sent) {
		exchange_over(s, r, why);
		session_abort(s);
		return;
	}
	if (r == REASON_BAD_RESPONSE)
		answer_fault(s, status, r, "could not read the answer of %.*s: %s",
			     (int)s->x.rq.host_n, s->x.rq.host, why);
	else
		answer_fault(s, status, r, "got no answer from %.*s: %s", (int)s->x.rq.host_n,
			     s->x.rq.host, why);
}

/* A pooled connection that the upstream closed at this very moment: once more on a fresh one, if
 * doing it twice does no harm. What the upstream says it has not looked at is asked for again: a
 * connection that takes few streams says so behind the first ones, and one that is over may have
 * many on their way. */
#define UNSEEN_MAX 10u
static bool retry(struct session *s)
{
	struct exchange *x = &s->x;
	const struct head *h = &s->req.head;
	bool ended = s->up.ended;
	bool harmless =
		h->body == BODY_NONE && (str_is(h->method, "GET") || str_is(h->method, "HEAD"));
	bool unseen = x->up->lane && h2_lane_untouched(x->up->lane);
	bool untouched = !s->up.bytes && (!s->up.written_total || unseen);

	if (s->down.read_total || x->head_sent || x->interim || !(harmless || untouched) ||
	    (unseen ? x->unseen++ == UNSEEN_MAX : x->retried || !x->up->reused))
		return false;
	x->h1_only = x->up->lane && h2_lane_wants_h1(x->up->lane);
	exchange_drop(s);
	flow_reset(&s->up);
	flow_reset(&s->down);
	s->up.ended = ended;
	s->down.eof = false;
	x->retried = x->retried || !unseen;
	x->up_done = x->up_lost = x->up_write_waits = x->down_write_waits = false;
	s->state = SESSION_DECIDE;
	timer_del(&s->timer);
	session_want(s);
	exchange_upstream(s, !unseen);
	return true;
}

static void upstream_lost(struct session *s)
{
	char why[96];
	const struct upstream *up = s->x.up;
	const char *said = !up->lane		      ? uptls_lost(stream_ssl(up->stream))
			   : h2_lane_silent(up->lane) ? "is silent: it did not answer a PING either"
			   : h2_lane_wants_h1(up->lane) ? "wants HTTP/1.1 for this"
							: NULL;

	(void)snprintf(why, sizeof(why), "it %s", said ? said : "closed the connection");
	if (!retry(s))
		answer_broken(s, 502, REASON_UPSTREAM_LOST, why);
}

void forward_idle(struct session *s)
{
	struct exchange *x = &s->x;
	const struct limits *l = &s->px->limits;
	uint64_t limit = x->head_sent || !x->up_done ? l->idle_ms : l->response_ms;
	uint64_t idle = clock_now() - s->progress;

	if (idle < limit)
		session_deadline(s, limit - idle);
	else if (x->down_write_waits)
		answer_broken(s, 504, REASON_TIMEOUT, "the client took nothing of it for too long");
	else if (!x->head_sent && !x->up_done && !x->up_write_waits && !awaits_word(s))
		answer_fault(s, 408, REASON_TIMEOUT, "its body took too long");
	else {
		if (x->up && x->up->lane)
			h2_lane_doubt(x->up->lane);
		answer_broken(s, 504, REASON_TIMEOUT, "it took too long");
	}
}

static void complete(struct session *s)
{
	struct exchange *x = &s->x;

	x->reusable = x->up_done && !x->up_lost && s->res.head.keep_alive && !s->down.eof &&
		      !flow_has_input(&s->down);
	if (!x->up_done)
		x->close = true;
	exchange_over(s, REASON_NONE, NULL);
	session_next(s);
}

/* ---- both directions ---- */

static void forward_up(struct session *s, bool may_read)
{
	struct exchange *x = &s->x;
	enum flow_state st = flow_pump(&s->up, may_read);

	s->progress = clock_now();
	x->up_write_waits = false;
	switch (st) {
	case FLOW_READ:
		break;
	case FLOW_WRITE:
		x->up_write_waits = true;
		break;
	case FLOW_DONE:
		x->up_done = true;
		break;
	case FLOW_FAULT:
	case FLOW_REFUSED:
		if (s->up.eof) {
			client_lost(s);
		} else if (x->head_sent) {
			exchange_over(s, REASON_BAD_REQUEST, s->req.why);
			session_abort(s);
		} else {
			answer_fault(s, 400, REASON_BAD_REQUEST, "%s",
				     s->req.why ? s->req.why : "its body cannot be read");
		}
		return;
	case FLOW_READ_LOST:
		client_lost(s);
		return;
	case FLOW_WRITE_LOST:
		/* It may have answered before it closed. */
		x->up_lost = true;
		if (x->up->lane) { /* nobody will tell us: what came is there, or never comes */
			forward_down(s, true);
			return;
		}
		break;
	}
	forward_want(s);
}

static void forward_down(struct session *s, bool may_read)
{
	struct exchange *x = &s->x;
	enum flow_state st = flow_pump(&s->down, may_read);

	s->progress = clock_now();
	x->down_write_waits = false;
	switch (st) {
	case FLOW_READ:
		if (flow_holds_little(&s->down))
			session_kick(s, QUIET_MS);
		break;
	case FLOW_WRITE:
		x->down_write_waits = true;
		break;
	case FLOW_DONE:
		complete(s);
		return;
	case FLOW_FAULT:
		if (s->down.eof)
			answer_broken(s, 502, REASON_UPSTREAM_LOST, "it closed the connection");
		else if (s->down.hold && !s->res.why)
			answer_broken(s, 502, REASON_BAD_RESPONSE,
				      "it hands out credentials and is over limits.swap_bytes");
		else
			answer_broken(s, 502, REASON_BAD_RESPONSE,
				      s->res.why ? s->res.why : "it passes a bound");
		return;
	case FLOW_REFUSED:
		if (x->upgraded)
			upgraded_start(s);
		else
			answer_refuse(s);
		return;
	case FLOW_READ_LOST:
		upstream_lost(s);
		return;
	case FLOW_WRITE_LOST:
		client_lost(s);
		return;
	}
	forward_want(s);
}

void forward_quiet(struct session *s)
{
	s->down.quiet = true;
	forward_down(s, false);
}

/* ---- the answer's head ---- */

static bool refuse_answer(struct session *s, enum reason r, const char *what)
{
	request_fault(&s->x.fault, 502, r, "refused the answer of %.*s: %s", (int)s->x.rq.host_n,
		      s->x.rq.host, what);
	return false;
}

/* false, as for a refusal: what comes behind it is not to be parsed. */
static bool upgraded(struct session *s, struct head *h)
{
	struct exchange *x = &s->x;
	struct h1_out o = { .body = BODY_NONE, .websocket = true };
	const char *why;

	if (s->lane) /* nghttp2 lets no handshake through, so this is only said twice */
		return refuse_answer(s, REASON_BAD_RESPONSE, "HTTP/2 makes no upgrade");
	if (!x->up_done)
		return refuse_answer(s, REASON_BAD_RESPONSE,
				     "it changes the protocol before the request is over");
	if (!websocket_agreed(&s->req.head, h, &why))
		return refuse_answer(s, REASON_BAD_RESPONSE, why);
	if (h1_write_response(&s->down.out, h, &o) < 0)
		return refuse_answer(s, REASON_LIMIT, "its header section is too large");
	x->upgraded = x->head_sent = true;
	x->status = h->status;
	x->first_us = clock_now_us();
	return false;
}

static bool interim(struct session *s, struct head *h)
{
	struct h1_out o = { .body = BODY_NONE };
	int r;

	if (h->status == 101 && s->x.rq.websocket)
		return upgraded(s, h);
	if (h->status == 101)
		return refuse_answer(s, REASON_BAD_RESPONSE, "it changes the protocol unasked");
	if (++s->x.interim > s->px->limits.interim_responses)
		return refuse_answer(s, REASON_LIMIT, "too many interim answers");
	/* HTTP/1.0 has none. */
	r = s->req.head.minor ? flow_answer(&s->down, h, &o) : 0;
	return r != -EMSGSIZE || refuse_answer(s, REASON_LIMIT, "its header section is too large");
}

/* word: in lower case, and a letter first. */
static bool holds_word(struct str s, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= s.n; i++)
		if ((s.p[i] | 0x20) == *word &&
		    str_eq_nocase((struct str){ s.p + i, n }, str_of(word)))
			return true;
	return false;
}

/* In an encoding, or with letters of more than a byte, so that it is not searched. */
static bool opaque(const struct head *h)
{
	const struct field *f;
	struct str e;

	for (size_t at = 0; (f = head_each(h, "content-encoding", &at));) {
		for (size_t i = 0; list_each (f->value, &i, &e);) {
			if (!str_eq_nocase(e, STR("identity")))
				return true;
		}
	}
	f = head_find(h, "content-type");
	return f && (holds_word(f->value, "utf-16") || holds_word(f->value, "utf-32"));
}

/* The answer came before the body: from an origin that ends its connection behind it, or to a
 * client that waited for the word to send on. What it sends now, if it does, could be the body or
 * its next request: it is told that the connection ends (RFC 9110 10.1.1, 9112 9.6). */
static bool takes_no_more(const struct session *s)
{
	return !s->x.up_done && (!s->res.head.keep_alive || awaits_word(s));
}

/* The head as the client gets it. */
static bool answer_begin(struct session *s, struct flow *f, struct head *h)
{
	struct exchange *x = &s->x;
	const struct head *q = &s->req.head;
	bool bodiless = str_is(q->method, "HEAD") || h->status == 204 || h->status == 304;
	struct h1_out o = { .body = h->body, .length = h->length };

	/* HTTP/2 can end such an answer behind its head: nothing of a body may follow it here. */
	if (bodiless)
		o.body = BODY_NONE;
	else if (h->body == BODY_CHUNKED || h->body == BODY_EOF)
		o.body = q->minor ? BODY_CHUNKED : BODY_EOF;
	else if (h->body == BODY_NONE)
		o.body = BODY_LENGTH; /* of 0: said, or the client would wait for more */
	/* A length and trailers behind it: HTTP/1.1 has room for one of them, and who asks for
	 * trailers wants these (RFC 9110 6.5.1). */
	if (o.body == BODY_LENGTH && x->up->lane && !s->lane && q->minor &&
	    head_has_token(q, "te", "trailers"))
		o.body = BODY_CHUNKED;
	o.keep_length = bodiless && h->status != 204;
	x->close = !q->keep_alive || s->stopping || o.body == BODY_EOF || takes_no_more(s);
	o.close = x->close;
	o.keep_alive = !x->close && !q->minor;
	if (flow_answer(f, h, &o) == -EMSGSIZE)
		return refuse_answer(s, REASON_LIMIT, "its header section is too large");
	f->kind = o.body;
	x->status = h->status;
	x->first_us = clock_now_us();
	x->head_sent = true;
	return true;
}

/* A body that hands out credentials, all of it. */
static bool on_answer_whole(struct flow *f, void *owner)
{
	struct session *s = owner;
	struct exchange *x = &s->x;
	struct head *h = &s->res.head;
	const char *why = NULL;
	struct str *parts;
	size_t n, sure;
	char *length;

	if (!derive_body(s, h, buf_str(&x->answer), &parts, &n, &why))
		return refuse_answer(s, REASON_SCRUB, why);
	/* The parts lie in it. */
	if (f->scrub)
		f->scrubbed += scrub_bytes(f->scrub, x->answer.p, x->answer.n, true, &sure);
	h->body = BODY_LENGTH;
	h->length = 0;
	for (size_t i = 0; i < n; i++)
		h->length += parts[i].n;
	length = arena_new(&s->arena, 24);
	snprintf(length, 24, "%llu", (unsigned long long)h->length);
	head_drop(h, "content-length");
	head_add(h, &s->arena, STR("content-length"), str_of(length));
	flow_parts(f, parts, n, true);
	return answer_begin(s, f, h);
}

static bool on_answer_head(struct flow *f, void *owner)
{
	struct session *s = owner;
	struct exchange *x = &s->x;
	struct head *h = &s->res.head;
	enum derive derive;
	const char *why = NULL;
	size_t sure;

	onward_answer(h, &s->arena);
	/* Before anything is searched for: what is handed out once more is known by its value. */
	derive = derive_head(s, h, &why);
	if (derive == DERIVE_REFUSE)
		return refuse_answer(s, REASON_SCRUB, why);
	if (f->scrub) {
		/* The head lies in the arena, so it can be written over; the length stays. */
		scrub_bytes(f->scrub, (char *)h->reason.p, h->reason.n, true, &sure);
		f->scrubbed += flow_scrub_fields(f->scrub, h->fields, h->n);
	}
	if (h->status / 100 == 1)
		return interim(s, h);
	/* The rule allows a WebSocket and not the GET that the handshake would then have been. */
	if (x->rq.websocket && h->status / 100 == 2)
		return refuse_answer(s, REASON_BAD_RESPONSE,
				     "it took a WebSocket's handshake for a plain request");
	if (h->body != BODY_NONE && (f->scrub || derive == DERIVE_WHOLE) && opaque(h) &&
	    (derive == DERIVE_WHOLE || !creds_opaque(s->px->creds, x->rq.q.host)))
		return refuse_answer(
			s, REASON_SCRUB,
			"it came encoded and could not be searched for the credential");
	if (derive == DERIVE_PASS)
		return answer_begin(s, f, h);
	buf_init(&x->answer, s->px->limits.swap_bytes);
	f->hold = &x->answer;
	f->on_whole = on_answer_whole;
	return true;
}
