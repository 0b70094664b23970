// SPDX-License-Identifier: Apache-2.0
/*
 * The reader of event lines (event/jsonread.h). Trusts no byte of them: depth, values, path lengths
 * and sizes are bounded, duplicate keys, bad escapes and bad UTF-8 refused. Recursive descent over
 * at most DEPTH_MAX levels.
 */
#include "event/jsonread.h"
#include "event/json.h"
#include "event/rows.h"
#include <errno.h>
#include <stdlib.h>

#define DEPTH_MAX 8

struct scan {
	struct json_line *l;
	const uint8_t *p;
	size_t n, at;
	char path[JSON_PATH_MAX];
	size_t path_n;
};

struct json_line *json_line_new(void)
{
	return mem_new(sizeof(struct json_line));
}

struct json_line *json_line_free(struct json_line *l)
{
	if (l)
		free(l->bytes);
	free(l);
	return NULL;
}

static void blanks(struct scan *s)
{
	while (s->at < s->n && s->p[s->at] && strchr(" \t\r\n", s->p[s->at]))
		s->at++;
}

static bool take(struct scan *s, char c)
{
	blanks(s);
	if (s->at >= s->n || s->p[s->at] != (uint8_t)c)
		return false;
	s->at++;
	return true;
}

static int hex4(struct scan *s, uint32_t *ret)
{
	uint32_t v = 0;

	if (s->n - s->at < 4)
		return -EBADMSG;
	for (unsigned i = 0; i < 4; i++) {
		uint8_t c = s->p[s->at++];

		v <<= 4;
		if (c >= '0' && c <= '9')
			v |= c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v |= (c | 0x20) - 'a' + 10u;
		else
			return -EBADMSG;
	}
	*ret = v;
	return 0;
}

static void emit(struct json_line *l, uint32_t code)
{
	char *to = l->bytes + l->used;

	if (code < 0x80) {
		to[0] = (char)code;
		l->used += 1;
	} else if (code < 0x800) {
		to[0] = (char)(0xc0 | code >> 6);
		to[1] = (char)(0x80 | (code & 0x3f));
		l->used += 2;
	} else if (code < 0x10000) {
		to[0] = (char)(0xe0 | code >> 12);
		to[1] = (char)(0x80 | (code >> 6 & 0x3f));
		to[2] = (char)(0x80 | (code & 0x3f));
		l->used += 3;
	} else {
		to[0] = (char)(0xf0 | code >> 18);
		to[1] = (char)(0x80 | (code >> 12 & 0x3f));
		to[2] = (char)(0x80 | (code >> 6 & 0x3f));
		to[3] = (char)(0x80 | (code & 0x3f));
		l->used += 4;
	}
}

static int escape(struct scan *s)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *known;
	uint32_t code, low;
	uint8_t c;

	if (s->at >= s->n)
		return -EBADMSG;
	c = s->p[s->at++];
	known = c ? strchr(from, c) : NULL;
	if (known) {
		emit(s->l, (uint8_t)to[known - from]);
		return 0;
	}
	if (c != 'u' || hex4(s, &code) || !code || (code >= 0xdc00 && code <= 0xdfff))
		return -EBADMSG;
	if (code >= 0xd800 && code <= 0xdbff) {
		if (s->n - s->at < 6 || s->p[s->at] != '\\' || s->p[s->at + 1] != 'u')
			return -EBADMSG;
		s->at += 2;
		if (hex4(s, &low) || low < 0xdc00 || low > 0xdfff)
			return -EBADMSG;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	emit(s->l, code);
	return 0;
}

/* Behind the opening quote. No unescaped text is longer than its source, and bytes has room for the
 * whole line. */
static int string(struct scan *s, struct str *ret)
{
	size_t from = s->l->used;

	for (;;) {
		uint8_t c;
		unsigned len;

		if (s->at >= s->n)
			return -EBADMSG;
		c = s->p[s->at];
		if (c == '"')
			break;
		if (c == '\\') {
			s->at++;
			if (escape(s))
				return -EBADMSG;
			continue;
		}
		len = c < 0x20 ? 0 : utf8_sequence(s->p + s->at, s->n - s->at);
		if (!len)
			return -EBADMSG;
		memcpy(s->l->bytes + s->l->used, s->p + s->at, len);
		s->l->used += len;
		s->at += len;
	}
	s->at++;
	*ret = (struct str){ s->l->bytes + from, s->l->used - from };
	return 0;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool digits(struct scan *s)
{
	size_t from = s->at;

	while (s->at < s->n && is_digit(s->p[s->at]))
		s->at++;
	return s->at > from;
}

static int number(struct scan *s, struct json_value *v)
{
	size_t from = s->at;
	bool whole = true;

	if (s->p[s->at] == '-') {
		whole = false;
		s->at++;
	}
	if (s->at < s->n && s->p[s->at] == '0')
		s->at++;
	else if (!digits(s))
		return -EBADMSG;
	if (s->at < s->n && s->p[s->at] == '.') {
		whole = false;
		s->at++;
		if (!digits(s))
			return -EBADMSG;
	}
	if (s->at < s->n && (s->p[s->at] | 0x20) == 'e') {
		whole = false;
		s->at++;
		if (s->at < s->n && (s->p[s->at] == '+' || s->p[s->at] == '-'))
			s->at++;
		if (!digits(s))
			return -EBADMSG;
	}
	v->text = (struct str){ (const char *)s->p + from, s->at - from };
	v->kind = whole && !str_u64(v->text, &v->num) ? JSON_NUM : JSON_OTHER;
	return 0;
}

static int word(struct scan *s, struct json_value *v)
{
	static const struct {
		const char *text;
		enum json_kind kind;
		uint64_t num;
	} words[] = { { "true", JSON_BOOL, 1 },
		      { "false", JSON_BOOL, 0 },
		      { "null", JSON_OTHER, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t n = strlen(words[i].text);

		if (s->n - s->at < n || memcmp(s->p + s->at, words[i].text, n))
			continue;
		v->text = (struct str){ (const char *)s->p + s->at, n };
		v->kind = words[i].kind;
		v->num = words[i].num;
		s->at += n;
		return 0;
	}
	return -EBADMSG;
}

static int value(struct scan *s, unsigned depth, bool keep);

static int list(struct scan *s, unsigned depth)
{
	int r;

	if (take(s, ']'))
		return 0;
	do {
		r = value(s, depth + 1, false);
		if (r)
			return r;
	} while (take(s, ','));
	return take(s, ']') ? 0 : -EBADMSG;
}

static int object(struct scan *s, unsigned depth, bool keep)
{
	size_t before = s->path_n;
	struct str key;
	int r;

	if (take(s, '}'))
		return 0;
	do {
		size_t at = before;

		if (!take(s, '"') || string(s, &key) || !take(s, ':'))
			return -EBADMSG;
		if (keep) {
			if (key.n + at + 2 > sizeof(s->path))
				return -EMSGSIZE;
			if (at)
				s->path[at++] = '.';
			memcpy(s->path + at, key.p, key.n);
			s->path_n = at + key.n;
			s->path[s->path_n] = 0;
		}
		r = value(s, depth + 1, keep);
		if (r)
			return r;
	} while (take(s, ','));
	s->path_n = before;
	s->path[before] = 0;
	return take(s, '}') ? 0 : -EBADMSG;
}

static int value(struct scan *s, unsigned depth, bool keep)
{
	struct json_value v = { .kind = JSON_TEXT };
	int r;

	if (depth > DEPTH_MAX)
		return -EMSGSIZE;
	blanks(s);
	if (s->at >= s->n)
		return -EBADMSG;
	if (take(s, '{'))
		return object(s, depth, keep);
	if (take(s, '['))
		return list(s, depth);
	if (take(s, '"'))
		r = string(s, &v.text);
	else if (s->p[s->at] == '-' || is_digit(s->p[s->at]))
		r = number(s, &v);
	else
		r = word(s, &v);
	if (r || !keep)
		return r;
	if (s->l->n == JSON_VALUES_MAX)
		return -EMSGSIZE;
	if (json_get(s->l, s->path))
		return -EBADMSG;
	memcpy(v.path, s->path, s->path_n + 1);
	s->l->v[s->l->n++] = v;
	return 0;
}

int json_line_read(struct json_line *l, struct str line)
{
	struct scan s = { .l = l, .p = (const uint8_t *)line.p, .n = line.n };
	int r;

	l->n = 0;
	l->used = 0;
	if (line.n > EVENT_LINE_MAX)
		return -EMSGSIZE;
	if (l->size < line.n) {
		free(l->bytes);
		l->size = line.n < 4096 ? 4096 : line.n;
		l->bytes = mem_new(l->size);
	}
	if (!take(&s, '{'))
		return -EBADMSG;
	r = object(&s, 0, true);
	if (r)
		return r;
	blanks(&s);
	return s.at == s.n ? 0 : -EBADMSG;
}

const struct json_value *json_get(const struct json_line *l, const char *path)
{
	for (unsigned i = 0; i < l->n; i++)
		if (!strcmp(l->v[i].path, path))
			return &l->v[i];
	return NULL;
}

struct str json_text(const struct json_line *l, const char *path)
{
	const struct json_value *v = json_get(l, path);

	return v && v->kind == JSON_TEXT ? v->text : (struct str){ 0 };
}

bool json_num(const struct json_line *l, const char *path, uint64_t *ret)
{
	const struct json_value *v = json_get(l, path);

	if (!v || v->kind != JSON_NUM)
		return false;
	*ret = v->num;
	return true;
}
