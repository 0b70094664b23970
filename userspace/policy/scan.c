/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scanner of policies and credentials: see scan.h. Called by json.c on a copy of a file that
 * anyone may have written; it trusts no byte of it. One pass over the bytes, recursion bounded by
 * SCAN_DEPTH_MAX.
 */
#include "policy/scan.h"

#include <errno.h>
#include <stdlib.h>

struct scanner {
	char *p;
	size_t n, i;
	struct scan *out;
	size_t room;
	unsigned depth;
	bool loose; /* any number of JSON's grammar */
};

static int fault(struct scanner *s, size_t at, const char *why)
{
	s->out->fault = why;
	s->out->fault_at = at;
	return -EINVAL;
}

/* Length of the well-formed UTF-8 sequence at p (RFC 3629: no overlong form, no surrogate), 0 if
 * there is none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
	unsigned char c = p[0];

	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return n >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if (c >= 0xe0 && c <= 0xef) {
		if (n < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
			return 0;
		if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f))
			return 0;
		return 3;
	}
	if (c >= 0xf0 && c <= 0xf4) {
		if (n < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 ||
		    (p[3] & 0xc0) != 0x80)
			return 0;
		if ((c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

static int check_utf8(struct scanner *s)
{
	size_t i = 0;

	if (s->n >= 3 && memcmp(s->p, "\xef\xbb\xbf", 3) == 0)
		return fault(s, 0, "a byte order mark; save the file as plain UTF-8");
	while (i < s->n) {
		size_t k = utf8_length((const unsigned char *)s->p + i, s->n - i);

		if (k == 0)
			return fault(s, i, "not valid UTF-8");
		i += k;
	}
	return 0;
}

/* Blank room and comments; what was a comment is blanks after this, lines stay where they are. */
static int skip(struct scanner *s)
{
	while (s->i < s->n) {
		char c = s->p[s->i];

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
			s->i++;
		} else if (c == '/' && s->i + 1 < s->n && s->p[s->i + 1] == '/') {
			while (s->i < s->n && s->p[s->i] != '\n')
				s->p[s->i++] = ' ';
		} else if (c == '/' && s->i + 1 < s->n && s->p[s->i + 1] == '*') {
			size_t start = s->i, end = s->i + 2;

			while (end + 1 < s->n && !(s->p[end] == '*' && s->p[end + 1] == '/'))
				end++;
			if (end + 1 >= s->n)
				return fault(s, start, "this comment has no end");
			for (; s->i < end + 2; s->i++)
				if (s->p[s->i] != '\n')
					s->p[s->i] = ' ';
		} else {
			break;
		}
	}
	return 0;
}

static int hex4(const struct scanner *s, size_t at, unsigned *ret)
{
	unsigned v = 0;

	if (at + 4 > s->n)
		return -EINVAL;
	for (size_t k = at; k < at + 4; k++) {
		char c = s->p[k];

		if (c >= '0' && c <= '9')
			v = v << 4 | (unsigned)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | (unsigned)((c | 0x20) - 'a' + 10);
		else
			return -EINVAL;
	}
	*ret = v;
	return 0;
}

static int scan_escape(struct scanner *s)
{
	size_t start = s->i;
	unsigned v, low;

	s->i++;
	if (s->i >= s->n)
		return fault(s, start, "this string has no end");
	if (s->p[s->i] != 'u') {
		if (!strchr("\"\\/bfnrt", s->p[s->i]) || s->p[s->i] == 0)
			return fault(s, start, "not an escape of JSON");
		s->i++;
		return 0;
	}
	if (hex4(s, s->i + 1, &v) < 0)
		return fault(s, start, "\\u needs four hexadecimal digits");
	if (v == 0)
		return fault(s, start, "\\u0000 is not allowed");
	s->i += 5;
	if (v >= 0xdc00 && v <= 0xdfff)
		return fault(s, start, "half of a surrogate pair");
	if (v >= 0xd800 && v <= 0xdbff) {
		if (s->i + 6 > s->n || s->p[s->i] != '\\' || s->p[s->i + 1] != 'u' ||
		    hex4(s, s->i + 2, &low) < 0 || low < 0xdc00 || low > 0xdfff)
			return fault(s, start, "half of a surrogate pair");
		s->i += 6;
	}
	return 0;
}

static int scan_string(struct scanner *s)
{
	size_t start = s->i++;

	while (s->i < s->n) {
		unsigned char c = (unsigned char)s->p[s->i];
		int r;

		if (c == '"') {
			s->i++;
			return 0;
		}
		if (c == '\n')
			return fault(s, start, "this string has no end on its line");
		if (c < 0x20)
			return fault(s, s->i,
				     "a control character in a string; write it as an escape");
		if (c == '\\') {
			r = scan_escape(s);
			if (r < 0)
				return r;
		} else {
			s->i++;
		}
	}
	return fault(s, start, "this string has no end");
}

static size_t scan_digits(struct scanner *s)
{
	size_t start = s->i;

	while (s->i < s->n && s->p[s->i] >= '0' && s->p[s->i] <= '9')
		s->i++;
	return s->i - start;
}

/* The whole grammar, for what machines write. */
static int scan_any_number(struct scanner *s)
{
	size_t start = s->i, first, digits;

	if (s->p[s->i] == '-')
		s->i++;
	first = s->i;
	digits = scan_digits(s);
	if (!digits || (digits > 1 && s->p[first] == '0'))
		return fault(s, start, "not a value of JSON");
	if (s->i < s->n && s->p[s->i] == '.') {
		s->i++;
		if (!scan_digits(s))
			return fault(s, start, "not a value of JSON");
	}
	if (s->i < s->n && (s->p[s->i] | 0x20) == 'e') {
		s->i++;
		if (s->i < s->n && (s->p[s->i] == '+' || s->p[s->i] == '-'))
			s->i++;
		if (!scan_digits(s))
			return fault(s, start, "not a value of JSON");
	}
	return 0;
}

/* Whole numbers that a double holds exactly, and nothing else: no key takes another, and cJSON
 * would round. */
static int scan_number(struct scanner *s)
{
	size_t start = s->i, digits;
	uint64_t v = 0;

	if (s->p[s->i] == '-')
		s->i++;
	digits = s->i;
	while (s->i < s->n && s->p[s->i] >= '0' && s->p[s->i] <= '9') {
		v = v * 10 + (uint64_t)(s->p[s->i] - '0');
		if (v > (1ull << 53))
			return fault(s, start,
				     "a number beyond 2^53 would be rounded; write it as a string");
		s->i++;
	}
	if (s->i == digits)
		return fault(s, start, "not a value of JSON");
	if (s->p[digits] == '0' && s->i - digits > 1)
		return fault(s, start, "a number does not start with 0");
	if (s->i < s->n && (s->p[s->i] == '.' || s->p[s->i] == 'e' || s->p[s->i] == 'E'))
		return fault(s, start, "only whole numbers are allowed");
	return 0;
}

static int scan_word(struct scanner *s)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t k = 0; k < ARRAY_SIZE(words); k++) {
		size_t n = strlen(words[k]);

		if (s->n - s->i >= n && memcmp(s->p + s->i, words[k], n) == 0) {
			s->i += n;
			return 0;
		}
	}
	return fault(s, s->i, "not a value of JSON");
}

static int note(struct scanner *s, uint32_t key, size_t value)
{
	if (s->out->n >= SCAN_NODES_MAX)
		return fault(s, value, "too many values in one file");
	if (s->out->n == s->room) {
		s->room = s->room ? s->room * 2 : 256;
		s->out->places = realloc(s->out->places, s->room * sizeof(*s->out->places));
		if (!s->out->places)
			die("out of memory");
	}
	s->out->places[s->out->n++] = (struct scan_place){ key, (uint32_t)value };
	return 0;
}

static int scan_value(struct scanner *s, uint32_t key);

/* Behind a member or element: 1 another one comes, 0 the container ended. A comma before the end is
 * blanked. */
static int scan_separator(struct scanner *s, char close, size_t open_at)
{
	size_t comma;
	int r = skip(s);

	if (r < 0)
		return r;
	if (s->i < s->n && s->p[s->i] == close) {
		s->i++;
		return 0;
	}
	if (s->i >= s->n)
		return fault(s, open_at, close == '}' ? "this { has no }" : "this [ has no ]");
	if (s->p[s->i] != ',')
		return fault(s, s->i,
			     close == '}' ? "expected a comma or }" : "expected a comma or ]");
	comma = s->i++;
	r = skip(s);
	if (r < 0)
		return r;
	if (s->i < s->n && s->p[s->i] == close) {
		s->p[comma] = ' ';
		s->i++;
		return 0;
	}
	return 1;
}

static int scan_object(struct scanner *s)
{
	size_t open_at = s->i++, key;
	unsigned keys = 0;
	int r = skip(s);

	if (r < 0)
		return r;
	if (s->i < s->n && s->p[s->i] == '}') {
		s->i++;
		return 0;
	}
	do {
		key = s->i;
		if (s->i >= s->n)
			return fault(s, open_at, "this { has no }");
		if (s->p[s->i] != '"')
			return fault(s, s->i, "expected a key in double quotes");
		if (++keys > SCAN_KEYS_MAX)
			return fault(s, s->i, "too many keys in one object");
		if ((r = scan_string(s)) < 0 || (r = skip(s)) < 0)
			return r;
		if (s->i >= s->n || s->p[s->i] != ':')
			return fault(s, s->i, "expected a colon behind the key");
		s->i++;
		if ((r = skip(s)) < 0 || (r = scan_value(s, (uint32_t)key)) < 0)
			return r;
		r = scan_separator(s, '}', open_at);
	} while (r == 1);
	return r;
}

static int scan_array(struct scanner *s)
{
	size_t open_at = s->i++;
	int r = skip(s);

	if (r < 0)
		return r;
	if (s->i < s->n && s->p[s->i] == ']') {
		s->i++;
		return 0;
	}
	do {
		if (s->i >= s->n)
			return fault(s, open_at, "this [ has no ]");
		r = scan_value(s, UINT32_MAX);
		if (r < 0)
			return r;
		r = scan_separator(s, ']', open_at);
	} while (r == 1);
	return r;
}

static int scan_value(struct scanner *s, uint32_t key)
{
	int r;

	if (s->i >= s->n)
		return fault(s, s->i, "the text ends where a value should be");
	r = note(s, key, s->i);
	if (r < 0)
		return r;
	switch (s->p[s->i]) {
	case '{':
	case '[':
		if (s->depth == SCAN_DEPTH_MAX)
			return fault(s, s->i, "nested deeper than 32");
		s->depth++;
		r = s->p[s->i] == '{' ? scan_object(s) : scan_array(s);
		s->depth--;
		return r;
	case '"':
		return scan_string(s);
	case '-':
	case '0' ... '9':
		return s->loose ? scan_any_number(s) : scan_number(s);
	default:
		return scan_word(s);
	}
}

int scan_text(char *text, size_t n, bool loose, struct scan *ret)
{
	struct scanner s = { .p = text, .n = n, .out = ret, .loose = loose };
	int r;

	*ret = (struct scan){ 0 };
	if (n > SOURCE_SIZE_MAX)
		return fault(&s, 0, "larger than 1 MiB");
	if ((r = check_utf8(&s)) < 0 || (r = skip(&s)) < 0 ||
	    (r = scan_value(&s, UINT32_MAX)) < 0 || (r = skip(&s)) < 0)
		return r;
	if (s.i < s.n)
		return fault(&s, s.i, "text behind the end of the value");
	return 0;
}

void scan_done(struct scan *s)
{
	free(s->places);
	*s = (struct scan){ 0 };
}
