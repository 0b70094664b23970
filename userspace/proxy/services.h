/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the job's service containers, asked of the engine's own resolver: only names of a fixed
 * list, only through sockets that egretd connected to it, one in each namespace that has one.
 * Called by resolver.c, which decides whether the policy lets it.
 */
#ifndef EGRET_PROXY_SERVICES_H
#define EGRET_PROXY_SERVICES_H

#include "proxy/dns.h"
#include "proxy/proxy.h"

#define SERVICES_MAX 256
#define SERVICE_QUESTIONS_MAX 64 /* under way at once, of the whole job */

struct services;
struct services *services_new(struct proxy *px);
void services_free(struct services *s);

/* The whole list anew. Names that DNS cannot carry, as of containers with long names, are left out
 * and counted: nobody can ask for them. 0, or -E2BIG: the old list stands. */
int services_set(struct services *s, const struct str *names, unsigned n,
		 unsigned *ret_left_out) MUST_CHECK;
/* Takes over fd, a UDP socket connected to the engine's resolver. On failure it is the caller's. */
int services_engine(struct services *s, uint64_t netns, int fd) MUST_CHECK;
/* What that namespace's engine was asked ends with -ECANCELED. */
void services_leave(struct services *s, uint64_t netns);
/* Is it on the list, and is there an engine in that namespace? name is canonical. */
bool services_known(const struct services *s, uint64_t netns, struct str name);

/* fn(owner, 0, found), or fn(owner, -errno, NULL): -ETIMEDOUT, -EBADMSG (not an answer to this),
 * -EACCES (an address that no service has), -ECONNREFUSED, -ECANCELED. Never before
 * services_ask() has returned. 0 or -EBUSY, -errno of sending: fn is not called then. */
typedef void (*services_fn)(void *owner, int err, const struct dns_found *found);
int services_ask(struct services *s, uint64_t netns, struct str name, uint16_t type, services_fn fn,
		 void *owner) MUST_CHECK;

#endif
