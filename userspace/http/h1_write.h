/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 out: heads, chunks and trailers appended to a buffer in one go. What belongs to one hop
 * (Connection and what it names, Keep-Alive, Proxy-*, TE, Upgrade, Transfer-Encoding) is left out;
 * framing is said anew from what was parsed, never copied.
 */
#ifndef EGRET_HTTP_H1_WRITE_H
#define EGRET_HTTP_H1_WRITE_H

#include "http/head.h"

struct h1_out {
	enum head_body body; /* how the end of what follows is known */
	uint64_t length;
	bool keep_length; /* answers without a body (HEAD, 304) say the length as it came */
	bool websocket;	  /* Connection: Upgrade, Upgrade: websocket */
	bool close;	  /* Connection: close */
	bool keep_alive;  /* Connection: keep-alive, for HTTP/1.0 clients */
};

/* target: the canonical path and query; host: the Host field. -EMSGSIZE when the buffer's limit is
 * passed; then nothing was added. The buffer is grown at most once, before any byte is put, so no
 * copy of an injected value is left behind in freed memory. */
int h1_write_request(struct buf *to, const struct head *h, struct str target, struct str host,
		     const struct h1_out *o) MUST_CHECK;
int h1_write_response(struct buf *to, const struct head *h, const struct h1_out *o) MUST_CHECK;
int h1_write_chunk(struct buf *to, struct str bytes) MUST_CHECK;
/* The last chunk, trailers that may stand in one, and the end. */
int h1_write_end(struct buf *to, const struct field *trailers, size_t n) MUST_CHECK;
#define H1_CHUNK_ROOM 20 /* what h1_write_chunk adds to the bytes, at most */

#endif
