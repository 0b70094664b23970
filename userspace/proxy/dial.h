/* SPDX-License-Identifier: Apache-2.0 */
/* Connects to one of several addresses, in their order, and does the TLS handshake. Called by
 * upstream.c with addresses that were judged. */
#ifndef EGRET_PROXY_DIAL_H
#define EGRET_PROXY_DIAL_H

#include "base/resolve.h"
#include "proxy/upstream.h"
#include "proxy/uptls.h"

struct dial_want {
	uint8_t addrs[RESOLVE_MAX][16];
	unsigned n;
	uint16_t port;
	struct uptls *tls; /* NULL: in clear */
	struct str host;   /* for TLS; n = 0: by address. Must outlive the dial */
	uint64_t connect_ms, handshake_ms;
};

struct dial;
/* s is the caller's: ready to use; or NULL and a fault. The dial is gone when this is called; never
 * from inside dial_start. */
typedef void (*dial_fn)(void *owner, struct stream *s, const uint8_t addr[16],
			const struct upstream_fault *fault);
struct dial *dial_start(struct loop *l, const struct dial_want *want, dial_fn fn, void *owner);
struct dial *dial_cancel(struct dial *d); /* NULL; accepts NULL */

#endif
