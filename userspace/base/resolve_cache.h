/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of names for as long as their nameserver said (RFC 1035's TTL, an hour at most), so
 * that not each connection waits for a question. Only addresses are kept: that there is no such
 * name is asked again. Called by resolve.c; bounded, the oldest is dropped for the next. The names
 * are the caller's, the addresses a nameserver's: judged again each time they are dialled.
 */
#ifndef EGRET_BASE_RESOLVE_CACHE_H
#define EGRET_BASE_RESOLVE_CACHE_H

#include "base/bytes.h"

#define RESOLVE_KEPT 256
#define RESOLVE_KEPT_S 3600

struct resolve_cache;
struct resolve_cache *resolve_cache_new(void);
struct resolve_cache *resolve_cache_free(struct resolve_cache *c); /* NULL; accepts NULL */
/* For seconds from now; 0: not kept. name of 255 bytes at most, or it is not kept. */
void resolve_cache_put(struct resolve_cache *c, struct str name, const uint8_t (*addrs)[16],
		       unsigned n, uint32_t seconds);
/* How many addresses stand in ret, room for RESOLVE_MAX; 0: not known, or not any more. */
unsigned resolve_cache_get(const struct resolve_cache *c, struct str name, uint8_t (*ret)[16]);

#endif
