/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP with the job on one stream: requests one after the other, each decided, recorded, sent and
 * answered, until the job has nothing more to say for now. Started by h1serve.c and h2serve.c.
 */
#ifndef EGRET_PROXY_SESSION_H
#define EGRET_PROXY_SESSION_H

#include "proxy/proxy.h"
#include "proxy/stream.h"

struct h2_lane;
struct session;

/* Takes over the stream, which has something to read: session_read is to be called next, and may
 * end it. tls: it is opened TLS (scheme https). The session frees itself when there is nothing left
 * to do for it, and calls either rest(owner), with the stream back, since another request may come
 * by it - served: this one had one -, or done(owner): the connection is over. origin is copied. For
 * plain HTTP the name may still be empty: then Host gives it. */
struct session *session_start(struct proxy *px, struct stream *client, bool tls,
			      const struct origin *o,
			      void (*rest)(void *owner, struct stream *client, bool served),
			      void (*done)(void *owner), void *owner);
void session_read(struct session *s);
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
