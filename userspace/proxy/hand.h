/* SPDX-License-Identifier: Apache-2.0 */
/* Drives one TLS handshake, of either side, under a deadline. Called by conn.c (with the job) and
 * dial.c (with an upstream). */
#ifndef EGRET_PROXY_HAND_H
#define EGRET_PROXY_HAND_H

#include "base/loop.h"
#include <openssl/types.h>

struct hand;
/* 0; -ETIMEDOUT; -ECONNRESET; -EPROTO: TLS refused it, *reason is OpenSSL's reason code. The hand
 * is gone when this is called; never from inside hand_start. */
typedef void (*hand_fn)(void *owner, int err, int reason);

/* fd and ssl stay the caller's. */
struct hand *hand_start(struct loop *l, int fd, SSL *ssl, uint64_t ms, hand_fn fn, void *owner);
struct hand *hand_cancel(struct hand *h); /* NULL; accepts NULL; fn will not be called */

#endif
