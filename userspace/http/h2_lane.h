/* SPDX-License-Identifier: Apache-2.0 */
/* Private to h2.c (what comes), h2_lane.c and h2_send.c (what goes): connection and lanes. */
#ifndef EGRET_HTTP_H2_LANE_H
#define EGRET_HTTP_H2_LANE_H

#include "http/h2.h"

#include <nghttp2/nghttp2.h>

/* A head that came and was not taken. */
struct h2_block {
	struct head head;
	struct h2_block *next;
};

#define H2_CREDIT 16 /* frames that a whole message excuses */

struct h2 {
	nghttp2_session *session;
	const struct h2_calls *calls;
	void *owner;
	struct h2_limits limits;
	bool server;
	bool broken, going, flooded, silent;
	const char *why;
	struct h2_lane *lanes; /* all that are held, or known to nghttp2 */
	struct h2_lane *ready, **ready_end;
	size_t nlanes;
	int32_t last;  /* the highest of the streams that were opened */
	uint32_t idle; /* frames that carried nothing, less what others carried */
};

struct h2_lane {
	struct h2 *h; /* NULL: the connection is gone */
	struct h2_lane *prev, *next, *next_ready;
	int32_t id;
	bool held;   /* somebody's; else it is only being sent */
	bool live;   /* nghttp2 knows it */
	bool ready;  /* in h->ready */
	bool opened; /* server: was given to `opened` */
	uint32_t error;
	h2_fn on_read, on_write, on_gone;
	void *owner;
	/* what comes */
	struct arena arena;
	size_t head_bytes, head_count;
	bool large;
	struct h2_block *blocks, **blocks_end;
	struct head coming;	/* the head that is being read */
	bool final;		/* its answer's or request's own head came: the next are trailers */
	bool heard;		/* END_STREAM came */
	bool spoilt;		/* we reset it: what comes is no message */
	bool told;		/* and was given out */
	struct buf inbox, hold; /* body that came; body of which `given` bytes at hold_at are out */
	size_t hold_at, given;
	struct field *trailers;
	size_t ntrailers, trailers_room;
	/* what goes */
	struct buf outbox;
	size_t outbox_at;
	uint64_t drained, drain; /* came after the lane was given back; how much may */
	bool said;		 /* the end is in the outbox, or went with the head */
	bool waited;		 /* flush said -EAGAIN */
	bool deferred;		 /* nghttp2 waits for bytes */
	bool secret;
	struct field *out_trailers;
	size_t nout_trailers;
};

/* h2_lane.c */
struct h2_lane *h2_lane_new(struct h2 *h, int32_t id);
void h2_lane_wake(struct h2_lane *l);
void h2_lane_rest(struct h2 *h, struct h2_lane *l); /* no longer among those that are ready */
void h2_lane_drop(struct h2_lane *l);		    /* nobody holds it and nobody knows it */
/* h2.c */
void h2_credit(struct h2 *h, uint32_t frames); /* something useful was carried */
/* h2_send.c */
int h2_on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg);
extern const nghttp2_mem h2_mem; /* wipes what it frees */

#endif
