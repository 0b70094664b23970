/* SPDX-License-Identifier: Apache-2.0 */
/* See json.h: one pass by the grammar of RFC 8259, recursion bounded. Trusts no byte. */
#include "oci/json.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/types.h>

struct reader {
	struct json_text *t;
	const char *p;
	uint32_t n, i;
	unsigned depth;
};

static int fault(struct json_text *t, uint32_t at, const char *why)
{
	t->fault_at = at;
	t->fault = why;
	return -EINVAL;
}

static void skip(struct reader *r)
{
	while (r->i < r->n && (r->p[r->i] == ' ' || r->p[r->i] == '\t' || r->p[r->i] == '\n' ||
			       r->p[r->i] == '\r'))
		r->i++;
}

static int hex4(const char *p, size_t n, unsigned *ret)
{
	unsigned v = 0;

	if (n < 4)
		return -EINVAL;
	for (size_t k = 0; k < 4; k++) {
		char c = p[k];

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

static int read_string(struct reader *r)
{
	uint32_t start = r->i++;
	unsigned v;

	while (r->i < r->n) {
		unsigned char c = (unsigned char)r->p[r->i++];

		if (c == '"')
			return 0;
		if (c < 0x20)
			return fault(r->t, r->i - 1, "a control character in a string");
		if (c != '\\')
			continue;
		if (r->i >= r->n)
			break;
		c = (unsigned char)r->p[r->i++];
		if (c == 'u') {
			if (hex4(r->p + r->i, r->n - r->i, &v) < 0)
				return fault(r->t, r->i, "\\u needs four hexadecimal digits");
			r->i += 4;
		} else if (!c || !strchr("\"\\/bfnrt", c)) {
			return fault(r->t, r->i - 1, "not an escape of JSON");
		}
	}
	return fault(r->t, start, "this string has no end");
}

static bool digits(struct reader *r)
{
	uint32_t start = r->i;

	while (r->i < r->n && r->p[r->i] >= '0' && r->p[r->i] <= '9')
		r->i++;
	return r->i > start;
}

static int read_number(struct reader *r)
{
	uint32_t start = r->i;

	if (r->p[r->i] == '-')
		r->i++;
	if (r->i < r->n && r->p[r->i] == '0')
		r->i++;
	else if (!digits(r))
		return fault(r->t, start, "not a value of JSON");
	if (r->i < r->n && r->p[r->i] == '.') {
		r->i++;
		if (!digits(r))
			return fault(r->t, start, "not a number of JSON");
	}
	if (r->i < r->n && (r->p[r->i] | 0x20) == 'e') {
		r->i++;
		if (r->i < r->n && (r->p[r->i] == '+' || r->p[r->i] == '-'))
			r->i++;
		if (!digits(r))
			return fault(r->t, start, "not a number of JSON");
	}
	return 0;
}

static int read_word(struct reader *r, uint8_t *ret_kind)
{
	static const char *const words[] = { "null", "true", "false" };

	for (size_t k = 0; k < ARRAY_SIZE(words); k++) {
		size_t n = strlen(words[k]);

		if (r->n - r->i < n || memcmp(r->p + r->i, words[k], n) != 0)
			continue;
		r->i += (uint32_t)n;
		*ret_kind = k == 0 ? JSON_NULL : JSON_WORD;
		return 0;
	}
	return fault(r->t, r->i, "not a value of JSON");
}

static int node_new(struct json_text *t, uint32_t at, uint32_t *ret)
{
	if (t->n >= JSON_NODES_MAX)
		return fault(t, at, "too many values");
	if (t->n == t->room) {
		uint32_t room = t->room ? t->room * 2 : 1024;
		struct json *nodes = realloc(t->nodes, room * sizeof(*nodes));

		if (!nodes)
			die("out of memory");
		t->nodes = nodes;
		t->room = room;
	}
	t->nodes[t->n] = (struct json){ .at = at };
	*ret = t->n++;
	return 0;
}

static int read_value(struct reader *r, uint32_t *ret);

/* Members or elements of what has just been opened. */
static int read_inside(struct reader *r, uint32_t self, char close)
{
	uint32_t last = 0, one, key_at = 0, key_end = 0;
	int e;

	skip(r);
	if (r->i < r->n && r->p[r->i] == close) {
		r->i++;
		return 0;
	}
	for (;;) {
		skip(r);
		if (close == '}') {
			if (r->i >= r->n || r->p[r->i] != '"')
				return fault(r->t, r->i, "expected a key");
			key_at = r->i;
			e = read_string(r);
			if (e < 0)
				return e;
			key_end = r->i;
			skip(r);
			if (r->i >= r->n || r->p[r->i] != ':')
				return fault(r->t, r->i, "expected a colon");
			r->i++;
		}
		e = read_value(r, &one);
		if (e < 0)
			return e;
		r->t->nodes[one].key_at = key_at;
		r->t->nodes[one].key_end = key_end;
		if (last)
			r->t->nodes[last].next = one;
		else
			r->t->nodes[self].first = one;
		r->t->nodes[self].count++;
		last = one;
		skip(r);
		if (r->i < r->n && r->p[r->i] == close) {
			r->i++;
			return 0;
		}
		if (r->i >= r->n || r->p[r->i] != ',')
			return fault(r->t, r->i, "expected a comma or the end of this");
		r->i++;
	}
}

static int read_value(struct reader *r, uint32_t *ret)
{
	uint32_t self;
	uint8_t kind;
	int e;

	skip(r);
	e = node_new(r->t, r->i, &self);
	if (e < 0)
		return e;
	if (r->i >= r->n)
		return fault(r->t, r->i, "the text ends where a value should be");
	switch (r->p[r->i]) {
	case '{':
	case '[':
		kind = r->p[r->i] == '{' ? JSON_OBJECT : JSON_ARRAY;
		if (++r->depth > JSON_DEPTH_MAX)
			return fault(r->t, r->i, "nested too deep");
		r->i++;
		e = read_inside(r, self, kind == JSON_OBJECT ? '}' : ']');
		r->depth--;
		break;
	case '"':
		kind = JSON_STRING;
		e = read_string(r);
		break;
	case 't':
	case 'f':
	case 'n':
		e = read_word(r, &kind);
		break;
	default:
		kind = JSON_NUMBER;
		e = read_number(r);
	}
	if (e < 0)
		return e;
	r->t->nodes[self].kind = kind;
	r->t->nodes[self].end = r->i;
	*ret = self;
	return 0;
}

int json_read(struct str text, struct json_text *ret)
{
	struct reader r = { .t = ret, .p = text.p, .n = (uint32_t)text.n };
	uint32_t top;
	int e;

	*ret = (struct json_text){ .text = text };
	if (text.n > INT32_MAX)
		return fault(ret, 0, "too large");
	e = node_new(ret, 0, &top);
	if (e == 0)
		e = read_value(&r, &top);
	if (e < 0)
		return e;
	skip(&r);
	return r.i < r.n ? fault(ret, r.i, "more text behind the value") : 0;
}

void json_done(struct json_text *t)
{
	free(t->nodes);
	t->nodes = NULL;
}

static size_t utf8(unsigned v, char *to)
{
	if (v < 0x80) {
		to[0] = (char)v;
		return 1;
	}
	if (v < 0x800) {
		to[0] = (char)(0xc0 | v >> 6);
		to[1] = (char)(0x80 | (v & 63));
		return 2;
	}
	if (v < 0x10000) {
		to[0] = (char)(0xe0 | v >> 12);
		to[1] = (char)(0x80 | (v >> 6 & 63));
		to[2] = (char)(0x80 | (v & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | v >> 18);
	to[1] = (char)(0x80 | (v >> 12 & 63));
	to[2] = (char)(0x80 | (v >> 6 & 63));
	to[3] = (char)(0x80 | (v & 63));
	return 4;
}

/* One \uXXXX, or a pair of them; half a pair becomes U+FFFD, as the runtime's reader has it. */
static unsigned unescape(const char *p, size_t n, size_t *used)
{
	unsigned v = 0, low = 0;

	(void)!hex4(p, n, &v);
	*used = 4;
	if (v < 0xd800 || v > 0xdfff)
		return v;
	if (v < 0xdc00 && n >= 10 && p[4] == '\\' && p[5] == 'u' && hex4(p + 6, 4, &low) == 0 &&
	    low >= 0xdc00 && low <= 0xdfff) {
		*used = 10;
		return 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
	}
	return 0xfffd;
}

ssize_t json_decode(struct str quoted, char *to, size_t size)
{
	static const char from[] = "bfnrt", meant[] = "\b\f\n\r\t";
	size_t i = 1, out = 0, used;

	while (i + 1 < quoted.n) {
		char c = quoted.p[i++];
		const char *at;
		unsigned v;

		if (out + 5 > size)
			return -E2BIG;
		if (c != '\\') {
			to[out++] = c;
			continue;
		}
		c = quoted.p[i++];
		if (c == 'u') {
			v = unescape(quoted.p + i, quoted.n - 1 - i, &used);
			if (v == 0)
				return -EINVAL;
			i += used;
			out += utf8(v, to + out);
		} else {
			at = strchr(from, c);
			to[out++] = at ? meant[at - from] : c;
		}
	}
	to[out] = 0;
	return (ssize_t)out;
}

int json_member(struct json_text *t, uint32_t object, const char *key, uint32_t *ret)
{
	uint32_t found = 0;
	char name[64];

	for (uint32_t i = t->nodes[object].first; i; i = t->nodes[i].next) {
		const struct json *n = &t->nodes[i];
		ssize_t k =
			json_decode((struct str){ t->text.p + n->key_at, n->key_end - n->key_at },
				    name, sizeof(name));

		if (k == -E2BIG)
			continue; /* longer than any key that is asked for */
		for (ssize_t c = 0; c < k; c++)
			if ((unsigned char)name[c] >= 0x80)
				k = -EINVAL;
		if (k < 0)
			return fault(t, n->key_at, "a key that is not plain ASCII");
		if (strcasecmp(name, key) != 0)
			continue;
		if (found || strcmp(name, key) != 0)
			return fault(t, n->key_at, "this key comes twice, or in another case");
		found = i;
	}
	*ret = found;
	return 0;
}
