/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 out. Called by the proxy's session for both directions, and by fuzz_http. Reads heads
 * that h1.c has checked. */
#include "http/h1_write.h"

#include "http/fields.h"

#include <errno.h>
#include <stdio.h>

static bool dropped(const struct head *h, const struct field *f, bool named)
{
	/* A field that the proxy put there itself was not written by the peer, who so cannot name
	 * it away. */
	return field_is_hop(f->name) || (named && f->written.n && field_named(h, f->name));
}

static char *put(char *to, struct str s)
{
	if (s.n)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

static char *put_field(char *to, const struct field *f)
{
	to = put(to, f->written.n ? f->written : f->name);
	to = put(to, STR(": "));
	to = put(to, f->value);
	return put(to, STR("\r\n"));
}

static int write_head(struct buf *to, const struct head *h, const struct str *first, size_t nfirst,
		      struct str host, const struct h1_out *o)
{
	bool named = head_find(h, "connection") != NULL;
	size_t size = 128 + host.n;
	char digits[20], *p;
	int r;

	for (size_t i = 0; i < nfirst; i++)
		size += first[i].n;
	for (size_t i = 0; i < h->n; i++)
		size += h->fields[i].name.n + h->fields[i].value.n + 4;
	r = buf_reserve(to, size);
	if (r < 0)
		return r;
	p = to->p + to->n;
	for (size_t i = 0; i < nfirst; i++)
		p = put(p, first[i]);
	p = put(p, STR("\r\n"));
	if (host.p) {
		p = put(p, STR("Host: "));
		p = put(p, host);
		p = put(p, STR("\r\n"));
	}
	for (size_t i = 0; i < h->n; i++) {
		const struct field *f = &h->fields[i];

		if (o->keep_length && o->body == BODY_NONE && str_is(f->name, "content-length"))
			p = put_field(p, f);
		else if (!dropped(h, f, named))
			p = put_field(p, f);
	}
	if (o->body == BODY_CHUNKED)
		p = put(p, STR("Transfer-Encoding: chunked\r\n"));
	else if (o->body == BODY_LENGTH)
		p = put(put(put(p, STR("Content-Length: ")), str_num(o->length, digits)),
			STR("\r\n"));
	if (o->websocket)
		p = put(p, STR("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
	else if (o->close)
		p = put(p, STR("Connection: close\r\n"));
	else if (o->keep_alive)
		p = put(p, STR("Connection: keep-alive\r\n"));
	p = put(p, STR("\r\n"));
	to->n = (size_t)(p - to->p);
	return 0;
}

int h1_write_request(struct buf *to, const struct head *h, struct str target, struct str host,
		     const struct h1_out *o)
{
	struct str first[] = { h->method, STR(" "), target, STR(" HTTP/1.1") };

	return write_head(to, h, first, ARRAY_SIZE(first), host, o);
}

int h1_write_response(struct buf *to, const struct head *h, const struct h1_out *o)
{
	char status[] = { (char)('0' + h->status / 100 % 10), (char)('0' + h->status / 10 % 10),
			  (char)('0' + h->status % 10), ' ' };
	struct str first[] = { STR("HTTP/1.1 "), { status, sizeof(status) }, h->reason };

	return write_head(to, h, first, ARRAY_SIZE(first), (struct str){ NULL, 0 }, o);
}

int h1_write_chunk(struct buf *to, struct str bytes)
{
	int r;

	if (!bytes.n)
		return 0;
	r = buf_reserve(to, bytes.n + H1_CHUNK_ROOM);
	if (r < 0)
		return r;
	to->n += (size_t)snprintf(to->p + to->n, H1_CHUNK_ROOM, "%zx\r\n", bytes.n);
	memcpy(to->p + to->n, bytes.p, bytes.n);
	to->n += bytes.n;
	memcpy(to->p + to->n, "\r\n", 2);
	to->n += 2;
	return 0;
}

int h1_write_end(struct buf *to, const struct field *trailers, size_t n)
{
	size_t size = 16;
	char *p;
	int r;

	for (size_t i = 0; i < n; i++)
		size += trailers[i].name.n + trailers[i].value.n + 4;
	r = buf_reserve(to, size);
	if (r < 0)
		return r;
	p = put(to->p + to->n, STR("0\r\n"));
	for (size_t i = 0; i < n; i++) {
		if (field_is_trailer(trailers[i].name))
			p = put_field(p, &trailers[i]);
	}
	p = put(p, STR("\r\n"));
	to->n = (size_t)(p - to->p);
	return 0;
}
