/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes both ways between two streams, when what was said on them so far is over: behind a
 * WebSocket's handshake. Unlike a tunnel it goes through TLS, so bytes pass through our memory, in
 * a bounded amount: a side is read only when the other took all that was read before. No byte is
 * looked at. Called by the session.
 */
#ifndef EGRET_PROXY_RELAY_H
#define EGRET_PROXY_RELAY_H

#include "proxy/stream.h"

#include "base/bytes.h"

struct relay;
struct relay_end {
	uint64_t out, in; /* bytes passed on to b, and to a */
	int err;	  /* 0: both sides ended in order; -ETIMEDOUT: idle; else what broke it */
};
typedef void (*relay_fn)(void *owner, const struct relay_end *end);

/* Takes both streams over. What was read off them already goes first, and is copied. fn is called
 * once, from the loop, when all is freed. */
struct relay *relay_start(struct loop *l, struct stream *a, struct stream *b, struct str from_a,
			  struct str from_b, uint64_t idle_ms, relay_fn fn, void *owner);
/* Ends it at once: both sides are reset. fn is not called. */
void relay_cut(struct relay *r, struct relay_end *ret);

#endif
