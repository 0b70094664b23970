/* SPDX-License-Identifier: Apache-2.0 */
/* What upstream.c, which serves who asks, and upstream_ahead.c, which dials before anybody asks,
 * know of each other. Private to the two. */
#ifndef EGRET_PROXY_UPSTREAM_IN_H
#define EGRET_PROXY_UPSTREAM_IN_H

#include "base/resolve.h"
#include "proxy/ahead.h"
#include "proxy/dial.h"
#include "proxy/h2pool.h"
#include "proxy/hosts.h"
#include "proxy/parent.h"
#include "proxy/pool.h"
#include "proxy/speaks.h"

struct upstreams {
	struct resolve *resolve;
	struct uptls *tls;
	struct pool *pool;
	struct h2pool *h2;
	struct speaks speaks;
	struct upstream_want *dialling; /* that could become connections for others too */
	struct ahead places;
	struct upstream_want *ahead; /* dials that nobody asked for yet */
	struct upstream_want *begun; /* the same, as far as TCP; the oldest first */
	struct parent *parent;	     /* NULL: none */
	struct hosts hosts;
};

struct upstream_want {
	struct proxy *px;
	struct pool_key key;
	struct timer now;
	struct resolve_ask *ask;
	struct dial *dial;
	struct pooled *ready;
	struct upstream_fault fault;
	bool recorded, h2, fresh;
	bool ahead; /* for who will ask: fn is NULL */
	bool begun; /* ahead, and no further than TCP: the rest is for who takes it */
	bool taken; /* it has the TCP connection of one that was begun */
	/* Who takes one whose name is still being resolved goes on when that is done. */
	struct upstream_want *heir, *heir_of;
	enum shape_h2 offer;
	/* Asks of one key wait for the first one's dial: it may serve them all. One waits for each
	 * that was dialled ahead. */
	struct upstream_want
		*next; /* in dialling or ahead, or among those that wait for one of these */
	struct upstream_want *leader, *waiting;
	bool by_parent, shaped;
	struct hello_shape shape;
	struct client_cert *cert;
	upstream_fn fn;
	void *owner;
};

/* Resolved, judged and dialled, or what was begun is taken. Ends by want_dialled or in a fault,
 * later.
 */
void want_find(struct upstream_want *w);
/* Without the addresses. Points into w. */
struct dial_want want_dial(const struct upstream_want *w);
void want_dialled(void *owner, struct stream *s, const uint8_t addr[16],
		  const struct upstream_fault *fault);
void want_leave(struct upstream_want **list, struct upstream_want *w);
/* The dial of w is over, or given up: those that waited for it look again, or fail as it did. */
void want_release(struct upstream_want *w, bool failed);
void want_free(struct upstream_want *w);
bool upstreams_by_parent(const struct upstreams *u, struct str host, uint16_t port);

/* The end of one that nobody asked for. */
void ahead_finish(struct upstream_want *w);
/* Takes what was begun for w's host, if something was: then w is called when it is done. */
bool ahead_take(struct upstream_want *w);
/* The place that c was in use at has one less. */
void ahead_out_of_use(struct upstreams *u, struct pooled *c);
void ahead_leave(struct upstreams *u, uint64_t netns);

#endif
