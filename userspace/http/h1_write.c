/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 out. Called by the proxy's session for both directions, and by fuzz_http. Reads heads
 * that h1.c has checked. */
#include "http/h1_write.h"

#include <errno.h>
#include <stdio.h>

static const char *const hop[] = { "connection",     "keep-alive", "te",   "transfer-encoding",
				   "content-length", "upgrade",	   "host", "http2-settings" };

/* Never dropped at the sender's word. */
static const char *const ours[] = {
	"accept-encoding",
	"authorization",
	"cache-control",
	"content-encoding",
	"content-length",
	"content-range",
	"content-type",
	"cookie",
	"date",
	"etag",
	"expect",
	"host",
	"if-match",
	"if-none-match",
	"location",
	"range",
	"set-cookie",
	"transfer-encoding",
	"www-authenticate",
};

/* Fields that say how a message is read, whom it is for or who sent it have no place behind the
 * body. */
static const char *const not_trailer[] = {
	"authorization",  "cache-control",
	"connection",	  "content-encoding",
	"content-length", "content-range",
	"content-type",	  "cookie",
	"expect",	  "host",
	"keep-alive",	  "location",
	"max-forwards",	  "range",
	"set-cookie",	  "te",
	"trailer",	  "transfer-encoding",
	"upgrade",	  "www-authenticate",
};

static bool in(const char *const *list, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq_nocase(name, str_of(list[i])))
			return true;
	}
	return false;
}

bool h1_connection_ok(const struct head *h, struct str *ret_bad)
{
	const struct field *f;
	struct str s;

	for (size_t at = 0; (f = head_each(h, "connection", &at));) {
		for (size_t i = 0; list_each (f->value, &i, &s);) {
			if (in(ours, ARRAY_SIZE(ours), s)) {
				*ret_bad = s;
				return false;
			}
		}
	}
	return true;
}

static bool dropped(const struct head *h, const struct field *f, bool named)
{
	if (in(hop, ARRAY_SIZE(hop), f->name) || str_starts(f->name, "proxy-"))
		return true;
	/* A field that the proxy put there itself was not written by the peer, who so cannot name
	 * it away. */
	if (named && f->written.n) {
		char name[64];

		if (f->name.n >= sizeof(name))
			return false;
		memcpy(name, f->name.p, f->name.n);
		name[f->name.n] = 0;
		return head_has_token(h, "connection", name);
	}
	return false;
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
	char *p;
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
		p += snprintf(p, 48, "Content-Length: %llu\r\n", (unsigned long long)o->length);
	if (o->close)
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
	char status[24];
	struct str first[] = { { status, 0 }, h->reason };

	first[0].n = (size_t)snprintf(status, sizeof(status), "HTTP/1.1 %03u ", h->status % 1000);
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
		if (!in(not_trailer, ARRAY_SIZE(not_trailer), trailers[i].name) &&
		    !str_starts(trailers[i].name, "proxy-"))
			p = put_field(p, &trailers[i]);
	}
	p = put(p, STR("\r\n"));
	to->n = (size_t)(p - to->p);
	return 0;
}
