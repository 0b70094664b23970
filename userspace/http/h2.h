/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 (RFC 9113) by nghttp2: one connection's codec, either side. Pure: bytes in by h2_feed,
 * bytes out by h2_pull, no I/O, no clock. nghttp2's types stay in h2.c and h2_send.c.
 *
 * A lane is one stream: a request and its answer. It is read as h1.h's connections are - the same
 * events, the same outputs - so that who moves messages need not know what wire they came by.
 * Memory is bounded: a head by limits, a body by the window that is opened again only as its bytes
 * are taken. The connection's own window is opened at once, so one slow lane holds up no other.
 *
 * Nobody is called from inside h2_feed but `opened` and `refused`; lanes are told by h2_run.
 */
#ifndef EGRET_HTTP_H2_H
#define EGRET_HTTP_H2_H

#include "http/h1.h"

struct h2;
struct h2_lane;

struct h2_limits {
	size_t header_bytes, header_count;
	size_t buffer_bytes;  /* of a body that waits to be sent, a lane */
	uint32_t window;      /* bytes of a body that came and were not taken, a lane */
	uint32_t lanes;	      /* at once */
	uint32_t idle_frames; /* frames that carry no message, before the connection is ended */
};

struct h2_calls {
	void (*opened)(void *owner, struct h2_lane *l); /* server: the callee's from now on */
	/* A message of the peer broke the protocol; its lane is reset. why: a sentence, static or
	 * nghttp2's. */
	void (*refused)(void *owner, const char *why);
	void (*kick)(void *owner); /* something is to be done: h2_run, h2_pull */
};

/* calls is borrowed. */
struct h2 *h2_new(bool server, const struct h2_limits *limits, const struct h2_calls *calls,
		  void *owner);
/* Lanes that are still held are dead from now on; h2_lane_close is still to be called for them.
 * NULL; accepts NULL. */
struct h2 *h2_free(struct h2 *h);
/* The connection is gone: every lane is told. Before h2_free. */
void h2_lose(struct h2 *h);
/* 0; -EPROTO: the connection is broken (h2_why); what h2_pull gives is still to be sent. */
int h2_feed(struct h2 *h, const void *p, size_t n) MUST_CHECK;
/* Tells lanes of their news. */
void h2_run(struct h2 *h);
/* Appends what is to be sent, some 32 KiB in one go; true: there is more. */
bool h2_pull(struct h2 *h, struct buf *to);
/* Everything was said and heard: the connection can be closed. */
bool h2_over(const struct h2 *h);
bool h2_flooded(const struct h2 *h); /* ended by limits.idle_frames */
const char *h2_why(const struct h2 *h);
/* Asks the peer for a sign of life. */
void h2_ping(struct h2 *h);
/* None came: what lanes are told when h2_lose follows. */
void h2_silent(struct h2 *h);
/* No lane is opened any more; those that are go on. */
void h2_goaway(struct h2 *h);
size_t h2_lanes(const struct h2 *h); /* held, or not sent to their end */
/* Client: may another lane be opened now? going: never again. */
bool h2_room(const struct h2 *h, bool *ret_going);
struct h2_lane *h2_open(struct h2 *h);

typedef void (*h2_fn)(void *owner);
/* As stream_want; gone: the peer reset the lane, or the connection ended. Each may close the lane.
 */
void h2_lane_want(struct h2_lane *l, h2_fn on_read, h2_fn on_write, h2_fn on_gone, void *owner);
/* The next event, its outputs in *out as h1_next leaves them (head, body, trailers, fault, why).
 * Body bytes are good until the next call; heads until the lane is closed. */
enum h1_event h2_lane_next(struct h2_lane *l, struct h1 *out);
/* What came is not all, and more may come: -EAGAIN; -ECONNRESET: the lane is dead. */
int h2_lane_state(const struct h2_lane *l) MUST_CHECK;
/* A request or an answer out. ends: no body follows. secret: fields that the proxy put there are
 * never indexed, and every copy is wiped. 0, -EMSGSIZE: too many fields; -EPIPE: the lane is dead.
 */
int h2_lane_request(struct h2_lane *l, const struct head *h, struct str scheme, struct str host,
		    struct str target, bool ends, bool secret) MUST_CHECK;
int h2_lane_answer(struct h2_lane *l, const struct head *h, bool ends) MUST_CHECK;
int h2_lane_write(struct h2_lane *l, struct str body) MUST_CHECK; /* 0, -EMSGSIZE */
int h2_lane_end(struct h2_lane *l, const struct field *trailers, size_t n) MUST_CHECK;
size_t h2_lane_queued(const struct h2_lane *l);
/* 0: takes more; -EAGAIN: on_write will be called; -EPIPE: the lane is dead. */
int h2_lane_flush(const struct h2_lane *l) MUST_CHECK;
/* The peer says that it has not looked at the request: it may be sent again; by HTTP/1.1 where
 * h2_lane_wants_h1 says so. */
bool h2_lane_untouched(const struct h2_lane *l);
bool h2_lane_wants_h1(const struct h2_lane *l);
void h2_lane_doubt(
	struct h2_lane *l); /* its connection seems dead: no other lane is opened on it */
/* Its connection was given up, since the peer was silent. */
bool h2_lane_silent(const struct h2_lane *l);
bool h2_lane_heard(const struct h2_lane *l); /* the peer's message came to its end */
/* How much of a body may still come, and is thrown away, once the lane is given back with its
 * answer said; 1 MiB unless told. Behind it the peer is told to stop, which some take for a
 * failure. */
void h2_lane_drain(struct h2_lane *l, uint64_t bytes);
/* Gives it back. What was said to its end is still sent; else the peer sees a reset. NULL. */
struct h2_lane *h2_lane_close(struct h2_lane *l);

#endif
