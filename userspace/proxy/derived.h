/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials that an origin hands out to who came with one (promise P2): a registry's token, a
 * session's cookie, a redirect's signature. They stay here, in locked memory; the job gets a mark
 * that stands for one and is good for nothing but requests of this job to the hosts that it is
 * bound to, through this proxy. One table a job, bounded, forgotten an hour after its last use.
 */
#ifndef EGRET_PROXY_DERIVED_H
#define EGRET_PROXY_DERIVED_H

#include "proxy/inject.h"
#include "proxy/proxy.h"

#define DERIVED_LEAST 8u /* shorter values are no secrets */

struct derived;
struct derived *derived_new(void);
struct derived *derived_free(struct derived *d); /* NULL */

struct derived_want {
	int credential;	 /* that the request came with */
	struct str host; /* canonical, where it may go; n = 0: all of the credential's */
	struct str value;
	bool encoded; /* value is percent-encoded as it is to stand in a URL */
};
/* The mark, good as long as the table; the same for the same value, host and credential. 0;
 * -ENOMEM: no locked memory; -E2BIG: too long. */
int derived_put(struct derived *d, const struct derived_want *w, struct str *ret) MUST_CHECK;
/* What `from` has, by the credentials' new numbers; to[n] < 0: it is gone, and what came of it too.
 */
void derived_move(struct derived *d, struct derived *from, const int *to);
/* Grows with each value: what is made of all of them is stale then. */
unsigned derived_version(const struct derived *d);

struct credentials;
/* Which credential a mark in the request comes from that is good for the host, -1: none is there.
 * Sets k->held. */
int derived_look(const struct credentials *creds, struct str host, struct carrier *k);
/* A key of a query that signs or opens it: where marks are put and swapped. */
bool derived_key(struct str name);
/* The values for the marks. As inject_put. */
int derived_swap(const struct credentials *creds, struct str host, struct carrier *k,
		 struct inject *to) MUST_CHECK;
/* Walks the values that may go to the host, the newest first. Start with *at = 0. */
bool derived_each(const struct credentials *creds, struct str host, size_t *at, struct str *ret);

/* Where a registry says that its tokens are to be had. Noted from challenges. */
void derived_note_realm(struct derived *d, struct str registry, struct str www_authenticate);
/* Is this a token endpoint that was named so? *ret_registry: for this service the host that named
 * it; n = 0: several did. */
bool derived_realm(const struct derived *d, struct str host, struct str path, struct str service,
		   struct str *ret_registry);

#endif
