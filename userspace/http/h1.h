/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.0 and 1.1 read off bytes, strictly: what two readers could understand in two ways is a
 * fault, never a guess. Pure: bytes in, events out, no I/O. One struct h1 a direction of a
 * connection; embedded, nothing to free.
 *
 * The caller holds the bytes in one contiguous buffer and asks h1_next until it says H1_MORE. Heads
 * are copied into the arena once; bodies are handed out where they lie.
 */
#ifndef EGRET_HTTP_H1_H
#define EGRET_HTTP_H1_H

#include "http/head.h"

struct h1_limits {
	size_t header_bytes, header_count, target_bytes, chunk_extension_bytes;
};

enum h1_event {
	H1_MORE,     /* needs more bytes than these */
	H1_HEAD,     /* head */
	H1_BODY,     /* body: borrowed from the caller's bytes */
	H1_TRAILERS, /* trailers: fields of a chunked message (only when there are any) */
	H1_END,	     /* the message is over; the next h1_next reads a new one */
	H1_FAULT     /* fault and why; the connection is of no further use */
};

enum h1_fault {
	H1_OK,
	H1_BAD, /* breaks the protocol */
	H1_TARGET_LONG,
	H1_HEAD_LARGE, /* bytes or count of fields */
	H1_VERSION,    /* neither HTTP/1.0 nor HTTP/1.1 */
	H1_METHOD      /* not a method we know */
};

enum h1_at {
	H1_AT_HEAD,
	H1_AT_LENGTH,
	H1_AT_CHUNK,
	H1_AT_CHUNK_DATA,
	H1_AT_CHUNK_END,
	H1_AT_TRAILERS,
	H1_AT_EOF,
	H1_AT_END,
	H1_AT_FAULT
};

struct h1 {
	const struct h1_limits *limits;
	bool request;
	bool no_body; /* responses: the request was HEAD */
	enum h1_at at;
	size_t scanned,
		line; /* in the block being collected: looked at so far; start of the line */
	unsigned lines, blanks; /* blanks: empty lines before the message */
	uint64_t left;		/* of the body or the chunk */
	enum h1_fault fault;
	const char *why; /* a sentence; static */
	/* outputs of the last event */
	struct head head;
	struct str body;
	struct field *trailers;
	size_t ntrailers;
};

/* One that HTTP/1's own reader takes: what it refuses is no request by another wire either. */
bool h1_method_known(struct str method);
void h1_init(struct h1 *h, bool request, const struct h1_limits *limits);
/* For responses, before each: was the request HEAD? */
void h1_expect(struct h1 *h, bool head_request);
/* Reads from p; *ret_used bytes are done with (also beside H1_MORE). eof: no byte will follow
 * these. */
enum h1_event h1_next(struct h1 *h, struct arena *a, const char *p, size_t n, bool eof,
		      size_t *ret_used);

#endif
