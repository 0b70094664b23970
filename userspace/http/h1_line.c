/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of an HTTP/1 head or trailer section, by our own strict reading. Called by h1.c, whose
 * llhttp must come to the same result. Trusts no byte: a line ends in CR LF and nothing else, a
 * name is a token with the colon right behind it, a value has no control byte, nothing is folded.
 */
#include "http/h1_line.h"

/* RFC 9110 tchar; the value is the byte in lower case. */
#define T2(c) [c] = (c), [(c) + 1] = (c) + 1
#define T4(c) T2(c), T2((c) + 2)
#define L2(c) [c] = (c) + 32, [(c) + 1] = (c) + 33
#define L4(c) L2(c), L2((c) + 2)
const uint8_t h1_token[256] = {
	['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*',
	['+'] = '+', ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`',	['|'] = '|',
	['~'] = '~', T4('0'),	  T4('4'),     T2('8'),	    T4('a'),	 T4('e'),	T4('i'),
	T4('m'),     T4('q'),	  T4('u'),     T2('y'),	    L4('A'),	 L4('E'),	L4('I'),
	L4('M'),     L4('Q'),	  L4('U'),     L2('Y'),
};

enum h1_event h1_fail(struct h1 *h, enum h1_fault f, const char *why)
{
	h->fault = f;
	h->why = why;
	h->at = H1_AT_FAULT;
	return H1_FAULT;
}

int h1_block(struct h1 *h, const char *p, size_t n, size_t *ret_n)
{
	const char *lf;
	bool first = h->at == H1_AT_HEAD;

	while (h->scanned < n && (lf = memchr(p + h->scanned, '\n', n - h->scanned))) {
		size_t i = (size_t)(lf - p);

		if (i == h->line || p[i - 1] != '\r') {
			h1_fail(h, H1_BAD, "a line ends without CR LF");
			return -1;
		}
		h->scanned = i + 1;
		if (i + 1 > h->limits->header_bytes) {
			h1_fail(h, H1_HEAD_LARGE, "the header section is too large");
			return -1;
		}
		if (i - 1 == h->line) {
			*ret_n = i + 1;
			return 1;
		}
		if (first && h->request && !h->lines &&
		    i - h->line > h->limits->target_bytes + 64) {
			h1_fail(h, H1_TARGET_LONG, "the target is too long");
			return -1;
		}
		h->line = i + 1;
		if (++h->lines > h->limits->header_count + (first ? 1 : 0)) {
			h1_fail(h, H1_HEAD_LARGE, "there are too many header fields");
			return -1;
		}
	}
	h->scanned = n;
	if (first && h->request && !h->lines && n > h->limits->target_bytes + 64) {
		h1_fail(h, H1_TARGET_LONG, "the target is too long");
		return -1;
	}
	if (n >= h->limits->header_bytes) {
		h1_fail(h, H1_HEAD_LARGE, "the header section is too large");
		return -1;
	}
	return 0;
}

static bool value_ok(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool one_field(struct h1 *h, char *line, size_t n, char *lower, struct field *f)
{
	size_t i = 0;

	if (line[0] == ' ' || line[0] == '\t') {
		h1_fail(h, H1_BAD, "a header field is folded over lines");
		return false;
	}
	while (i < n && h1_token[(unsigned char)line[i]]) {
		lower[i] = (char)h1_token[(unsigned char)line[i]];
		i++;
	}
	if (i == 0 || i == n || line[i] != ':') {
		h1_fail(h, H1_BAD,
			i < n && (line[i] == ' ' || line[i] == '\t')
				? "there is a blank before a header field's colon"
				: "a header field's name is not a token");
		return false;
	}
	f->name = (struct str){ lower, i };
	f->written = (struct str){ line, i };
	i++;
	while (i < n && (line[i] == ' ' || line[i] == '\t'))
		i++;
	while (n > i && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	if (!value_ok(line + i, n - i)) {
		h1_fail(h, H1_BAD, "a header field's value holds a control byte");
		return false;
	}
	f->value = (struct str){ line + i, n - i };
	return true;
}

bool h1_fields(struct h1 *h, struct arena *a, char *p, char *end, struct field **ret, size_t *ret_n)
{
	struct field *fields;
	size_t n = 0, room = 8; /* a few more than sent: the proxy adds some */
	char *lower;

	if (p == end) {
		*ret = NULL;
		*ret_n = 0;
		return true;
	}
	for (char *q = p; (q = memchr(q, '\n', (size_t)(end - q))); q++)
		room++;
	fields = arena_new(a, room * sizeof(*fields));
	lower = arena_new(a, (size_t)(end - p));
	while (p < end) {
		char *lf = memchr(p, '\n', (size_t)(end - p));

		/* h1_block saw that every line ends in CR LF. */
		if (!one_field(h, p, (size_t)(lf - p) - 1, lower, &fields[n]))
			return false;
		lower += fields[n++].name.n;
		p = lf + 1;
	}
	*ret = fields;
	*ret_n = n;
	return true;
}
