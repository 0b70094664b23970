/* SPDX-License-Identifier: Apache-2.0 */
/* What does a client speak? Looks at the first bytes of an accepted socket without taking them
 * (MSG_PEEK). Called by conn.c. */
#ifndef EGRET_PROXY_PEEK_H
#define EGRET_PROXY_PEEK_H

#include "base/loop.h"
#include "proxy/hello.h"

enum peek_kind {
	PEEK_TLS,  /* a whole ClientHello */
	PEEK_HTTP, /* the start of an HTTP/1 request */
	PEEK_OTHER,
	PEEK_SILENT,   /* no byte in time: perhaps the server speaks first */
	PEEK_SLOW,     /* some bytes, but no ClientHello or request line out of them in time */
	PEEK_ENDED,    /* the client went away */
	PEEK_BAD_HELLO /* hello->fault says why */
};

struct peek;
/* hello is set for PEEK_TLS and PEEK_BAD_HELLO. The peek is gone when this is called; never from
 * inside peek_start. The socket is still in `watched`, from where who reads it next may move it;
 * else it is removed when this returns. */
typedef void (*peek_fn)(void *owner, enum peek_kind kind, const struct hello *hello,
			struct watch *watched);

/* silent_ms: how long to wait for the first byte; ms: for all of it. */
struct peek *peek_start(struct loop *l, int fd, uint64_t silent_ms, uint64_t ms, size_t hello_max,
			peek_fn fn, void *owner);
struct peek *peek_cancel(struct peek *p); /* NULL; accepts NULL */

/* The pure part: PEEK_SLOW means "more bytes are needed". */
enum peek_kind peek_judge(const uint8_t *p, size_t n, size_t hello_max, struct hello *ret);

#endif
