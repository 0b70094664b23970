/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals of the session: the record first (its number stands in the reason phrase), then the
 * words, then what is left of the request's body is thrown away so that the client reads the answer
 * instead of a reset. Called by session.c, exchange.c and forward.c.
 */
#include "proxy/git.h"
#include "proxy/onward.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define DRAIN_MAX (64u << 10) /* bodies up to this are read, and the connection goes on */
/* git reads no answer before its whole push is taken. */
#define DRAIN_PUSH_MAX (4ull << 30)
#define ANSWER_MS 30000u

static void pump_answer(struct session *s, bool may_read);

static enum event_verdict verdict_of(enum reason r)
{
	switch (r) {
	case REASON_RESOLVE:
	case REASON_CONNECT:
	case REASON_CERTIFICATE:
	case REASON_UPSTREAM_TLS:
	case REASON_UPSTREAM_LOST:
	case REASON_BAD_RESPONSE:
	case REASON_TIMEOUT:
	case REASON_SCRUB:
		return VERDICT_NONE; /* allowed, and it went wrong */
	default:
		return VERDICT_DENY;
	}
}

/* "no rule allows POST api.github.com/gists" */
static void say_verdict(struct session *s)
{
	struct exchange *x = &s->x;
	const struct verdict *v = &x->rq.verdict;
	struct buf brief;
	struct str b;

	buf_init(&brief, s->limits.target_bytes + 512);
	b = request_brief(&x->rq, &brief) == 0 ? buf_str(&brief) : STR("the request");
	if (v->rule.n)
		request_fault(&x->fault, 403, v->reason, "rule %.*s denies %.*s", STR_ARG(v->rule),
			      (int)(b.n < 200 ? b.n : 200), b.p);
	else if (v->reason == REASON_NO_RULE)
		request_fault(&x->fault, 403, v->reason, "no rule allows %.*s",
			      (int)(b.n < 200 ? b.n : 200), b.p);
	else
		request_fault(&x->fault, 403, v->reason, "%s: %.*s", reason_sentence(v->reason),
			      (int)(b.n < 200 ? b.n : 200), b.p);
	buf_done(&brief);
}

static struct str suggestion(struct session *s, struct buf *to)
{
	const struct exchange *x = &s->x;

	if (!x->named || x->rq.verdict.rule.n ||
	    (x->fault.reason != REASON_NO_RULE && x->fault.reason != REASON_NARROWED) ||
	    policy_suggest(&x->rq.q, to) < 0)
		return (struct str){ NULL, 0 };
	return buf_str(to);
}

static bool asks_grpc(const struct head *h)
{
	const struct field *f = head_find(h, "content-type");

	return f && str_starts(f->value, "application/grpc");
}

/* gRPC's own form of an answer that is nothing but an error. */
static int write_grpc(struct session *s, const struct refusal *r)
{
	struct head h = { .status = 200 };
	char message[REFUSAL_GRPC_MAX + 1];
	struct str code = refusal_grpc(r, message);

	head_add(&h, &s->arena, STR("date"), onward_date());
	head_add(&h, &s->arena, STR("content-type"), STR("application/grpc"));
	head_add(&h, &s->arena, STR("grpc-status"), code);
	head_add(&h, &s->arena, STR("grpc-message"), str_of(message));
	return h2_lane_answer(s->lane, &h, true);
}

/* The words on a lane of HTTP/2, which has no reason phrase. */
static int write_lane(struct session *s, const struct refusal *r, struct str accept, bool head_only)
{
	struct head h = { .status = r->status };
	char length[24];
	struct buf body;
	struct str type;
	int e;

	if (s->x.parsed && asks_grpc(&s->req.head))
		return write_grpc(s, r);
	buf_init(&body, 1u << 18);
	e = refusal_body(r, accept, &body, &type);
	if (e == 0) {
		snprintf(length, sizeof(length), "%zu", body.n);
		head_add(&h, &s->arena, STR("date"), onward_date());
		head_add(&h, &s->arena, STR("content-type"), type);
		head_add(&h, &s->arena, STR("content-length"), str_of(length));
		head_add(&h, &s->arena, STR("cache-control"), STR("no-store"));
		e = h2_lane_answer(s->lane, &h, head_only);
	}
	if (e == 0 && !head_only)
		e = h2_lane_write(s->lane, buf_str(&body));
	if (e == 0 && !head_only)
		e = h2_lane_end(s->lane, NULL, 0);
	buf_done(&body);
	return e;
}

static void on_numbered(void *owner, int err, uint64_t seq)
{
	struct session *s = owner;
	struct exchange *x = &s->x;
	const struct head *h = &s->req.head;
	const struct field *accept = x->parsed ? head_find(h, "accept") : NULL;
	struct str wants = accept ? accept->value : (struct str){ NULL, 0 };
	bool head_only = x->parsed && str_is(h->method, "HEAD");
	const struct policy *p = x->rq.policy	    ? x->rq.policy
				 : s->px->npolicies ? s->px->policies
						    : NULL;
	struct refusal r = { .status = x->fault.status,
			     .reason = x->fault.reason,
			     .sentence = str_of(x->fault.sentence),
			     .event = err < 0 ? 0 : seq };
	struct buf url, allow, report;
	bool keep;
	int e;

	x->want_record = NULL;
	buf_init(&url, 2 * s->limits.target_bytes + 512);
	buf_init(&allow, 2 * s->limits.target_bytes + 512);
	if (x->parsed)
		r.method = x->named ? x->rq.q.method : h->method;
	if (x->named && request_url(&x->rq, &url) == 0)
		r.url = buf_str(&url);
	if (p)
		r.policy = policy_name(p);
	r.rule = x->rq.verdict.rule;
	if (verdict_of(r.reason) == VERDICT_DENY) {
		r.nearest = x->rq.verdict.nearest;
		r.allow = suggestion(s, &allow);
	}
	buf_init(&report, 1u << 18);
	if (x->git)
		git_refusal(s, &r, &report);
	x->drain = r.body.n ? DRAIN_PUSH_MAX : DRAIN_MAX;
	/* The connection goes on only where the end of this request is certain and near. */
	keep = x->parsed && s->req.at != H1_AT_FAULT && h->keep_alive && !s->stopping &&
	       (h->body == BODY_NONE ||
		(h->body == BODY_LENGTH && s->req.left <= DRAIN_MAX && !head_find(h, "expect")));
	if (x->up_done || r.body.n)
		keep = x->parsed && h->keep_alive && !s->stopping;
	else if (r.status == 408)
		keep = false; /* it had its time */
	x->close = !keep;
	s->down.out.n = s->down.out_at = 0;
	s->down.pending.n = 0;
	e = s->lane ? write_lane(s, &r, wants, head_only)
		    : refusal_write(&r, wants, head_only, x->close, x->parsed && !h->minor,
				    &s->down.out);
	buf_done(&url);
	buf_done(&allow);
	buf_done(&report);
	if (e < 0) {
		session_abort(s);
		return;
	}
	if (s->lane) {
		if (r.body.n)
			h2_lane_drain(s->lane, DRAIN_PUSH_MAX);
		session_end(s);
		return;
	}
	s->state = SESSION_ANSWER;
	flow_discard(&s->up);
	s->drained = s->up.bytes;
	if (!x->parsed || s->req.at == H1_AT_FAULT)
		x->up_done = true; /* nothing of it can be told from the next */
	session_deadline(s, ANSWER_MS);
	pump_answer(s, false);
}

void answer_refuse(struct session *s)
{
	struct exchange *x = &s->x;
	enum event_verdict v = verdict_of(x->fault.reason);
	struct record_wait *w;
	struct buf allow;
	struct event e;
	struct str line;

	s->state = SESSION_REFUSE;
	timer_del(&s->timer);
	session_want(s);
	if (!x->fault.sentence[0])
		say_verdict(s);
	/* A request that was allowed and failed before its record: that it was allowed is recorded
	 * too. */
	if (v == VERDICT_NONE && !x->recorded && x->named) {
		exchange_event(s, &e, EVENT_HTTP_REQUEST, x->rq.verdict.verdict,
			       x->rq.verdict.reason);
		record_note(s->px, &e);
		x->recorded = true;
	}
	exchange_event(s, &e, x->recorded ? EVENT_HTTP_RESPONSE : EVENT_HTTP_REQUEST,
		       x->recorded ? VERDICT_NONE : VERDICT_DENY, x->fault.reason);
	event_text(&e, FIELD_MESSAGE, str_of(x->fault.sentence));
	if (x->recorded) {
		event_num(&e, FIELD_HTTP_STATUS, x->fault.status);
		event_num(&e, FIELD_TIME_TOTAL, clock_now_us() - x->start_us);
	} else {
		const struct field *host = x->parsed ? head_find(&s->req.head, "host") : NULL;

		event_text(&e, FIELD_NEAREST, x->rq.verdict.nearest);
		buf_init(&allow, 2 * s->limits.target_bytes + 512);
		line = suggestion(s, &allow);
		if (line.n)
			event_text(&e, FIELD_SUGGEST, line);
		buf_done(&allow);
		if (host && x->fault.reason == REASON_HOST_MISMATCH)
			event_text(&e, FIELD_HTTP_HOST, host->value);
	}
	exchange_drop(s);
	if (x->fault.reason == REASON_AUDIT_DOWN) {
		/* The ring just refused one: do not wait for it again. */
		record_note(s->px, &e);
		on_numbered(s, -ETIMEDOUT, 0);
		return;
	}
	/* May answer at once, and the session may be gone then. */
	w = record_wait(s->px, &e, true, on_numbered, s);
	if (w)
		x->want_record = w;
}

void answer_fault(struct session *s, unsigned status, enum reason r, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	request_fault(&s->x.fault, status, r, "%s", text);
	answer_refuse(s);
}

static void on_own_recorded(void *owner, int err, uint64_t n)
{
	struct session *s = owner;
	struct exchange *x = &s->x;
	struct head h = { .status = 200, .reason = STR("OK") };
	struct h1_out o = { .body = BODY_LENGTH, .length = x->own.n };
	char *length = arena_new(&s->arena, 24);

	x->want_record = NULL;
	if (err < 0) {
		answer_fault(s, 503, REASON_AUDIT_DOWN, "could not record the request");
		return;
	}
	x->recorded = true;
	x->status = 200;
	x->close = !s->req.head.keep_alive || s->stopping;
	o.close = x->close;
	snprintf(length, 24, "%zu", x->own.n);
	head_add(&h, &s->arena, STR("date"), onward_date());
	head_add(&h, &s->arena, STR("content-type"), str_of(x->own_type));
	head_add(&h, &s->arena, STR("content-length"), str_of(length));
	head_add(&h, &s->arena, STR("cache-control"), STR("no-store"));
	if (h1_write_response(&s->down.out, &h, &o) < 0 || buf_add_str(&s->down.out, x->own) < 0) {
		session_abort(s);
		return;
	}
	s->state = SESSION_ANSWER;
	x->drain = DRAIN_MAX;
	flow_discard(&s->up);
	s->drained = s->up.bytes;
	s->down.bytes = x->own.n;
	exchange_over(s, REASON_NONE, NULL);
	session_deadline(s, ANSWER_MS);
	pump_answer(s, false);
}

void answer_own(struct session *s, const char *type, struct str body)
{
	struct exchange *x = &s->x;
	struct record_wait *w;
	struct event e;

	s->state = SESSION_REFUSE;
	session_want(s);
	x->own = arena_str(&s->arena, body);
	x->own_type = type;
	exchange_event(s, &e, EVENT_HTTP_REQUEST, VERDICT_ALLOW, REASON_PLACEHOLDER);
	/* May answer at once, and the session may be gone then. */
	w = record_decision(s->px, &e, on_own_recorded, s);
	if (w)
		x->want_record = w;
}

/* ---- writing it, and reading on meanwhile ---- */

static void pump_answer(struct session *s, bool may_read)
{
	struct exchange *x = &s->x;
	enum flow_state st;
	int e;

	if (!x->up_done) {
		st = flow_pump(&s->up, may_read);
		if (st != FLOW_READ)
			x->up_done = true;
		if (st != FLOW_READ && st != FLOW_DONE)
			x->close = true;
		if (s->up.bytes - s->drained > x->drain) {
			x->close = true;
			x->up_done = true;
		}
		if (x->drain > DRAIN_MAX)
			session_deadline(s, ANSWER_MS); /* since the last bytes */
	}
	e = flow_flush(&s->down);
	if (e < 0 && e != -EAGAIN) {
		session_end(s);
		return;
	}
	x->down_write_waits = e == -EAGAIN;
	if (!x->down_write_waits && x->close) {
		session_linger(s);
		return;
	}
	if (!x->down_write_waits && x->up_done) {
		session_next(s);
		return;
	}
	session_want(s);
}

void answer_client_readable(struct session *s)
{
	pump_answer(s, true);
}

void answer_client_writable(struct session *s)
{
	pump_answer(s, false);
}
