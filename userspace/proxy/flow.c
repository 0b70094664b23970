/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pump. Called by session.c when a stream can be read or written. Bodies of known length are
 * written from where they were read; chunked ones are framed anew, with small parts gathered into
 * one write; scrubbed ones pass a window that holds back what could be the start of a secret.
 */
#include "proxy/flow.h"

#include "base/secret.h"
#include "http/h1_write.h"

#include <errno.h>

#define READ_SIZE 16384u /* one TLS record */
#define READS_MAX 16	 /* a turn: others want theirs */
#define GATHER 16384u	 /* small parts behind a head go with it in one write */
#define LITTLE 3u	 /* of a value, all of which has 16 bytes and more */

void flow_init(struct flow *f, size_t buffer, size_t head)
{
	memset(f, 0, sizeof(*f));
	f->buffer = buffer;
	buf_init(&f->in, (head > buffer ? head : buffer) + READ_SIZE);
	/* Out takes what one turn parses: a head, or a full input framed anew. */
	buf_init(&f->out, 4 * (head > buffer ? head : buffer) + 4 * READ_SIZE);
	buf_init(&f->window, 1u << 22);
}

void flow_done(struct flow *f)
{
	if (f->out.p)
		wipe(f->out.p, f->out.size);
	if (f->window.p)
		wipe(f->window.p, f->window.size);
	buf_done(&f->in);
	buf_done(&f->out);
	buf_done(&f->window);
}

void flow_reset(struct flow *f)
{
	if (f->secret && f->out.p)
		wipe(f->out.p, f->out.size);
	f->secret = false;
	f->out.n = f->out_at = 0;
	f->window.n = f->said = 0;
	f->quiet = false;
	f->pending.n = 0;
	f->scrub = NULL;
	f->recode = NULL;
	f->kind = BODY_NONE;
	f->ended = f->discard = f->whole = false;
	f->nparts = f->part_at = 0;
	f->hold = NULL;
	f->bytes = f->read_total = f->written_total = 0;
	f->scrubbed = 0;
}

void flow_discard(struct flow *f)
{
	if (f->secret && f->out.p)
		wipe(f->out.p, f->out.size);
	f->secret = false;
	f->out.n = f->out_at = 0;
	f->pending.n = 0;
	f->nparts = 0;
	f->ended = f->ended || f->whole;
	f->discard = true;
	f->to = NULL;
	f->to_lane = NULL;
}

ssize_t flow_fill(struct flow *f)
{
	size_t room;
	ssize_t r;

	if (f->from_lane) /* its connection reads */
		return h2_lane_state(f->from_lane);
	if (f->in_at == f->in.n)
		f->in.n = f->in_at = 0;
	room = f->in.size - f->in.n;
	if (room < READ_SIZE / 4 && f->in_at) {
		buf_consume(&f->in, f->in_at);
		f->in_at = 0;
		room = f->in.size - f->in.n;
	}
	if (room < READ_SIZE / 4) {
		size_t more = f->in.limit - f->in.n;

		if (more > READ_SIZE)
			more = READ_SIZE;
		if (!more || buf_reserve(&f->in, more) < 0)
			return -ENOBUFS;
		room = f->in.size - f->in.n;
	}
	r = stream_read(f->from, f->in.p + f->in.n, room);
	if (r > 0) {
		f->in.n += (size_t)r;
		f->read_total += (size_t)r;
	} else if (r == 0) {
		f->eof = true;
	}
	return r;
}

enum h1_event flow_parse(struct flow *f)
{
	enum h1_event ev;
	size_t used;

	if (f->from_lane) {
		ev = h2_lane_next(f->from_lane, f->parser);
		if (ev != H1_MORE)
			f->read_total++; /* the peer has said something */
		return ev;
	}
	ev = h1_next(f->parser, f->arena, f->in.p ? f->in.p + f->in_at : "", f->in.n - f->in_at,
		     f->eof, &used);
	f->in_at += used;
	return ev;
}

int flow_flush(struct flow *f)
{
	ssize_t r;
	int e;

	if (f->to_lane)
		return h2_lane_flush(f->to_lane);
	e = stream_flush(f->to);
	if (e < 0)
		return e;
	while (f->out_at < f->out.n) {
		r = stream_write(f->to, f->out.p + f->out_at, f->out.n - f->out_at);
		if (r < 0)
			return (int)r;
		f->out_at += (size_t)r;
		f->written_total += (size_t)r;
	}
	if (f->out.n) {
		if (f->secret)
			wipe(f->out.p, f->out.size);
		f->secret = false;
		f->out.n = f->out_at = 0;
	}
	while (f->pending.n) {
		r = stream_write(f->to, f->pending.p, f->pending.n);
		if (r < 0)
			return (int)r;
		f->pending.p += r;
		f->pending.n -= (size_t)r;
		f->written_total += (size_t)r;
	}
	return 0;
}

static bool bodiless(const struct h1_out *o)
{
	return o->body == BODY_NONE || (o->body == BODY_LENGTH && !o->length);
}

int flow_request(struct flow *f, const struct head *h, bool tls, struct str target, struct str host,
		 const struct h1_out *o)
{
	int r;

	f->kind = o->body;
	if (!f->to_lane)
		return h1_write_request(&f->out, h, target, host, o);
	r = h2_lane_request(f->to_lane, h, tls ? STR("https") : STR("http"), host, target,
			    bodiless(o), f->secret);
	if (r == 0)
		f->written_total++;
	return r;
}

int flow_answer(struct flow *f, const struct head *h, const struct h1_out *o)
{
	if (!f->to_lane)
		return h1_write_response(&f->out, h, o);
	return h2_lane_answer(f->to_lane, h, bodiless(o));
}

bool flow_has_output(const struct flow *f)
{
	return f->out.n > f->out_at || f->pending.n || (f->to_lane && h2_lane_queued(f->to_lane));
}

static bool emit(struct flow *f, struct str s, bool stays)
{
	if (f->to_lane)
		return h2_lane_write(f->to_lane, s) == 0;
	if (f->kind == BODY_NONE)
		return false; /* its end was said with the head */
	if (f->kind == BODY_CHUNKED)
		return h1_write_chunk(&f->out, s) == 0;
	if (stays && s.n + f->out.n > GATHER) {
		f->pending = s;
		return true;
	}
	return buf_add_str(&f->out, s) == 0;
}

static bool emit_scrubbed(struct flow *f, struct str s, bool last)
{
	size_t sure, from;
	bool ok;

	if (!f->window.n) {
		/* Nothing was held back before it: searched where it was read. */
		f->scrubbed += scrub_bytes(f->scrub, (char *)s.p, s.n, last, &sure);
		return buf_add(&f->window, s.p + sure, s.n - sure) == 0 &&
		       (!sure || emit(f, (struct str){ s.p, sure }, true));
	}
	if (buf_add_str(&f->window, s) < 0)
		return false;
	f->scrubbed += scrub_bytes(f->scrub, f->window.p, f->window.n, last, &sure);
	from = f->said < sure ? f->said : sure;
	ok = from == sure || emit(f, (struct str){ f->window.p + from, sure - from }, false);
	buf_consume(&f->window, sure);
	f->said -= from;
	return ok;
}

bool flow_holds_little(const struct flow *f)
{
	return f->window.n > f->said && f->window.n <= LITTLE && !f->recode;
}

/* It stays in the window: if it was the start of a value after all, the rest does not go out. */
static bool let_go(struct flow *f)
{
	struct str s = { f->window.p + f->said, f->window.n - f->said };

	f->quiet = false;
	/* What was read before it is not written yet: more may have followed by then. */
	if (!flow_holds_little(f) || f->pending.n)
		return true;
	f->said = f->window.n;
	return emit(f, s, false);
}

/* Is what was parsed the end of a body whose length was said? */
static bool is_last(const struct flow *f)
{
	const struct head *h = &f->parser->head;

	return h->body == BODY_LENGTH && f->bytes == h->length;
}

static bool has_sink(const struct flow *f)
{
	return f->to || f->to_lane;
}

static bool body(struct flow *f)
{
	f->bytes += f->parser->body.n;
	if (f->discard || !has_sink(f))
		return true;
	if (f->hold)
		return buf_add_str(f->hold, f->parser->body) == 0;
	if (f->recode) {
		f->window.n = 0;
		return f->recode(f, f->parser->body, &f->window) &&
		       (!f->window.n || emit(f, buf_str(&f->window), true));
	}
	return f->scrub ? emit_scrubbed(f, f->parser->body, is_last(f))
			: emit(f, f->parser->body, true);
}

void flow_parts(struct flow *f, const struct str *parts, size_t n, bool whole)
{
	f->parts = parts;
	f->nparts = n;
	f->part_at = 0;
	f->whole = whole;
	if (!f->to_lane && buf_reserve(&f->out, f->out.limit - f->out.n) < 0)
		die("out has no room up to its own limit");
}

/* A piece of the parts. */
static bool put_part(struct flow *f)
{
	struct str s = { f->parts->p + f->part_at, f->parts->n - f->part_at };

	if (s.n > GATHER)
		s.n = GATHER;
	f->bytes += s.n;
	f->part_at += s.n;
	if (f->part_at == f->parts->n) {
		f->parts++;
		f->nparts--;
		f->part_at = 0;
	}
	f->secret = true;
	return !s.n || emit(f, s, false);
}

size_t flow_scrub_fields(const struct scrub *s, struct field *fields, size_t n)
{
	size_t found = 0, sure;

	for (size_t i = 0; i < n; i++) {
		const struct str parts[] = { fields[i].name, fields[i].written, fields[i].value };

		/* Most are too short to hold anything that is looked for. */
		for (size_t k = 0; k < ARRAY_SIZE(parts); k++)
			if (parts[k].n >= SCRUB_MIN)
				found +=
					scrub_bytes(s, (char *)parts[k].p, parts[k].n, true, &sure);
	}
	return found;
}

static bool end(struct flow *f)
{
	struct field *t = f->parser->trailers;
	size_t n = f->parser->ntrailers;

	f->ended = true;
	f->parser->trailers = NULL;
	f->parser->ntrailers = 0;
	if (f->discard || !has_sink(f))
		return true;
	if (f->recode && !f->recode(f, STR(""), NULL))
		return false;
	if (f->scrub && f->window.n && !emit_scrubbed(f, STR(""), true))
		return false;
	if (f->kind != BODY_CHUNKED && !f->to_lane)
		return true;
	if (f->scrub)
		f->scrubbed += flow_scrub_fields(f->scrub, t, n);
	return f->to_lane ? h2_lane_end(f->to_lane, t, n) == 0 : h1_write_end(&f->out, t, n) == 0;
}

/* FLOW_READ: all that is there was parsed; FLOW_WRITE: enough to write first. */
static enum flow_state parse(struct flow *f)
{
	/* A reader that takes a little now and then must not make it grow. */
	if (f->out_at) {
		buf_consume(&f->out, f->out_at);
		f->out_at = 0;
	}
	if (f->quiet && !let_go(f))
		return FLOW_FAULT;
	while (!f->ended && !f->pending.n && f->out.n - f->out_at < f->buffer &&
	       !(f->to_lane && h2_lane_queued(f->to_lane) >= f->buffer)) {
		if (f->nparts) {
			if (!put_part(f))
				return FLOW_FAULT;
			continue;
		}
		switch (f->whole ? H1_END : flow_parse(f)) {
		case H1_MORE:
			return FLOW_READ;
		case H1_HEAD:
			if (!f->on_head || !f->on_head(f, f->owner))
				return FLOW_REFUSED;
			break;
		case H1_BODY:
			if (!body(f))
				return FLOW_FAULT;
			break;
		case H1_TRAILERS:
			break;
		case H1_END:
			if (!f->parser->request && f->parser->head.status / 100 == 1)
				break; /* the answer itself is still to come */
			if (f->hold && !f->whole) {
				if (!f->on_whole(f, f->owner))
					return FLOW_REFUSED;
				break;
			}
			if (!end(f))
				return FLOW_FAULT;
			break;
		case H1_FAULT:
			return FLOW_FAULT;
		}
	}
	return FLOW_WRITE;
}

static enum flow_state pump(struct flow *f, bool may_read, struct stream **gathers)
{
	enum flow_state st;
	ssize_t r;
	int e;

	for (int reads = 0;;) {
		st = parse(f);
		if (st == FLOW_FAULT || st == FLOW_REFUSED)
			return st;
		e = has_sink(f) ? flow_flush(f) : 0;
		if (e == -EAGAIN)
			return FLOW_WRITE;
		if (e < 0)
			return FLOW_WRITE_LOST;
		if (f->ended)
			return FLOW_DONE;
		if (st == FLOW_WRITE)
			continue;
		if (f->eof)
			return FLOW_READ_LOST;
		if ((!may_read && !f->from_lane) || reads++ == READS_MAX)
			return FLOW_READ;
		r = flow_fill(f);
		if (r == -EAGAIN)
			return FLOW_READ;
		if (r == -ENOBUFS)
			return FLOW_FAULT;
		if (r < 0)
			return FLOW_READ_LOST;
		/* A short read has emptied the socket: do not ask it again. */
		if (r > 0 && r < READ_SIZE / 2)
			may_read = false;
		/* The second whole record of a turn: bulk. From here on many leave at once and wake
		 * the reader once. */
		if (r >= (ssize_t)READ_SIZE && reads == 2 && f->to) {
			*gathers = f->to;
			stream_gather(f->to);
		}
	}
}

enum flow_state flow_pump(struct flow *f, bool may_read)
{
	struct stream *gathers = NULL;
	enum flow_state st = pump(f, may_read, &gathers);
	int e = gathers ? stream_send(gathers) : 0;

	/* Who cannot go on ends the connection: what is not sent of it then is lost like what lies
	 * in its socket. */
	if (e == 0 || st == FLOW_FAULT || st == FLOW_REFUSED || st == FLOW_READ_LOST)
		return st;
	return e == -EAGAIN ? FLOW_WRITE : FLOW_WRITE_LOST;
}
