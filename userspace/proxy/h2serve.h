/* SPDX-License-Identifier: Apache-2.0 */
/* A connection of the job that speaks HTTP/2: each of its streams is a session of its own
 * (session.h). Called by conn.c. */
#ifndef EGRET_PROXY_H2SERVE_H
#define EGRET_PROXY_H2SERVE_H

#include "proxy/proxy.h"
#include "proxy/stream.h"

struct h2serve;

/* Takes over the stream, which is TLS; origin is borrowed until done(owner): the connection is
 * over, and it has freed itself. */
struct h2serve *h2serve_start(struct proxy *px, struct stream *client, const struct origin *o,
			      void (*done)(void *owner), void *owner);
/* No more requests; at_once: those under way are cut, and it is gone when this returns. */
void h2serve_stop(struct h2serve *s, bool at_once);
/* What is bounded on either side. */
struct h2_limits h2_limits_of(const struct proxy *px);

#endif
