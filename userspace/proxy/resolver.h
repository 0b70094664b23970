/* SPDX-License-Identifier: Apache-2.0 */
/* The job's nameserver: synthetic addresses by UDP and TCP, and no query of the job ever leaves;
 * names of its service containers are asked of their engine (services.h). Called by
 * start.c and listen.c. */
#ifndef EGRET_PROXY_RESOLVER_H
#define EGRET_PROXY_RESOLVER_H

#include "proxy/dns.h"
#include "proxy/proxy.h"

struct resolver;
/* search: suffixes that the resolvers of the job may append (copied). */
int resolver_new(struct proxy *px, const struct str *search, unsigned n,
		 struct resolver **ret) MUST_CHECK;
void resolver_free(struct resolver *r);
/* Take over a socket of the network namespace with this cookie. 0 or -errno: then it is still the
 * caller's. */
int resolver_add_udp(struct resolver *r, uint64_t netns, int fd) MUST_CHECK;
int resolver_add_tcp(struct resolver *r, uint64_t netns, int fd) MUST_CHECK;
/* A UDP socket connected to the resolver of the engine that made this namespace. */
int resolver_add_engine(struct resolver *r, uint64_t netns, int fd) MUST_CHECK;
/* The names that are asked there, the whole list: see services_set(). */
int resolver_services(struct resolver *r, const struct str *names, unsigned n,
		      unsigned *ret_left_out) MUST_CHECK;
void resolver_close(struct resolver *r, uint64_t netns);

#endif
