/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1 reader and writer. The first byte says: request or answer, HEAD, how the rest is cut.
 * Held against each input: the cut changes nothing; a head that was accepted, written and read
 * again is the same head; a chunked body that was accepted is read alike by llhttp.
 */
#include "http/h1.h"
#include "http/h1_write.h"

#include <assert.h>
#include <llhttp.h>
#include <stdint.h>
#include <stdlib.h>

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static const struct h1_limits limits = { 4096, 20, 512, 64 };

/* What was read, as bytes that can be compared. */
struct seen {
	struct buf b;
	struct buf written; /* every head, written anew */
	struct buf body;    /* of the first chunked message */
	size_t consumed;    /* at the end of that message; 0: none */
	unsigned messages;
	enum h1_fault fault;
};

static void add(struct buf *b, struct str s)
{
	check(buf_add(b, s.p ? s.p : "", s.n) == 0);
	check(buf_add(b, "|", 1) == 0);
}

static void see_head(struct seen *s, struct head *h, bool head_request)
{
	struct h1_out o = { .body = h->body, .length = h->length, .keep_length = head_request };

	add(&s->b, h->method);
	add(&s->b, h->path);
	add(&s->b, h->authority);
	add(&s->b, h->reason);
	check(buf_addf(&s->b, "%u %u %u %d %llu|", h->status, h->minor, h->body, h->keep_alive,
		       (unsigned long long)h->length) == 0);
	for (size_t i = 0; i < h->n; i++) {
		add(&s->b, h->fields[i].name);
		add(&s->b, h->fields[i].value);
		for (size_t k = 0; k < h->fields[i].value.n; k++)
			check((uint8_t)h->fields[i].value.p[k] >= 0x20 ||
			      h->fields[i].value.p[k] == '\t');
	}
	if (h->is_request && h->form == FORM_ORIGIN) {
		const struct field *host = head_find(h, "host");

		check(h1_write_request(&s->written, h, h->path, host ? host->value : STR("none"),
				       &o) == 0);
	}
	if (!h->is_request)
		check(h1_write_response(&s->written, h, &o) == 0);
}

static void read_all(bool request, bool head_request, const uint8_t *p, size_t n, size_t step,
		     struct seen *s)
{
	size_t at = 0, have = 0, used;
	struct arena a;
	bool eof = false, chunked = false;
	struct h1 h;

	buf_init(&s->b, 1 << 24);
	buf_init(&s->written, 1 << 24);
	buf_init(&s->body, 1 << 24);
	arena_init(&a, 1 << 26);
	h1_init(&h, request, &limits);
	h1_expect(&h, head_request);
	for (;;) {
		char *exact = malloc(have - at ? have - at : 1);
		enum h1_event ev;

		memcpy(exact, p + at, have - at);
		ev = h1_next(&h, &a, exact, have - at, eof, &used);
		check(used <= have - at);
		at += used;
		if (ev == H1_HEAD) {
			s->messages++;
			see_head(s, &h.head, head_request);
			chunked = h.head.body == BODY_CHUNKED && s->messages == 1;
		} else if (ev == H1_BODY) {
			check(h.body.n);
			check(buf_add(&s->b, h.body.p, h.body.n) == 0);
			if (chunked)
				check(buf_add(&s->body, h.body.p, h.body.n) == 0);
		} else if (ev == H1_TRAILERS) {
			for (size_t i = 0; i < h.ntrailers; i++) {
				add(&s->b, h.trailers[i].name);
				add(&s->b, h.trailers[i].value);
			}
		} else if (ev == H1_END) {
			add(&s->b, STR("."));
			if (chunked && !s->consumed)
				s->consumed = at;
			chunked = false;
		}
		free(exact);
		if (ev == H1_FAULT) {
			check(h.why && h.fault != H1_OK);
			s->fault = h.fault;
			break;
		}
		if (ev != H1_MORE)
			continue;
		if (have == n && eof)
			break;
		eof = have == n;
		have = have + step > n ? n : have + step;
	}
	arena_done(&a);
}

static void seen_done(struct seen *s)
{
	buf_done(&s->b);
	buf_done(&s->written);
	buf_done(&s->body);
}

/* ---- llhttp on the same bytes ---- */

static struct buf *llhttp_to;
static int on_body(llhttp_t *l, const char *at, size_t n)
{
	check(buf_add(llhttp_to, at, n) == 0);
	return 0;
}
static int on_complete(llhttp_t *l)
{
	return HPE_PAUSED;
}

static void same_body(bool request, const uint8_t *p, size_t n, const struct buf *ours)
{
	llhttp_settings_t set;
	struct buf theirs;
	llhttp_errno_t e;
	llhttp_t l;

	buf_init(&theirs, 1 << 24);
	llhttp_to = &theirs;
	llhttp_settings_init(&set);
	set.on_body = on_body;
	set.on_message_complete = on_complete;
	llhttp_init(&l, request ? HTTP_REQUEST : HTTP_RESPONSE, &set);
	e = llhttp_execute(&l, (const char *)p, n);
	/* It may be stricter than we are about trailers; where it reads to the end, it read the
	 * same. */
	if (e == HPE_PAUSED || e == HPE_OK)
		check(theirs.n == ours->n && (!ours->n || memcmp(theirs.p, ours->p, ours->n) == 0));
	buf_done(&theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct seen whole = { 0 }, cut = { 0 }, again = { 0 };
	bool request, head_request;

	if (!n || n > 16384)
		return 0;
	request = p[0] & 1;
	head_request = p[0] & 2;
	read_all(request, head_request, p + 1, n - 1, n, &whole);
	read_all(request, head_request, p + 1, n - 1, 1 + (p[0] >> 2) % 61, &cut);
	check(whole.b.n == cut.b.n && (!whole.b.n || memcmp(whole.b.p, cut.b.p, whole.b.n) == 0));
	/* Of two faults in one line, which is seen first may depend on the cut. */
	check(!whole.fault == !cut.fault && whole.messages == cut.messages);
	if (whole.consumed)
		same_body(request, p + 1, whole.consumed, &whole.body);
	/* One head alone can be read again; behind it would be its body. */
	if (whole.messages == 1 && whole.written.n) {
		struct h1_limits wide = { 65536, 64, 4096, 64 };
		struct arena a;
		struct h1 h;
		size_t used;

		arena_init(&a, 1 << 24);
		h1_init(&h, request, &wide);
		h1_expect(&h, head_request);
		check(h1_next(&h, &a, whole.written.p, whole.written.n, false, &used) == H1_HEAD);
		check(used == whole.written.n);
		read_all(request, head_request, (uint8_t *)whole.written.p, whole.written.n,
			 whole.written.n, &again);
		/* Written twice it is the same: a fixed point. */
		if (again.written.n)
			check(again.written.n == whole.written.n &&
			      memcmp(again.written.p, whole.written.p, whole.written.n) == 0);
		seen_done(&again);
		arena_done(&a);
	}
	seen_done(&whole);
	seen_done(&cut);
	return 0;
}
