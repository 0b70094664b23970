/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upstream connections that speak HTTP/2: many requests of one job, host and credential at once on
 * each (pool.h has the key). Called by upstream.c.
 *
 * A peer may be gone without a word. A request on a connection that rested, or one that hears
 * nothing for long, is followed by a PING, once a request at most, since servers count them. Who
 * does not answer it is given up; what waits there is told by its lane.
 */
#ifndef EGRET_PROXY_H2POOL_H
#define EGRET_PROXY_H2POOL_H

#include "proxy/pool.h"

struct h2pool;
struct h2pool_times {	 /* ms */
	uint64_t rest;	 /* without a byte: the next request asks */
	uint64_t quiet;	 /* with a request, and without a byte: it is asked */
	uint64_t answer; /* to that */
	uint64_t doubt;	 /* without one: other requests go elsewhere */
};
struct h2pool *h2pool_new(struct proxy *px, const struct h2pool_times *times);
struct h2pool *h2pool_free(struct h2pool *p); /* NULL; ends all */
/* Takes over a stream whose handshake chose h2. */
void h2pool_add(struct h2pool *p, struct stream *s, const struct pool_key *key,
		const uint8_t addr[16]);
void h2pool_leave(struct h2pool *p, uint64_t netns); /* ends those that were dialled from there */
/* A lane on a connection that takes another request; NULL: none. */
struct pooled *h2pool_take(struct h2pool *p, const struct pool_key *key);

#endif
