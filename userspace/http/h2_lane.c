/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: see h2.h. Made by h2.c for what the peer opens and by h2_open for what we do; held by who
 * moves the message, and kept beyond that until the last of it is sent.
 */
#include "http/h2_lane.h"

#include "base/secret.h"

#include <errno.h>
#include <stdlib.h>

#define DRAIN (1u << 20)
#define SLICE 16384u /* of a body, at a time: who frames it anew has room for that */

struct h2_lane *h2_lane_new(struct h2 *h, int32_t id)
{
	struct h2_lane *l = mem_new(sizeof(*l));

	l->h = h;
	l->id = id;
	l->drain = DRAIN;
	l->blocks_end = &l->blocks;
	/* Names and values, an index of them that doubles, a block a head. */
	arena_init(&l->arena, 4 * h->limits.header_bytes + 65536 +
				      4 * (h->limits.header_count + 64) * sizeof(struct field));
	buf_init(&l->inbox, h->limits.window);
	buf_init(&l->hold, h->limits.window);
	buf_init(&l->outbox, 4 * h->limits.buffer_bytes + 65536);
	l->next = h->lanes;
	if (h->lanes)
		h->lanes->prev = l;
	h->lanes = l;
	h->nlanes++;
	return l;
}

void h2_lane_rest(struct h2 *h, struct h2_lane *l)
{
	struct h2_lane **at;

	if (!l->ready)
		return;
	for (at = &h->ready; *at; at = &(*at)->next_ready) {
		if (*at != l)
			continue;
		*at = l->next_ready;
		if (!*at)
			h->ready_end = at;
		break;
	}
	l->ready = false;
	l->next_ready = NULL;
}

void h2_lane_drop(struct h2_lane *l)
{
	struct h2 *h = l->h;

	if (h) {
		h2_lane_rest(h, l);
		if (l->next)
			l->next->prev = l->prev;
		if (l->prev)
			l->prev->next = l->next;
		else
			h->lanes = l->next;
		h->nlanes--;
	}
	arena_done(&l->arena);
	if (l->secret && l->outbox.p)
		wipe(l->outbox.p, l->outbox.size);
	buf_done(&l->inbox);
	buf_done(&l->hold);
	buf_done(&l->outbox);
	free(l);
}

void h2_lane_wake(struct h2_lane *l)
{
	struct h2 *h = l->h;

	if (!h || l->ready || !l->held)
		return;
	l->ready = true;
	l->next_ready = NULL;
	*h->ready_end = l;
	h->ready_end = &l->next_ready;
	h->calls->kick(h->owner);
}

static bool readable(const struct h2_lane *l)
{
	return l->blocks || l->inbox.n || l->hold_at < l->hold.n || l->large ||
	       (l->heard && !l->told) || !l->live;
}

void h2_lane_want(struct h2_lane *l, h2_fn on_read, h2_fn on_write, h2_fn on_gone, void *owner)
{
	bool more = on_read && !l->on_read && readable(l);

	l->on_read = on_read;
	l->on_write = on_write;
	l->on_gone = on_gone;
	l->owner = owner;
	if (more)
		h2_lane_wake(l);
}

void h2_run(struct h2 *h)
{
	struct h2_lane *l;

	/* Each that is ready now, once: what they make ready themselves has its turn after that of
	 * others. */
	for (size_t n = h->nlanes; n && h->ready; n--) {
		l = h->ready;
		h->ready = l->next_ready;
		if (!h->ready)
			h->ready_end = &h->ready;
		l->ready = false;
		l->next_ready = NULL;
		if (!l->live && l->on_gone) {
			l->on_gone(l->owner);
		} else if (l->on_write && h2_lane_flush(l) != -EAGAIN) {
			/* The lane may be gone behind the call. */
			if (l->on_read && readable(l))
				h2_lane_wake(l);
			l->on_write(l->owner);
		} else if (l->on_read && readable(l)) {
			l->on_read(l->owner);
		}
	}
}

struct h2_lane *h2_lane_close(struct h2_lane *l)
{
	struct h2 *h = l->h;

	l->held = false;
	l->on_read = l->on_write = l->on_gone = NULL;
	if (h)
		h2_lane_rest(h, l);
	if (!h || !l->live) {
		h2_lane_drop(l);
		return NULL;
	}
	if (!l->said || (!h->server && !l->heard))
		(void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, l->id,
						h->server ? NGHTTP2_INTERNAL_ERROR
							  : NGHTTP2_CANCEL);
	/* What lies here will not be taken: the window opens again for what is thrown away. */
	if (l->inbox.n + l->hold.n - l->hold_at)
		(void)nghttp2_session_consume_stream(h->session, l->id,
						     l->inbox.n + l->hold.n - l->hold_at);
	l->inbox.n = l->hold.n = l->hold_at = l->given = 0;
	h->calls->kick(h->owner);
	return NULL;
}

/* ---- taking ---- */

enum h1_event h2_lane_next(struct h2_lane *l, struct h1 *out)
{
	struct buf given;

	if (l->given) {
		/* Taken: the peer may send as much again. */
		if (l->h && l->live)
			(void)nghttp2_session_consume_stream(l->h->session, l->id, l->given);
		if (l->h)
			l->h->calls->kick(l->h->owner);
		l->hold_at += l->given;
		l->given = 0;
	}
	if (l->blocks) {
		out->head = l->blocks->head;
		l->blocks = l->blocks->next;
		if (!l->blocks)
			l->blocks_end = &l->blocks;
		return H1_HEAD;
	}
	if (l->large) {
		out->fault = H1_HEAD_LARGE;
		out->why = "the header section is too large";
		out->at = H1_AT_FAULT;
		return H1_FAULT;
	}
	if (l->hold_at == l->hold.n) {
		l->hold.n = l->hold_at = 0;
		given = l->inbox;
		l->inbox = l->hold;
		l->hold = given;
	}
	if (l->hold.n) {
		l->given = l->hold.n - l->hold_at;
		if (l->given > SLICE)
			l->given = SLICE;
		out->body = (struct str){ l->hold.p + l->hold_at, l->given };
		return H1_BODY;
	}
	if (!l->heard || l->told)
		return H1_MORE;
	l->told = true;
	out->trailers = l->trailers;
	out->ntrailers = l->ntrailers;
	out->at = H1_AT_END;
	return H1_END;
}

int h2_lane_state(const struct h2_lane *l)
{
	return !l->h || !l->live ? -ECONNRESET : -EAGAIN;
}

bool h2_lane_untouched(const struct h2_lane *l)
{
	return l->error == NGHTTP2_REFUSED_STREAM || l->error == NGHTTP2_HTTP_1_1_REQUIRED;
}

bool h2_lane_wants_h1(const struct h2_lane *l)
{
	return l->error == NGHTTP2_HTTP_1_1_REQUIRED;
}

void h2_lane_doubt(struct h2_lane *l)
{
	if (l->h)
		l->h->going = true;
}

void h2_lane_drain(struct h2_lane *l, uint64_t bytes)
{
	l->drain = bytes;
}

bool h2_lane_silent(const struct h2_lane *l)
{
	return l->h && l->h->silent;
}

bool h2_lane_heard(const struct h2_lane *l)
{
	return l->heard;
}
