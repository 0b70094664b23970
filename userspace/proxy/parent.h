/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parent proxy (upstream.proxy): where upstreams are reached by CONNECT, what is left out
 * (upstream.no_proxy), and the asking itself. Called by upstream.c and dial.c. Trusts root's
 * configuration; hostile bytes: the parent's answer, of which a bounded head is read (http/h1) and
 * no byte behind it.
 */
#ifndef EGRET_PROXY_PARENT_H
#define EGRET_PROXY_PARENT_H

#include "base/loop.h"
#include "proxy/address.h"
#include "policy/policy.h"

#define PARENT_WHY 200

struct parent {
	char host[HOST_MAX + 1]; /* canonical; n = 0: the address */
	size_t host_n;
	uint8_t addr[16];
	uint16_t port;
	struct str *except; /* no_proxy */
	unsigned nexcept;
};

/* url "http://HOST:PORT". 0 or -EINVAL. */
int parent_new(struct str url, const struct str *no_proxy, unsigned n,
	       struct parent **ret) MUST_CHECK;
struct parent *parent_free(struct parent *p); /* NULL; accepts NULL */
/* Is this canonical name reached by the parent? False without one. */
bool parent_takes(const struct parent *p, struct str name, uint16_t port);

struct parent_ask;
/* 0; else -ETIMEDOUT or -EPROTO, and why, behind "the parent proxy". The ask is gone when this is
 * called; never from inside parent_ask_start. */
typedef void (*parent_fn)(void *owner, int err, const char *why);
/* Asks the parent on fd for host and port; fd stays the caller's. */
struct parent_ask *parent_ask_start(struct loop *l, int fd, struct str host, uint16_t port,
				    uint64_t ms, parent_fn fn, void *owner);
struct parent_ask *parent_ask_cancel(struct parent_ask *a); /* NULL; accepts NULL */

#endif
