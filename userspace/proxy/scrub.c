/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many patterns in one pass (Wu-Manber: a table of shifts over pairs of bytes, so most of an answer
 * is never looked at). Called by the session for answers of hosts that a leased credential names.
 * The text is hostile, the patterns are secret: they live in locked memory.
 */
#include "proxy/scrub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FORMS 15u /* a value gives at most that many patterns */
#define SHIFTS 4096u

struct pattern {
	uint32_t at, n;
};

struct scrub {
	unsigned held;
	bool loose;
	struct secret bytes; /* all patterns, one behind the other */
	struct pattern *patterns;
	size_t n;
	size_t window; /* length of the shortest */
	size_t longest;
	uint8_t shift[SHIFTS];
	uint8_t begins[SHIFTS]; /* by the first two bytes: a pattern may */
};

static unsigned pair(const char *p)
{
	return ((unsigned)(uint8_t)p[0] * 33u ^ (unsigned)(uint8_t)p[1] << 4) & (SHIFTS - 1);
}

/* ---- the forms ---- */

static const char b64[2][65] = {
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
};

/* The characters of a Base64 text that depend on nothing but the value, when `skew` other bytes
 * stand before it. */
static size_t form_base64(char *to, struct str v, unsigned skew, const char *alphabet)
{
	size_t first_bit = (size_t)skew * 8, last_bit = first_bit + v.n * 8;
	size_t n = 0;

	for (size_t bit = (first_bit + 5) / 6 * 6; bit + 6 <= last_bit; bit += 6) {
		size_t i = (bit - first_bit) / 8, off = (bit - first_bit) % 8;
		unsigned w = (unsigned)(uint8_t)v.p[i] << 8;

		if (i + 1 < v.n)
			w |= (uint8_t)v.p[i + 1];
		to[n++] = alphabet[w >> (10 - off) & 63];
	}
	return n;
}

static size_t form_hex(char *to, struct str v, const char *digits)
{
	for (size_t i = 0; i < v.n; i++) {
		to[2 * i] = digits[(uint8_t)v.p[i] >> 4];
		to[2 * i + 1] = digits[(uint8_t)v.p[i] & 15];
	}
	return 2 * v.n;
}

/* As S3 writes the bytes of what it signed. */
static size_t form_hex_apart(char *to, struct str v)
{
	size_t n = form_hex(to, v, "0123456789abcdef");

	for (size_t i = v.n; i-- > 1;) {
		memmove(to + 3 * i, to + 2 * i, 2);
		to[3 * i - 1] = ' ';
	}
	return n + v.n - 1;
}

static bool unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static size_t form_url(char *to, struct str v, const char *digits)
{
	size_t n = 0;

	for (size_t i = 0; i < v.n; i++) {
		if (unreserved(v.p[i])) {
			to[n++] = v.p[i];
			continue;
		}
		to[n++] = '%';
		to[n++] = digits[(uint8_t)v.p[i] >> 4];
		to[n++] = digits[(uint8_t)v.p[i] & 15];
	}
	return n;
}

static size_t form_json(char *to, struct str v, bool slash)
{
	size_t n = 0;

	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == '"' || v.p[i] == '\\' || (slash && v.p[i] == '/'))
			to[n++] = '\\';
		to[n++] = v.p[i];
	}
	return n;
}

/* As writers do whose JSON may stand in HTML: Go, Ruby on Rails, PHP with its flags. */
static size_t form_json_html(char *to, struct str v)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = 0; i < v.n; i++) {
		char c = v.p[i];

		if (c == '<' || c == '>' || c == '&') {
			memcpy(to + n, "\\u00", 4);
			to[n + 4] = digits[(uint8_t)c >> 4];
			to[n + 5] = digits[(uint8_t)c & 15];
			n += 6;
			continue;
		}
		if (c == '"' || c == '\\')
			to[n++] = '\\';
		to[n++] = c;
	}
	return n;
}

static void add(struct scrub *s, char **to, size_t n)
{
	struct pattern p = { (uint32_t)(*to - (char *)s->bytes.p), (uint32_t)n };

	if (n < SCRUB_MIN)
		return;
	for (size_t i = 0; i < s->n; i++) {
		if (s->patterns[i].n == n && memcmp(s->bytes.p + s->patterns[i].at, *to, n) == 0)
			return;
	}
	s->patterns[s->n++] = p;
	*to += n;
	if (s->n == 1 || n < s->window)
		s->window = n;
	if (n > s->longest)
		s->longest = n;
}

static void add_forms(struct scrub *s, char **to, struct str v, bool plain)
{
	memcpy(*to, v.p, v.n);
	add(s, to, v.n);
	if (plain)
		return;
	for (unsigned skew = 0; skew < 3; skew++) {
		for (unsigned a = 0; a < 2; a++)
			add(s, to, form_base64(*to, v, skew, b64[a]));
	}
	add(s, to, form_hex(*to, v, "0123456789abcdef"));
	add(s, to, form_hex(*to, v, "0123456789ABCDEF"));
	add(s, to, form_hex_apart(*to, v));
	add(s, to, form_url(*to, v, "0123456789ABCDEF"));
	add(s, to, form_url(*to, v, "0123456789abcdef"));
	add(s, to, form_json(*to, v, false));
	add(s, to, form_json(*to, v, true));
	add(s, to, form_json_html(*to, v));
}

/* ---- the search ---- */

static void tables(struct scrub *s)
{
	size_t far = s->window - 1;

	memset(s->shift, far > 255 ? 255 : (int)far, sizeof(s->shift));
	for (size_t k = 0; k < s->n; k++) {
		const char *p = (const char *)s->bytes.p + s->patterns[k].at;

		s->begins[pair(p)] = 1;
		for (size_t i = 0; i + 1 < s->window; i++) {
			size_t left = s->window - 2 - i;
			uint8_t *at = &s->shift[pair(p + i)];

			if (left < *at)
				*at = (uint8_t)left;
		}
	}
}

int scrub_new(const struct str *values, size_t n, size_t plain, struct scrub **ret)
{
	struct scrub *s = mem_new(sizeof(*s));
	size_t size = 1;
	char *to;
	int r;

	for (size_t i = 0; i < n; i++)
		/* 1 + 6 * 4/3 + 2 * 2 + 3 + 2 * 3 + 2 * 2 + 6, and room to try one */
		size += i < plain ? values[i].n * 39 + 64 : values[i].n + 64;
	r = secret_new(size, &s->bytes);
	if (r < 0) {
		free(s);
		return r;
	}
	s->held = 1;
	s->patterns = mem_new((n * FORMS + 1) * sizeof(*s->patterns));
	to = (char *)s->bytes.p;
	for (size_t i = 0; i < n; i++) {
		if (values[i].n >= SCRUB_MIN)
			add_forms(s, &to, values[i], i >= plain);
	}
	if (s->n)
		tables(s);
	*ret = s;
	return 0;
}

struct scrub *scrub_hold(struct scrub *s)
{
	s->held++;
	return s;
}

struct scrub *scrub_free(struct scrub *s)
{
	if (!s || --s->held)
		return NULL;
	secret_done(&s->bytes);
	free(s->patterns);
	wipe(s, sizeof(*s));
	free(s);
	return NULL;
}

void scrub_set_loose(struct scrub *s)
{
	s->loose = true;
}

bool scrub_loose(const struct scrub *s)
{
	return s->loose;
}

bool scrub_empty(const struct scrub *s)
{
	return !s || !s->n;
}

/* The longest pattern at p, or 0. *ret_more: a longer one may yet turn out to be there. */
static size_t match(const struct scrub *s, const char *p, size_t n, bool *ret_more)
{
	size_t best = 0;

	*ret_more = false;

	for (size_t k = 0; k < s->n; k++) {
		const struct pattern *x = &s->patterns[k];

		if (x->n > n)
			*ret_more |= memcmp(p, s->bytes.p + x->at, n) == 0;
		else if (x->n > best && memcmp(p, s->bytes.p + x->at, x->n) == 0)
			best = x->n;
	}
	return best;
}

/* Where a pattern could begin that ends behind n: the first such place. Most are not looked at
 * twice: this is a walk over 200 bytes and more of each part of an answer. */
static size_t tail(const struct scrub *s, const char *p, size_t n, size_t from)
{
	size_t i = n >= s->longest ? n - s->longest + 1 : 0;

	for (i = i < from ? from : i; i < n; i++) {
		if (i + 1 < n && !s->begins[pair(p + i)])
			continue;
		for (size_t k = 0; k < s->n; k++) {
			const struct pattern *x = &s->patterns[k];

			if (x->n > n - i && memcmp(p + i, s->bytes.p + x->at, n - i) == 0)
				return i;
		}
	}
	return n;
}

size_t scrub_bytes(const struct scrub *s, char *p, size_t n, bool last, size_t *ret_sure)
{
	size_t i = 0, found = 0, done = 0, len;
	bool more;

	if (scrub_empty(s)) {
		*ret_sure = n;
		return 0;
	}
	while (i + s->window <= n) {
		size_t step = s->shift[pair(p + i + s->window - 2)];

		if (step) {
			i += step;
			continue;
		}
		if (!s->begins[pair(p + i)]) {
			i++;
			continue;
		}
		len = match(s, p + i, n - i, &more);
		if (more && !last) {
			*ret_sure = i;
			return found;
		}
		if (!len) {
			i++;
			continue;
		}
		memset(p + i, '*', len);
		found++;
		i += len;
		done = i;
	}
	*ret_sure = last ? n : tail(s, p, n, done);
	return found;
}
