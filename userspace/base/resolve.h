/* SPDX-License-Identifier: Apache-2.0 */
/* Names to addresses, by c-ares on our loop, kept for their TTL (resolve_cache.h). Called by the
 * proxy (upstream.c) and egret-identity; the addresses are not judged here. Hostile bytes: answers
 * of nameservers (c-ares). */
#ifndef EGRET_BASE_RESOLVE_H
#define EGRET_BASE_RESOLVE_H

#include "base/bytes.h"
#include "base/loop.h"

#define RESOLVE_MAX 16 /* addresses of one name that are tried */

struct resolve;
struct resolve_ask;

/* Before the jail: c-ares reads its random seed from a file. 0 or -EIO. */
int resolve_early(void) MUST_CHECK;
/* nameservers: "ip", "ip:port", "[v6]:port". 0; -EINVAL: one of them is none. */
int resolve_new(struct loop *l, const struct str *nameservers, unsigned n, uint64_t ms,
		struct resolve **ret) MUST_CHECK;
struct resolve *resolve_free(struct resolve *r); /* NULL; pending asks are dropped */

/* The families in turn, IPv6 first; one of them alone if the other's answer is late. err: 0;
 * -ENOENT: there is no such name or it has no address; -ETIMEDOUT; -EIO: the nameservers failed.
 * Never from inside resolve_get. */
typedef void (*resolve_fn)(void *owner, int err, const uint8_t (*addrs)[16], unsigned n);
struct resolve_ask *resolve_get(struct resolve *r, struct str name, resolve_fn fn, void *owner);
void resolve_cancel(struct resolve_ask *a);

#endif
