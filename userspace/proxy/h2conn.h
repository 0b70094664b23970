/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream that speaks HTTP/2 (http/h2.h), either side: reads, writes, tells lanes. Embedded
 * in who owns it: h2serve.c towards the job, h2pool.c towards upstreams.
 */
#ifndef EGRET_PROXY_H2CONN_H
#define EGRET_PROXY_H2CONN_H

#include "http/h2.h"
#include "proxy/stream.h"

struct h2conn {
	struct loop *loop;
	struct stream *stream;
	struct h2 *h2;
	struct buf out; /* from at on to be written */
	size_t at;
	struct timer kick;
	uint64_t heard, bytes; /* clock_now of the last that came; all that came */
	bool running, again, eof;
	void (*over)(void *owner); /* ends it: h2conn_done */
	void (*opened)(void *owner, struct h2_lane *lane);
	void (*refused)(void *owner, const char *why);
	void *owner;
};

/* Takes over the stream. opened, refused: see h2.h, with owner. */
void h2conn_init(struct h2conn *c, struct loop *l, struct stream *s, bool server,
		 const struct h2_limits *limits, void (*over)(void *owner),
		 void (*opened)(void *owner, struct h2_lane *lane),
		 void (*refused)(void *owner, const char *why), void *owner);
/* Tells the lanes that it is gone, closes the stream. */
void h2conn_done(struct h2conn *c);

#endif
