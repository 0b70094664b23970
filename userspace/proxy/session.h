/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP with the job on one stream: requests one after the other, each decided, recorded, sent and
 * answered. Started by conn.c when a connection turned out to be HTTP or TLS that was opened.
 */
#ifndef EGRET_PROXY_SESSION_H
#define EGRET_PROXY_SESSION_H

#include "proxy/proxy.h"
#include "proxy/stream.h"

struct h2_lane;
struct session;

/* Takes over the stream. `tls`: the stream is opened TLS (scheme https). The session frees itself
 * and calls done(owner) when the connection is over; done must not touch the stream. origin is
 * copied. For plain HTTP the name may still be empty: then Host gives it. */
struct session *session_start(struct proxy *px, struct stream *client, bool tls,
			      const struct origin *o, void (*done)(void *owner), void *owner);
/* One request of a connection that speaks HTTP/2: the session takes over the lane, reads its head,
 * and is over with it. */
struct session *session_lane(struct proxy *px, struct h2_lane *lane, bool tls,
			     const struct origin *o, void (*done)(void *owner), void *owner);
/* The policy was changed: a WebSocket that it does not allow any more is ended. */
void session_judge(struct session *s);
/* egretd ends the job, or a reload: stop after the current request (drain) or at once. */
void session_stop(struct session *s, bool at_once);

/* CONNECT at the listener (explicit-proxy use): the session answers 200 and hands the client
 * stream's descriptor back to be peeked anew with the authority as the name. Set by conn.c at
 * start. */
typedef void (*session_connect_fn)(struct proxy *px, int fd, const struct origin *o);
void session_on_connect(session_connect_fn fn);

#endif
