/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream connections that speak HTTP/2: many requests of one job, host and credential at once on
 * each (pool.h has the key). Called by upstream.c. */
#ifndef EGRET_PROXY_H2POOL_H
#define EGRET_PROXY_H2POOL_H

#include "proxy/pool.h"

struct h2pool;
struct h2pool *h2pool_new(struct proxy *px);
struct h2pool *h2pool_free(struct h2pool *p); /* NULL; ends all */
/* Takes over a stream whose handshake chose h2. */
void h2pool_add(struct h2pool *p, struct stream *s, const struct pool_key *key,
		const uint8_t addr[16]);
/* A lane on a connection that takes another request; NULL: none. */
struct pooled *h2pool_take(struct h2pool *p, const struct pool_key *key);

#endif
