/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where upstream connections are dialled before a request asks for one. A client that opens many
 * connections at once (npm: fifteen) connects, and says hello and asks only when it gets round to
 * it; so a connection of the job to a host begins the dial that its request will need. Only to
 * where a request of this job was recorded before, by that request's own key and shape: no host is
 * contacted that the job's record does not name already. (A request that is allowed and waits for
 * its credential has one dialled too, whose place this table does not know.)
 *
 * Before a first request is recorded, a connection to a name that a rule gives exactly, without a
 * wildcard, begins TCP alone, as the job itself would do without egret: it tells that host nothing
 * that the rule does not say, and no name that the job made up is resolved. Called by
 * upstream_ahead.c, which dials; pure.
 */
#ifndef EGRET_PROXY_AHEAD_H
#define EGRET_PROXY_AHEAD_H

#include "proxy/hello.h"
#include "proxy/pool.h"

#define AHEAD_PLACES 16 /* the one used least lately makes room */
#define AHEAD_MAX 16	/* begun or ready for one place, whatever the job opens */
#define AHEAD_UNUSED_MS \
	5000		   /* then it is closed, and told as given up: audit/dials.c waits longer */
#define AHEAD_BEGUN_MAX 64 /* of TCP alone, for all places */
#define AHEAD_BEGUN_MS 2000 /* the same for TCP alone: a server may wait for a hello no longer */

struct ahead_place {
	uint64_t id;	     /* 0: free */
	struct pool_key key; /* host, port and netns; the rest if learned: the last request's */
	bool learned;	     /* a request was recorded */
	struct hello_shape shape;
	uint64_t used;	  /* counts up */
	unsigned clients; /* connections of the job to there */
	unsigned in_use;  /* of ours from there on */
};

struct ahead {
	struct ahead_place places[AHEAD_PLACES];
	uint64_t ids, uses;
};

/* Made where there is none. */
struct ahead_place *ahead_get(struct ahead *a, struct str host, uint16_t port, uint64_t netns);
struct ahead_place *ahead_of(struct ahead *a, uint64_t id); /* or NULL */
/* A request with this key is recorded. */
struct ahead_place *ahead_learn(struct ahead *a, const struct pool_key *key,
				const struct hello_shape *shape);
/* Nothing is dialled ahead there, or anywhere, before a request is recorded again. */
void ahead_forget(struct ahead *a, const struct pool_key *key);
void ahead_forget_all(struct ahead *a);

#endif
