/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets to dial with from another network namespace: an `egret-proxy --sockets` lives there and
 * makes them (source.c), since the jail lets this process enter none. One source a namespace; who
 * dials for a connection from a namespace that has one takes its sockets there, and there alone.
 * Called by listen.c and race.c. Reads what the source says: a process of the same uid and cgroup,
 * which reads nobody but us.
 */
#ifndef EGRET_PROXY_SOCKETS_H
#define EGRET_PROXY_SOCKETS_H

#include "proxy/proxy.h"

/* Takes over fd. A source that ends by itself ends the proxy, so that another has one anew. */
int sockets_add(struct proxy *px, uint64_t netns, int fd) MUST_CHECK;
void sockets_close(uint64_t netns); /* what is asked fails */
/* netns itself where there is a source, 0 where sockets are made as usual. */
uint64_t sockets_from(uint64_t netns);

struct socket_ask;
/* fd: the caller's, non-blocking; or -errno. */
typedef void (*socket_fn)(void *owner, int fd);
/* Exactly one call, never from inside. */
struct socket_ask *sockets_get(struct proxy *px, uint64_t netns, int family, socket_fn fn,
			       void *owner);
void sockets_cancel(struct socket_ask *a); /* accepts NULL; fn will not be called */

/* The other side, in its own process: serves until its socket ends. An exit status. */
int source_serve(int control) MUST_CHECK;

#endif
