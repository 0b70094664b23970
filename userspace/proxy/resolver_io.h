/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of the job's nameserver: datagrams, and TCP connections with a length before each
 * message. Called by resolver.c. */
#ifndef EGRET_PROXY_RESOLVER_IO_H
#define EGRET_PROXY_RESOLVER_IO_H

#include "base/loop.h"
#include <sys/socket.h>

struct resolver_io;

/* Who asked, and where the answer goes. Good until the namespace is closed; a TCP client that has
 * gone meanwhile is noticed. */
struct resolver_asker {
	uint64_t netns;
	bool udp;
	int fd;		 /* UDP: the socket it came to */
	uint64_t client; /* TCP: serial number */
	struct sockaddr_storage from;
	socklen_t from_n;
};

/* The answer to one query: its length in to, 0 for none, or RESOLVER_LATER: resolver_io_answer()
 * will be called (or never; a TCP client is then closed when it idles). */
#define RESOLVER_LATER SIZE_MAX
typedef size_t (*resolver_fn)(void *owner, const struct resolver_asker *who, const uint8_t *p,
			      size_t n, uint8_t *to, size_t size);

/* clients_max: TCP clients of all namespaces together. */
struct resolver_io *resolver_io_new(struct loop *l, size_t clients_max, resolver_fn fn,
				    void *owner);
void resolver_io_free(struct resolver_io *io);
/* Take over a socket of a network namespace; on failure it is still the caller's. */
int resolver_io_udp(struct resolver_io *io, uint64_t netns, int fd) MUST_CHECK;
int resolver_io_tcp(struct resolver_io *io, uint64_t netns, int fd) MUST_CHECK;
void resolver_io_close(struct resolver_io *io, uint64_t netns); /* its sockets and clients */
void resolver_io_answer(struct resolver_io *io, const struct resolver_asker *who, const uint8_t *p,
			size_t n);

#endif
