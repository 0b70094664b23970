/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1 in. Called by the proxy's session for both directions, and by fuzz_http. Trusts no byte.
 *
 * A head is collected whole and then read twice, by our own strict reading (h1_line.c) and by
 * llhttp with no leniency; they must agree on every field, on the version and on the framing, so
 * that a quirk of one reader is a refusal and not a smuggled request. Framing of bodies is ours
 * alone: llhttp 8.1, as Debian builds it, lets any byte stand for the LF behind a chunk's size.
 */
#include "http/h1_line.h"

#include <llhttp.h>

#define LEADING_BLANKS 2 /* empty lines tolerated before a request (RFC 9112 2.2) */

bool h1_method_known(struct str method)
{
	static const char *const names[] = {
#define METHOD(number, name, text) #text,
		HTTP_METHOD_MAP(METHOD)
#undef METHOD
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_is(method, names[i]))
			return true;
	return false;
}

void h1_init(struct h1 *h, bool request, const struct h1_limits *limits)
{
	memset(h, 0, sizeof(*h));
	h->request = request;
	h->limits = limits;
}

void h1_expect(struct h1 *h, bool head_request)
{
	h->no_body = head_request;
}

/* ---- the second opinion ---- */

struct cross {
	const struct head *head;
	size_t i, off;
	bool bad, complete;
};

static int cross_name(llhttp_t *l, const char *at, size_t n)
{
	struct cross *x = l->data;
	struct str s;

	if (x->i >= x->head->n)
		return -1;
	s = x->head->fields[x->i].written;
	if (x->off + n > s.n || memcmp(s.p + x->off, at, n) != 0)
		return -1;
	x->off += n;
	return 0;
}

static int cross_name_end(llhttp_t *l)
{
	struct cross *x = l->data;

	if (x->i >= x->head->n || x->off != x->head->fields[x->i].written.n)
		return -1;
	x->off = 0;
	return 0;
}

static int cross_value(llhttp_t *l, const char *at, size_t n)
{
	struct cross *x = l->data;
	struct str s;

	if (x->i >= x->head->n)
		return -1;
	s = x->head->fields[x->i].value;
	for (size_t k = 0; k < n; k++, x->off++) {
		if (x->off < s.n ? at[k] != s.p[x->off] : at[k] != ' ' && at[k] != '\t')
			return -1;
	}
	return 0;
}

static int cross_value_end(llhttp_t *l)
{
	struct cross *x = l->data;

	if (x->i >= x->head->n || x->off < x->head->fields[x->i].value.n)
		return -1;
	x->off = 0;
	x->i++;
	return 0;
}

static int cross_end(llhttp_t *l)
{
	((struct cross *)l->data)->complete = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t cross_settings = {
	.on_header_field = cross_name,
	.on_header_field_complete = cross_name_end,
	.on_header_value = cross_value,
	.on_header_value_complete = cross_value_end,
	.on_headers_complete = cross_end,
};

static bool cross_check(struct h1 *h, const char *p, size_t n)
{
	const struct head *hd = &h->head;
	struct cross x = { .head = hd };
	llhttp_errno_t err;
	llhttp_t l;
	bool length;

	llhttp_init(&l, h->request ? HTTP_REQUEST : HTTP_RESPONSE, &cross_settings);
	l.data = &x;
	err = llhttp_execute(&l, p, n);
	if (err == HPE_INVALID_METHOD) {
		h1_fail(h, H1_METHOD, "the method is not known");
		return false;
	}
	if (err != HPE_PAUSED || !x.complete || x.i != hd->n || l.http_major != 1 ||
	    l.http_minor != hd->minor) {
		h1_fail(h, H1_BAD, "the header section can be read in two ways");
		return false;
	}
	length = head_find(hd, "content-length") != NULL;
	if (!!(l.flags & F_CONTENT_LENGTH) != length ||
	    !!(l.flags & F_TRANSFER_ENCODING) != (head_find(hd, "transfer-encoding") != NULL) ||
	    (!h->request && l.status_code != hd->status) ||
	    (hd->body == BODY_LENGTH && l.content_length != hd->length) ||
	    (hd->body == BODY_CHUNKED && !(l.flags & F_CHUNKED))) {
		h1_fail(h, H1_BAD, "the framing can be read in two ways");
		return false;
	}
	return true;
}

/* ---- the first line ---- */

static bool version(struct h1 *h, struct str s)
{
	if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0) {
		h1_fail(h, H1_BAD, "the first line is not HTTP's");
		return false;
	}
	if (memcmp(s.p, "HTTP/1.", 7) != 0 || (s.p[7] != '0' && s.p[7] != '1')) {
		h1_fail(h, H1_VERSION, "only HTTP/1.0 and HTTP/1.1 are spoken");
		return false;
	}
	h->head.minor = (uint8_t)(s.p[7] - '0');
	return true;
}

static bool target(struct h1 *h, struct str t)
{
	struct head *hd = &h->head;
	const char *colon, *slash;

	if (t.n > h->limits->target_bytes) {
		h1_fail(h, H1_TARGET_LONG, "the target is too long");
		return false;
	}
	for (size_t i = 0; i < t.n; i++) {
		if ((unsigned char)t.p[i] <= 0x20 || (unsigned char)t.p[i] >= 0x7f) {
			h1_fail(h, H1_BAD, "the target holds a byte that is not printable ASCII");
			return false;
		}
	}
	hd->path = t;
	if (str_is(hd->method, "CONNECT")) {
		hd->form = FORM_AUTHORITY;
		hd->authority = t;
		hd->path.n = 0;
		return true;
	}
	if (t.n && t.p[0] == '/') {
		hd->form = FORM_ORIGIN;
		return true;
	}
	if (str_is(t, "*") && str_is(hd->method, "OPTIONS")) {
		hd->form = FORM_ASTERISK;
		return true;
	}
	colon = memchr(t.p, ':', t.n);
	if (!colon || (size_t)(t.p + t.n - colon) < 4 || memcmp(colon, "://", 3) != 0) {
		h1_fail(h, H1_BAD, "the target is neither a path nor an absolute URL");
		return false;
	}
	hd->form = FORM_ABSOLUTE;
	hd->scheme = (struct str){ t.p, (size_t)(colon - t.p) };
	hd->authority.p = colon + 3;
	slash = memchr(colon + 3, '/', (size_t)(t.p + t.n - (colon + 3)));
	hd->authority.n = (size_t)((slash ? slash : t.p + t.n) - hd->authority.p);
	if (slash)
		hd->path = (struct str){ slash, (size_t)(t.p + t.n - slash) };
	else /* RFC 9112 3.2.4 */
		hd->path = str_is(hd->method, "OPTIONS") ? STR("*") : STR("/");
	if (memchr(hd->authority.p, '?', hd->authority.n) || !hd->authority.n) {
		h1_fail(h, H1_BAD, "the target is an absolute URL without a path");
		return false;
	}
	return true;
}

static bool request_line(struct h1 *h, struct str s)
{
	const char *sp = memchr(s.p, ' ', s.n), *sp2;

	if (!sp || sp == s.p) {
		h1_fail(h, H1_BAD, "the first line is not a request's");
		return false;
	}
	h->head.method = (struct str){ s.p, (size_t)(sp - s.p) };
	for (size_t i = 0; i < h->head.method.n; i++) {
		if (!h1_token[(unsigned char)s.p[i]]) {
			h1_fail(h, H1_BAD, "the method is not a token");
			return false;
		}
	}
	sp++;
	sp2 = memchr(sp, ' ', (size_t)(s.p + s.n - sp));
	if (!sp2 || sp2 == sp) {
		h1_fail(h, H1_BAD, "the first line is not a request's");
		return false;
	}
	return version(h, (struct str){ sp2 + 1, (size_t)(s.p + s.n - sp2 - 1) }) &&
	       target(h, (struct str){ sp, (size_t)(sp2 - sp) });
}

static bool status_line(struct h1 *h, struct str s)
{
	unsigned status = 0;

	if (s.n < 12 || s.p[8] != ' ' || (s.n > 12 && s.p[12] != ' ')) {
		h1_fail(h, H1_BAD, "the first line is not an answer's");
		return false;
	}
	for (size_t i = 9; i < 12; i++) {
		if (s.p[i] < '0' || s.p[i] > '9') {
			h1_fail(h, H1_BAD, "the status is not a number");
			return false;
		}
		status = status * 10 + (unsigned)(s.p[i] - '0');
	}
	if (status < 100 || status > 599) {
		h1_fail(h, H1_BAD, "the status is out of range");
		return false;
	}
	for (size_t i = 12; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			h1_fail(h, H1_BAD, "the reason phrase holds a control byte");
			return false;
		}
	}
	h->head.status = status;
	if (s.n > 13)
		h->head.reason = (struct str){ s.p + 13, s.n - 13 };
	return version(h, (struct str){ s.p, 8 });
}

/* ---- framing ---- */

static bool framing(struct h1 *h)
{
	struct head *hd = &h->head;
	const struct field *te = head_find(hd, "transfer-encoding");
	const struct field *cl = head_find(hd, "content-length");
	uint64_t length = 0;

	if (cl && (head_count(hd, "content-length") > 1 || cl->value.n > 18 ||
		   str_u64(cl->value, &length) < 0)) {
		h1_fail(h, H1_BAD, "Content-Length is not one number");
		return false;
	}
	if (te && cl) {
		h1_fail(h, H1_BAD, "there are both Content-Length and Transfer-Encoding");
		return false;
	}
	if (te && (head_count(hd, "transfer-encoding") > 1 ||
		   !str_eq_nocase(te->value, STR("chunked")))) {
		h1_fail(h, H1_BAD, "Transfer-Encoding is not chunked alone");
		return false;
	}
	if (te && !hd->minor) {
		h1_fail(h, H1_BAD, "there is Transfer-Encoding in HTTP/1.0");
		return false;
	}
	hd->length = length;
	/* A client of HTTP/1.0 that uses a proxy may have been told keep-alive by another one
	 * before it, which would then wait for an end (RFC 9112 9.3). */
	hd->keep_alive = !head_has_token(hd, "connection", "close") &&
			 (hd->minor || (head_has_token(hd, "connection", "keep-alive") &&
					hd->form != FORM_ABSOLUTE));
	if (!h->request &&
	    (h->no_body || hd->status / 100 == 1 || hd->status == 204 || hd->status == 304))
		hd->body = BODY_NONE;
	else if (te)
		hd->body = BODY_CHUNKED;
	else if (cl)
		hd->body = length ? BODY_LENGTH : BODY_NONE;
	else
		hd->body = h->request ? BODY_NONE : BODY_EOF;
	if (hd->body == BODY_EOF)
		hd->keep_alive = false;
	return true;
}

static enum h1_event read_head(struct h1 *h, struct arena *a, const char *p, size_t n)
{
	struct head *hd = &h->head;
	struct str copy = arena_str(a, (struct str){ p, n });
	char *bytes = (char *)copy.p, *lf = memchr(bytes, '\n', n);
	struct str first = { bytes, (size_t)(lf - bytes) - 1 };

	h->blanks = 0;
	memset(hd, 0, sizeof(*hd));
	hd->is_request = h->request;
	if (!(h->request ? request_line(h, first) : status_line(h, first)) ||
	    !h1_fields(h, a, lf + 1, bytes + n - 2, &hd->fields, &hd->n))
		return H1_FAULT;
	hd->room = hd->fields ? hd->n + 8 : 0;
	if (!framing(h) || !cross_check(h, p, n))
		return H1_FAULT;
	/* HTTP/1.0 expects nothing (RFC 9110 10.1.1). */
	if (h->request && !hd->minor)
		head_drop(hd, "expect");
	h->left = hd->length;
	switch (hd->body) {
	case BODY_NONE:
		h->at = H1_AT_END;
		break;
	case BODY_LENGTH:
		h->at = H1_AT_LENGTH;
		break;
	case BODY_CHUNKED:
		h->at = H1_AT_CHUNK;
		break;
	case BODY_EOF:
		h->at = H1_AT_EOF;
		break;
	}
	return H1_HEAD;
}

/* ---- chunks ---- */

/* 1: *ret_n bytes of a chunk's first line were read; 0: more; -1: fault. */
static int chunk_line(struct h1 *h, const char *p, size_t n, size_t *ret_n)
{
	uint64_t size = 0;
	size_t i = 0, ext;

	for (; i < n; i++) {
		char c = p[i];
		unsigned d;

		if (c >= '0' && c <= '9')
			d = (unsigned)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			d = (unsigned)((c | 32) - 'a') + 10;
		else
			break;
		if (i == 15) {
			h1_fail(h, H1_BAD, "a chunk is too large");
			return -1;
		}
		size = size * 16 + d;
	}
	if (i == n)
		return 0;
	if (i == 0 || (p[i] != '\r' && p[i] != ';')) {
		h1_fail(h, H1_BAD, "a chunk's size is not a number");
		return -1;
	}
	for (ext = 0; i < n && p[i] != '\r'; i++, ext++) {
		unsigned char c = (unsigned char)p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f ||
		    ext > h->limits->chunk_extension_bytes) {
			h1_fail(h, H1_BAD,
				c < 0x20 || c == 0x7f ? "a chunk's extension holds a control byte"
						      : "a chunk's extension is too long");
			return -1;
		}
	}
	if (i + 1 >= n)
		return 0;
	if (p[i + 1] != '\n') {
		h1_fail(h, H1_BAD, "a chunk's size does not end in CR LF");
		return -1;
	}
	h->left = size;
	*ret_n = i + 2;
	return 1;
}

static enum h1_event body_part(struct h1 *h, const char *p, size_t n)
{
	h->body = (struct str){ p, n < h->left ? n : (size_t)h->left };
	h->left -= h->body.n;
	return H1_BODY;
}

static void block_start(struct h1 *h)
{
	h->scanned = h->line = 0;
	h->lines = 0;
}

enum h1_event h1_next(struct h1 *h, struct arena *a, const char *p, size_t n, bool eof,
		      size_t *ret_used)
{
	size_t used = 0, len;
	enum h1_event ev;
	int r;

	*ret_used = 0;
	for (;;) {
		p += used;
		n -= used;
		*ret_used += used;
		used = 0;
		switch (h->at) {
		case H1_AT_HEAD:
			if (!n)
				return H1_MORE;
			r = h1_block(h, p, n, &len);
			if (r < 0)
				return H1_FAULT;
			if (!r)
				return eof ? h1_fail(h, H1_BAD, "it ends inside its head")
					   : H1_MORE;
			block_start(h);
			if (len == 2 && h->request && h->blanks++ < LEADING_BLANKS) {
				used = 2;
				continue;
			}
			if (len == 2)
				return h1_fail(h, H1_BAD, "there is no first line");
			*ret_used += len;
			return read_head(h, a, p, len);
		case H1_AT_LENGTH:
		case H1_AT_CHUNK_DATA:
			if (!h->left) {
				h->at = h->at == H1_AT_LENGTH ? H1_AT_END : H1_AT_CHUNK_END;
				continue;
			}
			if (!n)
				return eof ? h1_fail(h, H1_BAD, "it ends inside its body")
					   : H1_MORE;
			ev = body_part(h, p, n);
			*ret_used += h->body.n;
			return ev;
		case H1_AT_EOF:
			if (n) {
				h->body = (struct str){ p, n };
				*ret_used += n;
				return H1_BODY;
			}
			if (!eof)
				return H1_MORE;
			h->at = H1_AT_END;
			continue;
		case H1_AT_CHUNK:
			r = chunk_line(h, p, n, &len);
			if (r < 0)
				return H1_FAULT;
			if (!r)
				return eof ? h1_fail(h, H1_BAD, "it ends inside its body")
					   : H1_MORE;
			used = len;
			h->at = h->left ? H1_AT_CHUNK_DATA : H1_AT_TRAILERS;
			block_start(h);
			continue;
		case H1_AT_CHUNK_END:
			if ((n >= 1 && p[0] != '\r') || (n >= 2 && p[1] != '\n'))
				return h1_fail(h, H1_BAD, "a chunk does not end in CR LF");
			if (n < 2)
				return eof ? h1_fail(h, H1_BAD, "it ends inside its body")
					   : H1_MORE;
			used = 2;
			h->at = H1_AT_CHUNK;
			continue;
		case H1_AT_TRAILERS:
			r = h1_block(h, p, n, &len);
			if (r < 0)
				return H1_FAULT;
			if (!r)
				return eof ? h1_fail(h, H1_BAD, "it ends inside its trailers")
					   : H1_MORE;
			*ret_used += len;
			if (len == 2) {
				h->at = H1_AT_END;
				p += len;
				n -= len;
				continue;
			}
			{
				char *bytes = (char *)arena_str(a, (struct str){ p, len }).p;

				if (!h1_fields(h, a, bytes, bytes + len - 2, &h->trailers,
					       &h->ntrailers))
					return H1_FAULT;
			}
			h->at = H1_AT_END;
			return H1_TRAILERS;
		case H1_AT_END:
			h->at = H1_AT_HEAD;
			block_start(h);
			return H1_END;
		case H1_AT_FAULT:
			return H1_FAULT;
		}
	}
}
