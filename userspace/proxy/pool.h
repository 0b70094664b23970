/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream connections that wait for their next request, keyed so that no two credentials and no
 * two hosts ever share one. Called by upstream.c. */
#ifndef EGRET_PROXY_POOL_H
#define EGRET_PROXY_POOL_H

#include "proxy/upstream.h"

struct pool_key {
	char host[HOST_MAX + 1];
	size_t host_n;	  /* 0: by address */
	uint8_t addr[16]; /* only then */
	char credential[128];
	size_t credential_n;
	uint64_t cert;	/* client_cert_number */
	uint64_t netns; /* dialled from there; 0: the host's */
	uint16_t port;
	bool tls;
};

struct pooled {
	struct upstream u; /* first: what the http rooms hold */
	struct pool_key key;
	struct pool *pool; /* while it waits */
	struct pooled *older, *newer;
	struct timer idle;
	struct proxy *ahead; /* dialled ahead, and no request had it yet; else NULL */
	uint64_t place;	     /* ahead_place.id, while it is in use there */
};

struct pool;
struct pool *pool_new(struct loop *l, size_t max, uint64_t idle_ms);
struct pool *pool_free(struct pool *p); /* NULL; closes all that wait */
struct pooled *pool_take(struct pool *p, const struct pool_key *key); /* NULL: none */
void pool_put(struct pool *p, struct pooled *c);		      /* takes it over */
void pooled_free(struct pooled *c);
void pool_leave(struct pool *p, uint64_t netns); /* closes those that were dialled from there */
/* false: there is nothing to dial. */
bool pool_key_of(const struct upstream_ask *ask, struct pool_key *ret);
bool pool_same(const struct pool_key *a, const struct pool_key *b);
size_t pool_count(const struct pool *p);
unsigned pool_count_of(const struct pool *p, const struct pool_key *key);

#endif
