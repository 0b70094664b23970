/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes by HTTP/2: see h2.h. Frames, HPACK and the rules of RFC 9113 for them are nghttp2's;
 * here heads are gathered within their bounds, bodies held until they are taken, and frames that
 * carry nothing are counted. Hostile bytes, either side. Called by proxy/h2conn.c and fuzz_h2.
 */
#include "http/h2_lane.h"

#include "base/secret.h"

#include <errno.h>
#include <stdlib.h>

/* ---- frames that carry nothing ---- */

void h2_credit(struct h2 *h, uint32_t frames)
{
	h->idle = h->idle > frames ? h->idle - frames : 0;
}

static int charge(struct h2 *h)
{
	if (++h->idle <= h->limits.idle_frames)
		return 0;
	h->why = "too many frames that carry nothing";
	h->broken = h->flooded = true;
	(void)nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static struct h2_lane *lane_of(struct h2 *h, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h->session, id);
}

/* A head of a stream that is over is let go, since it may have been on its way; but it was
 * unpacked, and is nobody's message. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
	struct h2 *h = arg;

	if (hd->type != NGHTTP2_HEADERS || hd->stream_id > h->last || lane_of(h, hd->stream_id))
		return 0;
	return charge(h);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	struct h2_lane *l;

	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (h->server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		/* Answers that wait to be sent count too: nobody opens lanes by not reading. */
		if (h->nlanes >= 2 * (size_t)h->limits.lanes)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		l = h2_lane_new(h, frame->hd.stream_id);
		l->live = true;
		h->last = l->id;
		(void)nghttp2_session_set_stream_user_data(session, l->id, l);
	} else {
		l = lane_of(h, frame->hd.stream_id);
	}
	if (l)
		l->coming =
			(struct head){ .is_request = h->server, .minor = 1, .keep_alive = true };
	return 0;
}

static bool pseudo(struct h2_lane *l, struct str name, struct str value)
{
	struct head *c = &l->coming;

	if (str_is(name, ":method"))
		c->method = value;
	else if (str_is(name, ":path"))
		c->path = value;
	else if (str_is(name, ":scheme"))
		c->scheme = value;
	else if (str_is(name, ":authority"))
		c->authority = value;
	else if (str_is(name, ":status"))
		for (size_t i = 0; i < value.n; i++)
			c->status = c->status * 10 + (unsigned)(value.p[i] - '0');
	else
		return false;
	return true;
}

static void add_trailer(struct h2_lane *l, struct str name, struct str value)
{
	if (l->ntrailers == l->trailers_room) {
		size_t room = l->trailers_room + 16;
		struct field *more = arena_new(&l->arena, room * sizeof(*more));

		if (l->ntrailers)
			memcpy(more, l->trailers, l->ntrailers * sizeof(*more));
		l->trailers = more;
		l->trailers_room = room;
	}
	l->trailers[l->ntrailers++] = (struct field){ .name = name, .value = value };
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t nname, const uint8_t *value, size_t nvalue, uint8_t flags, void *arg)
{
	struct h2 *h = arg;
	struct h2_lane *l = lane_of(h, frame->hd.stream_id);
	struct str n, v;

	if (!l || frame->hd.type != NGHTTP2_HEADERS || l->large)
		return 0;
	l->head_bytes += nname + nvalue + 4;
	if (l->head_bytes > h->limits.header_bytes || ++l->head_count > h->limits.header_count) {
		/* The rest is decoded for the table's sake and kept by nobody. */
		l->large = true;
		return 0;
	}
	n = arena_str(&l->arena, (struct str){ (const char *)name, nname });
	v = arena_str(&l->arena, (struct str){ (const char *)value, nvalue });
	if (n.n && n.p[0] == ':')
		return pseudo(l, n, v) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (l->final)
		add_trailer(l, n, v);
	else
		head_add(&l->coming, &l->arena, n, v);
	return 0;
}

static void refused(struct h2 *h, const char *why)
{
	if (h->calls->refused)
		h->calls->refused(h->owner, why);
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
			     const uint8_t *name, size_t nname, const uint8_t *value, size_t nvalue,
			     uint8_t flags, void *arg)
{
	refused(arg, "a field of the HTTP/2 message breaks the protocol");
	return charge(arg) ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
			    void *arg)
{
	refused(arg, frame->hd.type == NGHTTP2_HEADERS
			     ? "the HTTP/2 message's head breaks the protocol"
			     : "an HTTP/2 frame breaks the protocol");
	return charge(arg);
}

/* RFC 9113 8.2.3: crumbs are one field again where fields may be looked at. */
static void join_cookies(struct h2_lane *l)
{
	struct head *c = &l->coming;
	size_t n = 0, size = 0, at = 0;
	const struct field *f;
	char *p, *to;

	while ((f = head_each(c, "cookie", &at))) {
		n++;
		size += f->value.n + 2;
	}
	if (n < 2)
		return;
	to = p = arena_new(&l->arena, size);
	for (at = 0; (f = head_each(c, "cookie", &at));) {
		if (p != to) {
			memcpy(p, "; ", 2);
			p += 2;
		}
		memcpy(p, f->value.p, f->value.n);
		p += f->value.n;
	}
	head_drop(c, "cookie");
	head_add(c, &l->arena, STR("cookie"), (struct str){ to, (size_t)(p - to) });
}

/* Host beside :authority must be the same (RFC 9113 8.3.1); what is passed on is read from one
 * place. false: they differ. */
static bool join_host(struct h2_lane *l)
{
	struct head *c = &l->coming;
	const struct field *host = head_find(c, "host");

	if (!c->authority.n)
		return true; /* Host alone, or none: judged as in HTTP/1.1 */
	if (host && (head_count(c, "host") > 1 || !str_eq_nocase(host->value, c->authority)))
		return false;
	if (!host)
		head_add(c, &l->arena, STR("host"), c->authority);
	c->authority = (struct str){ NULL, 0 };
	return true;
}

static void frame_body(struct head *c, bool ends)
{
	const struct field *length = head_find(c, "content-length");

	c->body = ends ? BODY_NONE : BODY_CHUNKED;
	if (ends || !length)
		return;
	/* nghttp2 has checked that it is one number, and holds the body against it. */
	c->body = BODY_LENGTH;
	for (size_t i = 0; i < length->value.n; i++)
		c->length = c->length * 10 + (uint64_t)(length->value.p[i] - '0');
}

static int reset(struct h2 *h, struct h2_lane *l, uint32_t code)
{
	l->spoilt = true;
	return nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, l->id, code) < 0
		       ? NGHTTP2_ERR_CALLBACK_FAILURE
		       : 0;
}

static int head_came(struct h2 *h, struct h2_lane *l, bool ends)
{
	struct head *c = &l->coming;
	struct h2_block *b;

	if (l->final) {
		if (!ends) /* neither trailers nor an interim answer */
			return reset(h, l, NGHTTP2_PROTOCOL_ERROR);
		return 0;
	}
	if (!h->server && (c->status < 100 || c->status > 599)) {
		refused(h, "the answer's status is none");
		return reset(h, l, NGHTTP2_PROTOCOL_ERROR);
	}
	if (h->server) {
		join_cookies(l);
		if (!join_host(l)) {
			refused(h, "Host and :authority differ");
			return reset(h, l, NGHTTP2_PROTOCOL_ERROR);
		}
		c->form = str_is(c->method, "CONNECT") ? FORM_AUTHORITY
			  : str_is(c->path, "*")       ? FORM_ASTERISK
						       : FORM_ORIGIN;
	}
	frame_body(c, ends);
	l->final = h->server || c->status / 100 != 1;
	if (!l->large) {
		b = arena_new(&l->arena, sizeof(*b));
		b->head = *c;
		*l->blocks_end = b;
		l->blocks_end = &b->next;
	}
	if (!h->server || l->opened)
		return 0;
	l->opened = l->held = true;
	h->calls->opened(h->owner, l);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct h2_lane *l;
	int r = 0;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		l = lane_of(h, frame->hd.stream_id);
		if (l)
			r = head_came(h, l, ends);
		break;
	case NGHTTP2_DATA:
		l = lane_of(h, frame->hd.stream_id);
		if (frame->hd.length <= frame->data.padlen && !ends)
			return charge(h);
		h2_credit(h, 2 + (uint32_t)frame->hd.length / 1024);
		break;
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			return 0;
		return charge(h);
	case NGHTTP2_GOAWAY:
		h->going = true;
		return 0;
	default: /* PRIORITY, RST_STREAM, WINDOW_UPDATE and what is unknown */
		return charge(h);
	}
	if (!l)
		return 0;
	if (ends && !l->spoilt)
		l->heard = true;
	if (ends && !h->server)
		h2_credit(h, H2_CREDIT);
	h2_lane_wake(l);
	return r;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
		   void *arg)
{
	struct h2 *h = arg;
	struct h2_lane *l = lane_of(h, id);

	(void)nghttp2_session_consume_connection(session, n);
	if (!l || !l->held) {
		(void)nghttp2_session_consume_stream(session, id, n);
		if (!l)
			return 0;
		/* Answered before it was whole (RFC 9113 8.1). Clients that are told to stop at
		 * once take it for a failure: so not before they had time to see the answer. */
		l->drained += n;
		return l->drained > l->drain ? reset(h, l, NGHTTP2_NO_ERROR) : 0;
	}
	/* Within the window, which nghttp2 watches over. */
	if (buf_add(&l->inbox, p, n) < 0)
		return reset(h, l, NGHTTP2_FLOW_CONTROL_ERROR);
	h2_lane_wake(l);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct h2_lane *l = lane_of(arg, id);

	if (!l)
		return 0;
	l->live = false;
	l->error = error;
	if (l->held)
		h2_lane_wake(l);
	else
		h2_lane_drop(l);
	return 0;
}

/* ---- the connection ---- */

struct h2 *h2_new(bool server, const struct h2_limits *limits, const struct h2_calls *calls,
		  void *owner)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->lanes },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->window },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes },
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 }
	};
	struct h2 *h = mem_new(sizeof(*h));
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;
	nghttp2_mem mem = h2_mem;

	h->server = server;
	h->limits = *limits;
	h->calls = calls;
	h->owner = owner;
	h->why = "";
	h->ready_end = &h->ready;
	if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
		die("out of memory for an HTTP/2 connection");
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, h2_on_sent);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_no_closed_streams(opt, 1);
	nghttp2_option_set_max_settings(opt, 16);
	nghttp2_option_set_max_send_header_block_length(opt, 2 * limits->header_bytes);
	if (server ? nghttp2_session_server_new3(&h->session, cb, h, opt, &mem)
		   : nghttp2_session_client_new3(&h->session, cb, h, opt, &mem))
		die("out of memory for an HTTP/2 connection");
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
	/* The connection's own window is no bound of ours: lanes have theirs. */
	if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings,
				    server ? 3 : ARRAY_SIZE(settings)) ||
	    nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, 16 << 20))
		die("out of memory for an HTTP/2 connection");
	return h;
}

struct h2 *h2_free(struct h2 *h)
{
	struct h2_lane *l, *next;

	if (!h)
		return NULL;
	for (l = h->lanes; l; l = next) {
		next = l->next;
		l->live = false;
		if (l->held) {
			h2_lane_rest(h, l);
			l->h = NULL;
			l->prev = l->next = NULL;
		} else {
			h2_lane_drop(l);
		}
	}
	nghttp2_session_del(h->session);
	free(h);
	return NULL;
}

void h2_lose(struct h2 *h)
{
	for (struct h2_lane *l = h->lanes; l; l = l->next) {
		l->live = false;
		h2_lane_wake(l);
	}
	while (h->ready)
		h2_run(h);
}

int h2_feed(struct h2 *h, const void *p, size_t n)
{
	ssize_t r;

	if (h->broken)
		return -EPROTO;
	r = nghttp2_session_mem_recv(h->session, p, n);
	if (r == (ssize_t)n && !h->broken)
		return 0;
	h->broken = true;
	if (!*h->why)
		h->why = r < 0 ? nghttp2_strerror((int)r) : "the connection was ended";
	return -EPROTO;
}

bool h2_over(const struct h2 *h)
{
	return !nghttp2_session_want_write(h->session) &&
	       (h->broken || !nghttp2_session_want_read(h->session));
}

bool h2_flooded(const struct h2 *h)
{
	return h->flooded;
}

const char *h2_why(const struct h2 *h)
{
	return h->why;
}

void h2_goaway(struct h2 *h)
{
	if (h->going && h->server)
		return;
	h->going = true;
	(void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
				    nghttp2_session_get_last_proc_stream_id(h->session),
				    NGHTTP2_NO_ERROR, NULL, 0);
	h->calls->kick(h->owner);
}

void h2_ping(struct h2 *h)
{
	(void)nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
	h->calls->kick(h->owner);
}

void h2_silent(struct h2 *h)
{
	h->silent = true;
}

size_t h2_lanes(const struct h2 *h)
{
	return h->nlanes;
}
