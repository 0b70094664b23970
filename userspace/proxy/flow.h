/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of an exchange: a message read off one stream and written to another, in bounded
 * memory. The faster side waits: nothing is read while bytes are left to write. Knows framing, not
 * policy; session.c owns two of them.
 */
#ifndef EGRET_PROXY_FLOW_H
#define EGRET_PROXY_FLOW_H

#include "http/h1_write.h"
#include "http/h2.h"
#include "proxy/scrub.h"
#include "proxy/stream.h"

enum flow_state {
	FLOW_READ,    /* wants its source to be readable */
	FLOW_WRITE,   /* wants its sink to be writable */
	FLOW_DONE,    /* the message is over and written */
	FLOW_FAULT,   /* parser->why: the source breaks the protocol, or ended inside the message
			 (lost) */
	FLOW_REFUSED, /* on_head said no */
	FLOW_READ_LOST,
	FLOW_WRITE_LOST
};

struct flow;
/* A head was read (answers only). Puts what is to be sent into f->out and sets f->kind; false:
 * refuse. */
typedef bool (*flow_head_fn)(struct flow *f, void *owner);

struct flow {
	/* Borrowed. A side is a stream, where HTTP/1.1 is spoken, or a lane of HTTP/2; neither to:
	 * bytes are thrown away. */
	struct stream *from, *to;
	struct h2_lane *from_lane, *to_lane;
	struct h1 *parser;   /* also where a lane's events are put */
	struct arena *arena; /* for heads and trailers */
	struct buf in;	     /* read, from in_at on not parsed */
	size_t in_at;
	struct buf out; /* to be written, from out_at on */
	size_t out_at;
	struct str pending;	   /* body bytes in `in`, written from there */
	struct buf window;	   /* held back while scrubbing */
	size_t said;		   /* of it: went out already, when nothing followed (quiet) */
	bool quiet;		   /* nothing has followed for a while */
	const struct scrub *scrub; /* or NULL */
	/* Body bytes become others on their way, in `to`; without `to`: the body ends here. false:
	 * refused, parser->why says. NULL: they go as they are. */
	bool (*recode)(struct flow *f, struct str bytes, struct buf *to);
	enum head_body kind;	 /* how the sink sees the end */
	size_t buffer;		 /* limits.buffer_bytes */
	const struct str *parts; /* of the body, sent before what is parsed; borrowed */
	size_t nparts, part_at;
	bool whole; /* and nothing of it is left to be parsed */
	struct buf
		*hold;	/* the body goes there whole, then on_whole puts head and parts; or NULL */
	bool secret;	/* out holds an injected value: wiped when it is written */
	bool eof;	/* the source ended */
	bool ended;	/* the end of the message is in out */
	bool discard;	/* throw away what is parsed */
	uint64_t bytes; /* of body */
	uint64_t read_total, written_total;
	size_t scrubbed; /* occurrences */
	flow_head_fn on_head, on_whole;
	void *owner;
};

void flow_init(struct flow *f, size_t buffer, size_t head);
void flow_done(struct flow *f);
/* Before each message; keeps what was read already. */
void flow_reset(struct flow *f);
/* What is still to be written, and what will be parsed, is thrown away. */
void flow_discard(struct flow *f);
/* >0 bytes; 0: end; -EAGAIN; -ENOBUFS: the buffer is full; else the stream's error. */
ssize_t flow_fill(struct flow *f);
/* The next event of the parser over what was read. */
enum h1_event flow_parse(struct flow *f);
/* Moves what can be moved. may_read: the source is worth a try. */
enum flow_state flow_pump(struct flow *f, bool may_read);
/* Bytes of the message's body that were parsed before its head was written, to be called before
 * the head is: out is given its room now, so that no copy of a secret part is left behind. whole:
 * they are all of it. */
void flow_parts(struct flow *f, const struct str *parts, size_t n, bool whole);
/* Writes out and pending. 0; -EAGAIN; -errno. */
int flow_flush(struct flow *f);
/* The head of what follows, in the sink's own form. 0, -EMSGSIZE, -EPIPE. */
int flow_request(struct flow *f, const struct head *h, bool tls, struct str target, struct str host,
		 const struct h1_out *o) MUST_CHECK;
int flow_answer(struct flow *f, const struct head *h, const struct h1_out *o) MUST_CHECK;
/* Something waits to be written. */
bool flow_has_output(const struct flow *f);
/* Names, in both spellings, and values lie in the arena, so they can be written over. */
size_t flow_scrub_fields(const struct scrub *s, struct field *fields, size_t n);
/* What is held back is so little that it goes out if nothing follows: a peer may be waiting for its
 * message's last byte. */
bool flow_holds_little(const struct flow *f);
static inline bool flow_has_input(const struct flow *f)
{
	return f->in.n > f->in_at;
}

#endif
