/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON, walked. Called by the proxy with bodies that a job or an origin wrote: every byte is
 * hostile, the depth is bounded, and what is not exactly JSON is said to be none. cJSON would give
 * no places and would write numbers anew.
 */
#include "http/json_walk.h"

#include <errno.h>

struct walk {
	const char *p, *end;
	json_string_fn fn;
	void *owner;
	struct json_step path[JSON_DEPTH];
	size_t depth;
	bool array[JSON_DEPTH];
};

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void blanks(struct walk *w)
{
	while (w->p < w->end && (*w->p == ' ' || *w->p == '\t' || *w->p == '\n' || *w->p == '\r'))
		w->p++;
}

/* Behind the opening quote, up to and past the closing one. */
static int string(struct walk *w, struct str *ret)
{
	const char *start = w->p;

	for (; w->p < w->end; w->p++) {
		unsigned char c = (unsigned char)*w->p;

		if (c < 0x20)
			return -EINVAL;
		if (c == '"') {
			*ret = (struct str){ start, (size_t)(w->p++ - start) };
			return 0;
		}
		if (c != '\\')
			continue;
		if (++w->p == w->end)
			return -EINVAL;
		if (*w->p == 'u') {
			for (int i = 0; i < 4; i++)
				if (++w->p == w->end || hex(*w->p) < 0)
					return -EINVAL;
		} else if (!*w->p || !strchr("\"\\/bfnrt", *w->p)) {
			return -EINVAL;
		}
	}
	return -EINVAL;
}

static bool digits(struct walk *w)
{
	const char *start = w->p;

	while (w->p < w->end && *w->p >= '0' && *w->p <= '9')
		w->p++;
	return w->p > start;
}

static int number(struct walk *w)
{
	if (*w->p == '-')
		w->p++;
	if (w->p < w->end && *w->p == '0')
		w->p++;
	else if (!digits(w))
		return -EINVAL;
	if (w->p < w->end && *w->p == '.') {
		w->p++;
		if (!digits(w))
			return -EINVAL;
	}
	if (w->p < w->end && (*w->p | 0x20) == 'e') {
		w->p++;
		if (w->p < w->end && (*w->p == '+' || *w->p == '-'))
			w->p++;
		if (!digits(w))
			return -EINVAL;
	}
	return 0;
}

static int word(struct walk *w, const char *what)
{
	size_t n = strlen(what);

	if ((size_t)(w->end - w->p) < n || memcmp(w->p, what, n) != 0)
		return -EINVAL;
	w->p += n;
	return 0;
}

/* A value that holds no others; or 1: a container was opened. */
static int value(struct walk *w)
{
	struct str text;
	int r;

	blanks(w);
	if (w->p == w->end)
		return -EINVAL;
	switch (*w->p) {
	case '"':
		w->p++;
		r = string(w, &text);
		return r ? r : w->fn(w->owner, w->path, w->depth, text);
	case '{':
	case '[':
		if (w->depth == JSON_DEPTH)
			return -EINVAL;
		w->array[w->depth] = *w->p++ == '[';
		w->path[w->depth++] = (struct json_step){ { NULL, 0 }, 0 };
		return 1;
	case 't':
		return word(w, "true");
	case 'f':
		return word(w, "false");
	case 'n':
		return word(w, "null");
	default:
		return number(w);
	}
}

static int member_key(struct walk *w)
{
	int r;

	blanks(w);
	if (w->p == w->end || *w->p++ != '"')
		return -EINVAL;
	r = string(w, &w->path[w->depth - 1].key);
	if (r)
		return r;
	blanks(w);
	return w->p < w->end && *w->p++ == ':' ? 0 : -EINVAL;
}

/* Behind a value, or behind an opening bracket (first): 0: another value comes; 1: none, the
 * container is closed. */
static int next(struct walk *w, bool first)
{
	bool array = w->array[w->depth - 1];

	blanks(w);
	if (w->p == w->end)
		return -EINVAL;
	if (*w->p == (array ? ']' : '}')) {
		w->p++;
		w->depth--;
		return 1;
	}
	if (!first && *w->p++ != ',')
		return -EINVAL;
	if (!first && array)
		w->path[w->depth - 1].index++;
	return array ? 0 : member_key(w);
}

int json_strings(struct str text, json_string_fn fn, void *owner)
{
	struct walk w = { .p = text.p, .end = text.p + text.n, .fn = fn, .owner = owner };
	int r = value(&w);

	while (w.depth) {
		bool opened = r == 1;

		if (r < 0 || r > 1)
			return r;
		r = next(&w, opened);
		while (r == 1 && w.depth)
			r = next(&w, false);
		if (r < 0)
			return r;
		if (r == 0)
			r = value(&w);
		else
			r = 0; /* the outermost was closed */
	}
	if (r)
		return r;
	blanks(&w);
	return w.p == w.end ? 0 : -EINVAL;
}

/* One character of the text: its bytes in UTF-8, and how many of the text's it took. */
static size_t character(struct str t, size_t at, char out[4], size_t *ret_n)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	unsigned u = 0, low = 0;
	size_t used = 6;

	if (t.p[at] != '\\') {
		out[0] = t.p[at];
		*ret_n = 1;
		return 1;
	}
	if (t.p[at + 1] != 'u') {
		out[0] = to[strchr(from, t.p[at + 1]) - from];
		*ret_n = 1;
		return 2;
	}
	for (size_t i = 2; i < 6; i++)
		u = u << 4 | (unsigned)hex(t.p[at + i]);
	if (u >= 0xd800 && u < 0xdc00 && at + 12 <= t.n && t.p[at + 6] == '\\' &&
	    t.p[at + 7] == 'u') {
		for (size_t i = 8; i < 12; i++)
			low = low << 4 | (unsigned)hex(t.p[at + i]);
		if (low >= 0xdc00 && low < 0xe000) {
			u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
			used = 12;
		}
	}
	if (u < 0x80) {
		out[0] = (char)u;
		*ret_n = 1;
	} else if (u < 0x800) {
		out[0] = (char)(0xc0 | u >> 6);
		out[1] = (char)(0x80 | (u & 63));
		*ret_n = 2;
	} else if (u < 0x10000) {
		out[0] = (char)(0xe0 | u >> 12);
		out[1] = (char)(0x80 | (u >> 6 & 63));
		out[2] = (char)(0x80 | (u & 63));
		*ret_n = 3;
	} else {
		out[0] = (char)(0xf0 | u >> 18);
		out[1] = (char)(0x80 | (u >> 12 & 63));
		out[2] = (char)(0x80 | (u >> 6 & 63));
		out[3] = (char)(0x80 | (u & 63));
		*ret_n = 4;
	}
	return used;
}

bool json_text_is(struct str text, struct str plain)
{
	size_t at = 0, done = 0, n;
	char c[4];

	while (at < text.n) {
		at += character(text, at, c, &n);
		if (plain.n - done < n || memcmp(plain.p + done, c, n) != 0)
			return false;
		done += n;
	}
	return done == plain.n;
}

size_t json_text_read(struct str text, char *to)
{
	size_t at = 0, done = 0, n;
	char c[4];

	while (at < text.n) {
		at += character(text, at, c, &n);
		memcpy(to + done, c, n);
		done += n;
	}
	return done;
}

static bool index_is(struct str token, size_t index)
{
	uint64_t n;

	return !(token.n > 1 && token.p[0] == '0') && str_u64(token, &n) == 0 && n == index;
}

/* "~1" is a slash, "~0" a tilde. Tokens that hold none of them are compared where they lie. */
static bool key_is(struct str key, struct str token)
{
	char plain[512];
	size_t n = 0;

	if (!memchr(token.p, '~', token.n))
		return json_text_is(key, token);
	for (size_t i = 0; i < token.n && n < sizeof(plain); i++) {
		plain[n++] = token.p[i];
		if (token.p[i] == '~' && i + 1 < token.n)
			plain[n - 1] = token.p[++i] == '1' ? '/' : '~';
	}
	return json_text_is(key, (struct str){ plain, n });
}

bool json_points(struct str pointer, const struct json_step *path, size_t depth)
{
	for (size_t i = 0; i < depth; i++) {
		struct str token;
		const char *end;

		if (!pointer.n || pointer.p[0] != '/')
			return false;
		pointer.p++;
		pointer.n--;
		end = memchr(pointer.p, '/', pointer.n);
		token = (struct str){ pointer.p, end ? (size_t)(end - pointer.p) : pointer.n };
		pointer.p += token.n;
		pointer.n -= token.n;
		if (path[i].key.p ? !key_is(path[i].key, token) : !index_is(token, path[i].index))
			return false;
	}
	return !pointer.n;
}

size_t json_text_find(struct str text, size_t at, struct str what)
{
	while (what.n && at + what.n <= text.n) {
		if (memcmp(text.p + at, what.p, what.n) == 0)
			return at;
		if (text.p[at] != '\\')
			at++;
		else
			at += text.p[at + 1] == 'u' ? 6 : 2;
	}
	return text.n;
}
