/* SPDX-License-Identifier: Apache-2.0 */
/* A connection of the job that speaks HTTP/1.1: one session (session.h) after the other, and next
 * to nothing while it rests between two requests. Called by conn.c. */
#ifndef EGRET_PROXY_H1SERVE_H
#define EGRET_PROXY_H1SERVE_H

#include "proxy/proxy.h"
#include "proxy/stream.h"

struct h1serve;

/* Takes over the stream; tls: it is opened TLS (scheme https). origin is borrowed until done(owner)
 * is called: the connection is over, and it has freed itself. For plain HTTP the name may still be
 * empty: then Host gives it. */
struct h1serve *h1serve_start(struct proxy *px, struct stream *client, bool tls,
			      const struct origin *o, void (*done)(void *owner), void *owner);
/* The policy was changed: what it does not allow any more is ended. */
void h1serve_judge(struct h1serve *h);
/* No more requests behind the current one; at_once: that is cut, too. */
void h1serve_stop(struct h1serve *h, bool at_once);

#endif
