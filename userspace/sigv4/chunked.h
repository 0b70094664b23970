/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S3's signed streams (content-encoding aws-chunked, STREAMING-AWS4-HMAC-SHA256-PAYLOAD and
 * -TRAILER): each chunk carries a signature that holds the one before it, the first one the
 * request's. A stream that was signed with one key comes out signed with another, byte for byte of
 * the same length. Called by the proxy; the stream is a job's.
 */
#ifndef EGRET_SIGV4_CHUNKED_H
#define EGRET_SIGV4_CHUNKED_H

#include "sigv4/sigv4.h"

#define SIGV4_STREAMING "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
#define SIGV4_STREAMING_TRAILER "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
#define SIGV4_STREAMING_UNSIGNED "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
#define SIGV4_CHUNK_MAX (2u << 20) /* its signature stands before it: it is read whole first */
#define SIGV4_TRAILER_MAX 4096u

struct sigv4_chunked {
	/* Fixed by the caller. */
	bool trailer;
	char time[SIGV4_TIME + 1];
	char scope[SIGV4_SCOPE_MAX + 1];
	char previous[SIGV4_HEX + 1]; /* at first the request's signature */
	/* Its own. */
	const char *why; /* of -EBADMSG, in words */
	enum { CHUNKED_SIZE, CHUNKED_DATA, CHUNKED_TRAILER, CHUNKED_END } at;
	uint64_t size;
	char head[24]; /* the size as it was written */
	struct buf held;
	struct buf fields; /* trailers as they are signed */
	bool trailer_signed;
};

void sigv4_chunked_init(struct sigv4_chunked *c, bool trailer, const char *time, struct str scope,
			const char *signature);
void sigv4_chunked_done(struct sigv4_chunked *c);
/* Takes the next bytes; what is complete comes out. 0; -EBADMSG: the stream is not of this form;
 * -EMSGSIZE: `to` is full; -EIO. */
int sigv4_chunked_feed(struct sigv4_chunked *c, const uint8_t key[SIGV4_KEY], struct str bytes,
		       struct buf *to) MUST_CHECK;
static inline bool sigv4_chunked_ended(const struct sigv4_chunked *c)
{
	return c->at == CHUNKED_END;
}

#endif
