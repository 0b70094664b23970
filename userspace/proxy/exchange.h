/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the session's files:
 *
 *   session.c    the connection: reading heads, timers, the end
 *   git.c        the refs of a push, read before they are decided about
 *   bind.c       which credential goes with it; body.c: bodies that can hold its placeholder
 *   exchange.c   one request up to its first byte: decide, credential, upstream, record (P7)
 *   forward.c    the request out, the answer back
 *   answer.c     refusals: record, words, draining
 *
 * A function that may free the session says so by returning false ("gone") or is the last call of
 * its caller.
 */
#ifndef EGRET_PROXY_EXCHANGE_H
#define EGRET_PROXY_EXCHANGE_H

#include "base/clock.h"
#include "http/h1.h"
#include "proxy/creds.h"
#include "proxy/flow.h"
#include "proxy/inject.h"
#include "proxy/relay.h"
#include "proxy/request.h"
#include "proxy/resign.h"
#include "proxy/session.h"
#include "proxy/upstream.h"

enum session_state {
	SESSION_HEAD,	/* before a head, or inside one */
	SESSION_LIST,	/* reads what the decision needs of the body (git.c) */
	SESSION_BODY,	/* reads a body that may hold a placeholder (body.c) */
	SESSION_DECIDE, /* waits for a credential, an upstream or the ring; nothing is read */
	SESSION_FORWARD,
	SESSION_REFUSE,	  /* waits for the record's number */
	SESSION_ANSWER,	  /* a refusal is being written, the request's body thrown away */
	SESSION_UPGRADED, /* a WebSocket: the relay has the streams */
	SESSION_LINGER	  /* our side is closed; what the client still sends is thrown away for a
			     moment */
};

/* One request and its answer. Zeroed for each. */
struct exchange {
	struct request rq;
	bool parsed;		/* the head was read: method and framing are known */
	bool named;		/* rq holds a canonical name and target */
	bool recorded;		/* http.request is written */
	int credential;		/* index in px->creds, -1: none */
	int derived;		/* the one that a mark in it comes from (derived.h), -1: none */
	struct git_ask *git;	/* a push that is judged by its refs */
	struct str refs;	/* what it moves; n = 0: not read */
	struct str first;	/* read of the body already: sent before the rest */
	struct carrier carrier; /* where a credential can stand; target is what is sent */
	struct buf body;	/* of the carrier */
	struct buf answer;	/* read whole: it hands out credentials (derive.h) */
	struct inject inject;
	struct resign resign; /* AWS: signed anew */
	struct str own;	      /* egret's own answer */
	const char *own_type;
	struct creds_want *want_credential;
	struct upstream_want *want_upstream;
	struct record_wait *want_record;
	struct upstream *up;
	bool retried;		 /* on another connection */
	unsigned unseen;	 /* so often the upstream said that it had not looked at it */
	bool leased_again;	 /* its lease went while the upstream was dialled */
	bool h1_only;		 /* the origin wants no HTTP/2 for this one */
	bool up_done, down_done; /* request sent; answer passed on */
	bool up_lost;		 /* the upstream takes no more of the request */
	bool up_write_waits, down_write_waits;
	bool head_sent; /* the answer's head is on its way */
	bool upgraded;	/* it was a 101 that was asked for */
	unsigned status, interim;
	uint64_t drain; /* of the body behind a refusal, before the connection is closed */
	bool reusable;	/* the upstream, after this */
	bool close;	/* our connection, after this */
	struct request_fault fault;
	uint64_t start_us, sent_us, first_us;
};

struct session {
	struct proxy *px;
	struct stream *client; /* NULL: HTTP/2, and there is */
	struct h2_lane *lane;
	bool tls;
	bool stopping;
	struct origin origin;
	void (*rest)(void *owner, struct stream *client, bool served);
	void (*done)(void *owner);
	void *owner;
	enum session_state state;
	struct h1_limits limits;
	struct h1 req, res;
	struct flow up, down;
	struct arena arena;  /* of one exchange */
	struct buf target;   /* the canonical target */
	struct scrub *scrub; /* of the exchange's host; or NULL */
	struct timer timer;  /* the state's deadline */
	struct timer kick;   /* bytes are there already, or nothing followed those that are held */
	struct relay *relay;
	size_t relay_head; /* bytes of the 101, which is no part of what the two say */
	uint64_t progress; /* clock_now of the last byte */
	uint64_t drained;
	bool served; /* a head came, whole */
	struct exchange x;
};

/* session.c */
void session_end(struct session *s);   /* frees it and calls done */
void session_abort(struct session *s); /* the same, the client sees a reset */
void session_next(struct session *s);  /* the exchange is over: the next request, or the end */
void session_linger(struct session *s);
session_connect_fn session_connect_handler(void);
void session_deadline(struct session *s, uint64_t ms);
void session_kick(struct session *s, uint64_t ms);
void session_want(struct session *s);
void exchange_drop(
	struct session *s); /* cancels what the exchange waits for, gives the upstream back */

/* The credential that the request goes by: its own value, or what was handed out to who had it. */
static inline int exchange_credential(const struct exchange *x)
{
	return x->credential >= 0 ? x->credential : x->derived;
}

/* exchange.c */
void exchange_start(struct session *s);	  /* a head is in s->req.head */
void exchange_allowed(struct session *s); /* the verdict stands */
void exchange_upstream(struct session *s, bool fresh);
/* Asks for a body that was to be asked for: it is needed before the origin can ask. false: gone. */
bool exchange_go_on(struct session *s);
/* Of the credential that goes with it; NULL: none, or none any more. */
const struct lease *exchange_lease(const struct session *s);
/* Fields that each event of the exchange has. */
void exchange_event(const struct session *s, struct event *e, enum event_kind kind,
		    enum event_verdict v, enum reason r);
/* Closes the record: http.response. r: REASON_NONE when all went well. */
void exchange_over(struct session *s, enum reason r, const char *message);

/* forward.c */
void forward_start(struct session *s); /* the record is written */
void forward_client_readable(struct session *s);
void forward_client_writable(struct session *s);
void forward_idle(struct session *s); /* a deadline passed */
void forward_quiet(struct session *s);

/* upgraded.c */
void upgraded_start(struct session *s);
void upgraded_stop(struct session *s, enum reason r, const char *message);

/* answer.c */
/* Refuses the request by x.fault; verdict: what the record says of it. */
void answer_refuse(struct session *s);
/* Shorthand: sets x.fault first. */
void answer_fault(struct session *s, unsigned status, enum reason r, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* A request that egret answers itself: recorded, and no upstream is asked. */
void answer_own(struct session *s, const char *type, struct str body);
void answer_client_readable(struct session *s);
void answer_client_writable(struct session *s);

#endif
