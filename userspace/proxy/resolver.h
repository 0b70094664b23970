/* SPDX-License-Identifier: Apache-2.0 */
/* The job's nameserver: synthetic addresses by UDP and TCP, and no query ever leaves. Called by
 * start.c. */
#ifndef EGRET_PROXY_RESOLVER_H
#define EGRET_PROXY_RESOLVER_H

#include "proxy/dns.h"
#include "proxy/proxy.h"

struct resolver;
/* search: suffixes that the resolvers of the job may append (copied). */
int resolver_new(struct proxy *px, const struct str *search, unsigned n,
		 struct resolver **ret) MUST_CHECK;
void resolver_free(struct resolver *r);
/* Take over a socket. 0 or -errno. */
int resolver_add_udp(struct resolver *r, int fd) MUST_CHECK;
int resolver_add_tcp(struct resolver *r, int fd) MUST_CHECK;

/* One query, one answer, without sockets: length in to, or 0 for no answer. */
size_t resolver_answer(struct resolver *r, const uint8_t *p, size_t n, uint8_t *to, size_t size,
		       bool udp);

#endif
