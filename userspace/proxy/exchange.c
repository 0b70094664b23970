/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request up to its first byte, in the one order that promise P7 allows: canonical name and
 * target, verdict, credential, upstream, record in the ring, and only then a byte of it towards the
 * upstream, which is dialled as soon as the verdict stands. A denied request never touches one.
 * Called by session.c with a parsed head; each step may wait, and each wait has one way out that
 * refuses.
 */
#include "proxy/bind.h"
#include "proxy/body.h"
#include "proxy/creds_fit.h"
#include "proxy/git.h"
#include "proxy/keys.h"
#include "proxy/override.h"
#include "proxy/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* ---- events ---- */

const struct lease *exchange_lease(const struct session *s)
{
	if (s->x.credential < 0)
		return NULL;
	return creds_now_scope(s->px->creds, s->x.credential, str_of(s->x.resign.scope));
}

void exchange_event(const struct session *s, struct event *e, enum event_kind kind,
		    enum event_verdict v, enum reason r)
{
	const struct exchange *x = &s->x;
	const struct request *rq = &x->rq;
	struct buf url;

	request_id((struct request *)rq);
	record_begin(s->px, e, kind, v, r, x->named || rq->origin.port ? &rq->origin : &s->origin,
		     rq->policy, rq->verdict.rule);
	event_text(e, FIELD_REQUEST, str_of(rq->id));
	if (x->up && !s->origin.addr)
		event_addr(e, FIELD_DEST_IP, x->up->addr);
	if (x->parsed)
		event_text(e, FIELD_HTTP_METHOD, x->named ? rq->q.method : s->req.head.method);
	if (x->named) {
		buf_init(&url, 2 * s->limits.target_bytes + 512);
		if (request_url(rq, &url) == 0)
			event_text(e, FIELD_HTTP_URL, buf_str(&url));
		buf_done(&url);
	}
	if (kind == EVENT_HTTP_REQUEST && x->refs.n)
		event_text(e, FIELD_GIT_REFS, x->refs);
	if (exchange_credential(x) >= 0) {
		struct credential c = creds_at(s->px->creds, exchange_credential(x));
		const struct lease *l = exchange_lease(s);

		if (l)
			event_put(e, &l->said);
		else
			creds_say(e, &c, STR(""));
	}
}

void exchange_over(struct session *s, enum reason r, const char *message)
{
	struct exchange *x = &s->x;
	uint64_t now = clock_now_us();
	struct event e;

	exchange_event(s, &e, EVENT_HTTP_RESPONSE, VERDICT_NONE, r);
	if (x->status)
		event_num(&e, FIELD_HTTP_STATUS, x->status);
	if (message)
		event_text(&e, FIELD_MESSAGE, str_of(message));
	event_num(&e, FIELD_BYTES_OUT, s->up.bytes);
	event_num(&e, FIELD_BYTES_IN, s->down.bytes);
	event_num(&e, FIELD_TIME_TOTAL, now - x->start_us);
	if (x->sent_us && x->first_us > x->sent_us)
		event_num(&e, FIELD_TIME_UPSTREAM, x->first_us - x->sent_us);
	record_note(s->px, &e);
}

/* ---- the credential ---- */

static void on_credential(void *owner, const struct lease *l, const char *why)
{
	struct session *s = owner;
	struct credential c = creds_at(s->px->creds, s->x.credential);

	s->x.want_credential = NULL;
	if (!l) {
		answer_fault(s, 502, REASON_CREDENTIAL,
			     "could not get credential %.*s (%s); the request was not sent",
			     STR_ARG(credential_name(&c)), why);
		return;
	}
	exchange_upstream(s, false);
}

/* ---- the upstream ---- */

static unsigned fault_status(enum reason r)
{
	switch (r) {
	case REASON_ADDRESS:
		return 403;
	case REASON_TIMEOUT:
		return 504;
	case REASON_LIMIT:
	case REASON_AUDIT_DOWN:
		return 503;
	default:
		return 502;
	}
}

static void on_recorded(void *owner, int err, uint64_t n)
{
	struct session *s = owner;

	s->x.want_record = NULL;
	if (err < 0) {
		s->x.reusable = true; /* nothing was sent on it */
		answer_fault(s, 503, REASON_AUDIT_DOWN, "could not record the request");
		return;
	}
	s->x.recorded = true;
	upstream_recorded(s->px, s->x.up, s->x.rq.origin.shape);
	forward_start(s);
}

/* It was renewed, exchanged or revoked since it was looked for, while the upstream was dialled:
 * what there is now goes with the request, once. */
static bool lease_again(struct session *s)
{
	struct exchange *x = &s->x;

	if (x->credential < 0 || x->recorded || x->leased_again || exchange_lease(s))
		return false;
	x->leased_again = true;
	upstream_put(s->px, TAKE_PTR(x->up), true); /* nothing was sent on it */
	s->up.to = s->down.from = NULL;
	s->up.to_lane = s->down.from_lane = NULL;
	x->want_credential =
		creds_get_scope(s->px, x->credential, str_of(x->resign.scope), on_credential, s);
	return true;
}

static void on_upstream(void *owner, struct upstream *u, const struct upstream_fault *f)
{
	struct session *s = owner;
	struct exchange *x = &s->x;
	struct record_wait *w;
	struct event e;

	x->want_upstream = NULL;
	if (!u) {
		if (f->reason == REASON_ADDRESS)
			answer_fault(s, 403, f->reason,
				     "%.*s leads to an address that is never dialled: %s",
				     (int)x->rq.host_n, x->rq.host, f->text);
		else
			answer_fault(s, fault_status(f->reason), f->reason,
				     "could not reach %.*s: %s", (int)x->rq.host_n, x->rq.host,
				     f->text);
		return;
	}
	x->up = u;
	s->up.to = s->down.from = u->stream;
	s->up.to_lane = s->down.from_lane = u->lane;
	if (s->tls && !u->verified) {
		answer_fault(s, 502, REASON_CERTIFICATE, "could not verify the certificate of %.*s",
			     (int)x->rq.host_n, x->rq.host);
		return;
	}
	if (lease_again(s))
		return;
	if (x->recorded) { /* the retry of a recorded request */
		forward_start(s);
		return;
	}
	exchange_event(s, &e, EVENT_HTTP_REQUEST, x->rq.verdict.verdict, x->rq.verdict.reason);
	if (x->rq.verdict.verdict == VERDICT_WOULD_DENY)
		event_text(&e, FIELD_NEAREST, x->rq.verdict.nearest);
	/* May answer at once, and the session may be gone then. */
	x->want_record = NULL;
	w = record_decision(s->px, &e, on_recorded, s);
	if (w)
		s->x.want_record = w;
}

static struct upstream_ask ask_of(const struct session *s)
{
	const struct exchange *x = &s->x;
	const struct request *rq = &x->rq;
	struct upstream_ask ask = { .port = rq->q.port,
				    .netns = sockets_from(s->origin.netns),
				    .tls = s->tls,
				    .h2 = s->tls && !rq->websocket && !x->h1_only,
				    .shape = rq->origin.shape };

	if (rq->origin.name_n)
		ask.host = rq->q.host;
	else
		ask.addr = rq->origin.addr;
	/* A retry: the request's record is there. */
	ask.recorded = x->recorded;
	if (exchange_credential(x) >= 0) {
		struct credential c = creds_at(s->px->creds, exchange_credential(x));
		const struct lease *l = NULL;

		ask.credential = credential_name(&c);
		if (credential_provider(&c) == PROVIDER_MTLS)
			l = creds_now(s->px->creds, x->credential);
		if (l)
			ask.cert = l->cert;
	}
	return ask;
}

void exchange_upstream(struct session *s, bool fresh)
{
	struct exchange *x = &s->x;
	struct upstream_ask ask = ask_of(s);

	ask.fresh = fresh;
	x->want_upstream = upstream_get(s->px, &ask, on_upstream, s);
}

/* ---- the request ---- */

bool exchange_go_on(struct session *s)
{
	struct head *h = &s->req.head, go_on = { .status = 100 };
	struct h1_out o = { .body = BODY_NONE };

	if (!h->minor || !head_has_token(h, "expect", "100-continue"))
		return true;
	if (flow_answer(&s->down, &go_on, &o) < 0 || flow_flush(&s->down) < 0) {
		session_abort(s);
		return false;
	}
	head_drop(h, "expect");
	return true;
}

static void connect_start(struct session *s)
{
	static const char ok[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	session_connect_fn fn = session_connect_handler();
	struct exchange *x = &s->x;
	struct proxy *px = s->px;
	struct origin o;
	int fd;

	if (s->tls || !fn) {
		answer_fault(s, 400, REASON_BAD_REQUEST, "CONNECT inside TLS");
		return;
	}
	if (!request_connect(&s->origin, &s->req.head, &x->rq, &x->fault)) {
		answer_refuse(s);
		return;
	}
	if (flow_has_input(&s->up) || stream_has_buffered(s->client)) {
		answer_fault(s, 400, REASON_BAD_REQUEST,
			     "there are bytes behind CONNECT before its answer");
		return;
	}
	if (stream_write(s->client, ok, sizeof(ok) - 1) != (ssize_t)sizeof(ok) - 1) {
		session_abort(s);
		return;
	}
	/* The connection goes on with another reader: the socket stays, this session does not. */
	fd = fcntl(stream_fd(s->client), F_DUPFD_CLOEXEC, 3);
	if (fd < 0) {
		session_abort(s);
		return;
	}
	o = x->rq.origin;
	if (o.addr)
		o.addr = o.record.addr;
	session_end(s);
	fn(px, fd, &o);
}

void exchange_start(struct session *s)
{
	struct exchange *x = &s->x;
	struct head *h = &s->req.head;

	s->state = SESSION_DECIDE;
	session_want(s);
	if (str_is(h->method, "CONNECT")) {
		connect_start(s);
		return;
	}
	if (s->lane && !str_is(h->scheme, s->tls ? "https" : "http")) {
		answer_fault(s, 400, REASON_BAD_TARGET,
			     "the request's scheme is not the connection's");
		return;
	}
	if (s->lane && !h1_method_known(h->method)) {
		answer_fault(s, 501, REASON_BAD_REQUEST,
			     "refused the request: the method is not known");
		return;
	}
	if (!request_read(&s->origin, s->tls, h, &s->target, &x->rq, &x->fault)) {
		answer_refuse(s);
		return;
	}
	x->named = true;
	if (keys_asked(s)) {
		keys_answer(s);
		return;
	}
	if (!request_decide(s->px, &x->rq, h, &x->fault)) {
		answer_refuse(s);
		return;
	}
	if (x->rq.verdict.refs)
		git_start(s);
	else
		exchange_allowed(s);
}

/* While its credential is asked for: the verdict stands, and with no certificate to show it is
 * known already what will be dialled. */
static void dial_meanwhile(struct session *s)
{
	struct credential c = creds_at(s->px->creds, s->x.credential);
	struct upstream_ask ask = ask_of(s);

	if (credential_provider(&c) != PROVIDER_MTLS)
		upstream_ahead(s->px, &ask);
}

void exchange_allowed(struct session *s)
{
	struct exchange *x = &s->x;

	if (body_wanted(s)) {
		body_start(s);
		return;
	}
	if (!bind_choose(s))
		return;
	if (x->credential >= 0 && !exchange_lease(s)) {
		x->want_credential = creds_get_scope(s->px, x->credential, str_of(x->resign.scope),
						     on_credential, s);
		dial_meanwhile(s);
		return;
	}
	if (x->credential >= 0)
		creds_ahead(s->px, x->credential, str_of(x->resign.scope));
	exchange_upstream(s, false);
}
