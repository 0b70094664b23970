/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of the job's nameserver: datagrams, and TCP connections with a length before each
 * message. Called by resolver.c. */
#ifndef EGRET_PROXY_RESOLVER_IO_H
#define EGRET_PROXY_RESOLVER_IO_H

#include "base/loop.h"

struct resolver_io;
/* The answer to one query: its length in to, or 0 for none. */
typedef size_t (*resolver_fn)(void *owner, const uint8_t *p, size_t n, uint8_t *to, size_t size,
			      bool udp);

struct resolver_io *resolver_io_new(struct loop *l, size_t clients_max, resolver_fn fn,
				    void *owner);
void resolver_io_free(struct resolver_io *io);
int resolver_io_udp(struct resolver_io *io, int fd) MUST_CHECK;
int resolver_io_tcp(struct resolver_io *io, int fd) MUST_CHECK;

#endif
