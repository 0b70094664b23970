/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes by HTTP/2: see h2.h. Heads are put together from the neutral message; what belongs to
 * one hop of HTTP/1.1 is left out. Values that are secrets are never indexed (RFC 7541 7.1.3), and
 * whatever nghttp2 copies is wiped when it is freed.
 */
#include "http/h2_lane.h"

#include "base/secret.h"
#include "http/fields.h"

#include <errno.h>
#include <stdlib.h>

#define PULL 32768u
#define CRUMB 256

/* ---- memory that is wiped ---- */

struct chunk {
	size_t n;
	max_align_t p[];
};

static void *h2_malloc(size_t n, void *arg)
{
	struct chunk *c = n > SIZE_MAX - sizeof(*c) ? NULL : malloc(sizeof(*c) + n);

	if (!c)
		return NULL;
	c->n = n;
	return c->p;
}

static void h2_release(void *p, void *arg)
{
	struct chunk *c;

	if (!p)
		return;
	c = (struct chunk *)((char *)p - offsetof(struct chunk, p));
	wipe(p, c->n);
	free(c);
}

static void *h2_calloc(size_t n, size_t size, void *arg)
{
	void *p = size && n > SIZE_MAX / size ? NULL : h2_malloc(n * size, arg);

	return p ? memset(p, 0, n * size) : NULL;
}

static void *h2_realloc(void *p, size_t n, void *arg)
{
	struct chunk *c = p ? (struct chunk *)((char *)p - offsetof(struct chunk, p)) : NULL;
	void *more = h2_malloc(n, arg);

	if (!more || !c)
		return more;
	memcpy(more, p, c->n < n ? c->n : n);
	h2_release(p, arg);
	return more;
}

const nghttp2_mem h2_mem = {
	.malloc = h2_malloc, .free = h2_release, .calloc = h2_calloc, .realloc = h2_realloc
};

/* ---- fields ---- */

/* What ends at a hop, but for the length, which HTTP/2 says itself. */
static bool hop(const struct field *f)
{
	return field_is_hop(f->name) && !str_is(f->name, "content-length");
}

static bool sensitive(const struct field *f)
{
	static const char *const names[] = { "authorization", "cookie", "set-cookie" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_is(f->name, names[i]))
			return true;
	return false;
}

static nghttp2_nv nv(struct str name, struct str value, bool secret)
{
	return (nghttp2_nv){ (uint8_t *)name.p, (uint8_t *)value.p, name.n, value.n,
			     secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE };
}

/* Behind the n that are there already. */
static size_t put_fields(nghttp2_nv *to, size_t n, const struct head *h, bool secret)
{
	bool named = head_find(h, "connection") != NULL;
	/* RFC 9110 8.6: neither has one, and clients of HTTP/2 hold it against an empty body. */
	bool bare = !h->is_request && (h->status / 100 == 1 || h->status == 204);

	for (size_t i = 0; i < h->n; i++) {
		const struct field *f = &h->fields[i];

		if (!hop(f) && !(bare && str_is(f->name, "content-length")) &&
		    !(named && f->written.n && field_named(h, f->name)))
			to[n++] = nv(f->name, f->value, sensitive(f) || secret);
	}
	/* RFC 9113 8.2.2: the one word of it that there is. Trailers pass here, so it is true of
	 * us. */
	if (h->is_request && head_has_token(h, "te", "trailers"))
		to[n++] = nv(STR("te"), STR("trailers"), false);
	return n;
}

/* ---- bodies ---- */

static ssize_t on_source(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
			 uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2_lane *l = source->ptr;
	size_t n = l->outbox.n - l->outbox_at;

	if (!n && !l->said) {
		l->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	if (n > room)
		n = room;
	if (n)
		memcpy(to, l->outbox.p + l->outbox_at, n);
	l->outbox_at += n;
	if (l->outbox_at == l->outbox.n)
		l->outbox.n = l->outbox_at = 0;
	if (l->said && !l->outbox.n) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (l->nout_trailers) {
			nghttp2_nv *t = arena_new(&l->arena, l->nout_trailers * sizeof(*t));

			for (size_t i = 0; i < l->nout_trailers; i++)
				t[i] = nv(l->out_trailers[i].name, l->out_trailers[i].value, false);
			if (nghttp2_submit_trailer(session, id, t, l->nout_trailers) == 0)
				*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		}
	}
	if (l->waited && h2_lane_flush(l) == 0) {
		l->waited = false;
		h2_lane_wake(l);
	}
	return (ssize_t)n;
}

int h2_lane_flush(const struct h2_lane *l)
{
	if (!l->h || !l->live)
		return -EPIPE;
	if (l->outbox.n - l->outbox_at < l->h->limits.buffer_bytes / 2 || l->said)
		return 0;
	((struct h2_lane *)l)->waited = true;
	return -EAGAIN;
}

size_t h2_lane_queued(const struct h2_lane *l)
{
	return l->outbox.n - l->outbox_at;
}

static void resume(struct h2_lane *l)
{
	if (l->deferred) {
		l->deferred = false;
		(void)nghttp2_session_resume_data(l->h->session, l->id);
	}
	l->h->calls->kick(l->h->owner);
}

int h2_lane_write(struct h2_lane *l, struct str body)
{
	int r;

	if (!l->h || !l->live)
		return 0; /* flush says it */
	if (l->outbox_at) {
		buf_consume(&l->outbox, l->outbox_at);
		l->outbox_at = 0;
	}
	r = buf_add_str(&l->outbox, body);
	if (r == 0)
		resume(l);
	return r;
}

int h2_lane_end(struct h2_lane *l, const struct field *trailers, size_t n)
{
	if (!l->h || !l->live || l->said)
		return 0;
	l->said = true;
	for (size_t i = 0; i < n; i++) {
		struct field f = trailers[i];

		if (!l->out_trailers)
			l->out_trailers = arena_new(&l->arena, n * sizeof(f));
		if (!field_is_trailer(f.name))
			continue;
		f.name = arena_str(&l->arena, f.name);
		f.value = arena_str(&l->arena, f.value);
		l->out_trailers[l->nout_trailers++] = f;
	}
	resume(l);
	return 0;
}

/* ---- heads ---- */

int h2_lane_request(struct h2_lane *l, const struct head *h, struct str scheme, struct str host,
		    struct str target, bool ends, bool secret)
{
	nghttp2_data_provider body = { .source.ptr = l, .read_callback = on_source };
	nghttp2_nv *fields;
	size_t n = 0;
	int32_t id;

	if (!l->h || l->h->broken)
		return -EPIPE;
	fields = mem_new((h->n + 5) * sizeof(*fields));
	fields[n++] = nv(STR(":method"), h->method, false);
	fields[n++] = nv(STR(":scheme"), scheme, false);
	fields[n++] = nv(STR(":authority"), host, false);
	fields[n++] = nv(STR(":path"), target, secret);
	n = put_fields(fields, n, h, secret);
	id = nghttp2_submit_request(l->h->session, NULL, fields, n, ends ? NULL : &body, l);
	free(fields);
	if (id < 0)
		return id == NGHTTP2_ERR_INVALID_ARGUMENT ? -EMSGSIZE : -EPIPE;
	l->id = l->h->last = id;
	l->live = true;
	l->said = ends;
	l->secret = secret;
	l->h->calls->kick(l->h->owner);
	return 0;
}

int h2_lane_answer(struct h2_lane *l, const struct head *h, bool ends)
{
	nghttp2_data_provider body = { .source.ptr = l, .read_callback = on_source };
	char status[16];
	nghttp2_nv *fields;
	size_t n = 0;
	int r;

	if (!l->h || !l->live)
		return -EPIPE;
	fields = mem_new((h->n + 1) * sizeof(*fields));
	status[0] = (char)('0' + h->status / 100 % 10);
	status[1] = (char)('0' + h->status / 10 % 10);
	status[2] = (char)('0' + h->status % 10);
	fields[n++] = nv(STR(":status"), (struct str){ status, 3 }, false);
	n = put_fields(fields, n, h, false);
	if (h->status / 100 == 1)
		r = nghttp2_submit_headers(l->h->session, NGHTTP2_FLAG_NONE, l->id, NULL, fields, n,
					   NULL);
	else
		r = nghttp2_submit_response(l->h->session, l->id, fields, n, ends ? NULL : &body);
	free(fields);
	if (r < 0)
		return r == NGHTTP2_ERR_INVALID_ARGUMENT ? -EMSGSIZE : -EPIPE;
	if (h->status / 100 != 1)
		l->said = ends;
	l->h->calls->kick(l->h->owner);
	return 0;
}

/* ---- the wire ---- */

/* As little as the peer's window had room for: who opens it byte by byte gets no credit for it. */
static bool crumb(nghttp2_session *session, const nghttp2_frame *frame)
{
	return frame->hd.length < CRUMB &&
	       (nghttp2_session_get_remote_window_size(session) <= 0 ||
		nghttp2_session_get_stream_remote_window_size(session, frame->hd.stream_id) <= 0);
}

int h2_on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	bool message = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;

	if (frame->hd.type == NGHTTP2_DATA && !crumb(session, frame))
		h2_credit(h, 2 + (uint32_t)frame->hd.length / 1024);
	if (h->server && message && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		h2_credit(h, H2_CREDIT);
	return 0;
}

bool h2_pull(struct h2 *h, struct buf *to)
{
	const uint8_t *p;
	ssize_t n;

	while (to->n < PULL) {
		n = nghttp2_session_mem_send(h->session, &p);
		if (n < 0) {
			h->broken = true;
			h->why = nghttp2_strerror((int)n);
			return false;
		}
		if (!n)
			return false;
		if (buf_add(to, p, (size_t)n) < 0)
			die("an HTTP/2 frame is larger than any can be");
	}
	return true;
}

/* ---- lanes of ours ---- */

bool h2_room(const struct h2 *h, bool *ret_going)
{
	*ret_going = h->going || h->broken || !nghttp2_session_check_request_allowed(h->session);
	return !*ret_going && h->nlanes < h->limits.lanes &&
	       h->nlanes < nghttp2_session_get_remote_settings(
				   h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

struct h2_lane *h2_open(struct h2 *h)
{
	struct h2_lane *l = h2_lane_new(h, -1);

	l->held = true;
	return l;
}
