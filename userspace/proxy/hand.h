/* SPDX-License-Identifier: Apache-2.0 */
/* Drives one TLS handshake, of either side, under a deadline. Called by conn.c (with the job) and
 * dial.c (with an upstream). */
#ifndef EGRET_PROXY_HAND_H
#define EGRET_PROXY_HAND_H

#include "base/loop.h"
#include <openssl/types.h>

struct hand;
/* 0; -ETIMEDOUT; -ECONNRESET; -EPROTO: TLS refused it, *reason is OpenSSL's reason code. The hand
 * is gone when this is called; never from inside hand_start. The socket is still in `watched`, from
 * where who reads it next may move it; else it is removed when this returns. */
typedef void (*hand_fn)(void *owner, int err, int reason, struct watch *watched);

/* fd and ssl stay the caller's. watched: where the socket is watched already, and is moved from; or
 * NULL. */
struct hand *hand_start(struct loop *l, int fd, SSL *ssl, uint64_t ms, struct watch *watched,
			hand_fn fn, void *owner);
/* The socket has bytes: without waiting for the loop to say so. May end it. */
void hand_go(struct hand *h);
struct hand *hand_cancel(struct hand *h); /* NULL; accepts NULL; fn will not be called */

#endif
