/* SPDX-License-Identifier: Apache-2.0 */
/* Connects to one of several addresses (race.h) and does the TLS handshake. Called by upstream.c
 * with addresses that were judged. */
#ifndef EGRET_PROXY_DIAL_H
#define EGRET_PROXY_DIAL_H

#include "base/resolve.h"
#include "proxy/shape.h"
#include "proxy/upstream.h"
#include "proxy/uptls.h"

struct parent;
struct dial_want {
	uint8_t addrs[RESOLVE_MAX][16];
	unsigned n; /* at least 1 */
	uint16_t port;
	uint64_t netns;		     /* sockets_from(): 0 is the host's */
	struct uptls *tls;	     /* NULL: in clear */
	struct str host;	     /* n = 0: by address. Must outlive the dial */
	const struct parent *parent; /* addrs are its own, and it is asked for host and port; NULL:
					none. Outlives the dial */
	const struct hello_shape *shape; /* of the client's hello, or NULL. Outlives the dial */
	enum shape_h2 h2;		 /* what ALPN offers */
	const struct client_cert *cert;	 /* to be shown, or NULL. Outlives the dial */
	bool recorded;			 /* the record of what it is for is written already */
	bool ahead;			 /* nobody asked for it yet: its failure is told here */
	bool hold;			 /* TCP alone, until dial_take. Not with a parent */
	uint64_t connect_ms, handshake_ms;
};

struct dial;
/* s is the caller's: ready to use; or NULL and a fault. The dial is gone when this is called; never
 * from inside dial_start. */
typedef void (*dial_fn)(void *owner, struct stream *s, const uint8_t addr[16],
			const struct upstream_fault *fault);
struct dial *dial_start(struct proxy *px, const struct dial_want *want, dial_fn fn, void *owner);
/* A held one goes on for another, whose addresses and port are the same; the old want may end then.
 * Returns d. */
struct dial *dial_take(struct dial *d, const struct dial_want *want, dial_fn fn, void *owner);
struct dial *dial_cancel(struct dial *d); /* NULL; accepts NULL */

#endif
