/* SPDX-License-Identifier: Apache-2.0 */
/* The field list of a message head: look-ups and changes. Called by the proxy's rooms and the
 * codecs; pure. */
#include "http/head.h"

/* Most names differ in their lengths: a request asks for some twenty. */
static inline bool is_named(const struct field *f, struct str name)
{
	return f->name.n == name.n && str_eq(f->name, name);
}

const struct field *head_each(const struct head *h, const char *name, size_t *at)
{
	struct str n = str_of(name);

	for (; *at < h->n; (*at)++) {
		if (is_named(&h->fields[*at], n))
			return &h->fields[(*at)++];
	}
	return NULL;
}

const struct field *head_find(const struct head *h, const char *name)
{
	size_t at = 0;

	return head_each(h, name, &at);
}

size_t head_count(const struct head *h, const char *name)
{
	size_t at = 0, n = 0;

	while (head_each(h, name, &at))
		n++;
	return n;
}

void head_drop_str(struct head *h, struct str name)
{
	size_t to = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (is_named(&h->fields[i], name))
			continue;
		if (to != i)
			h->fields[to] = h->fields[i];
		to++;
	}
	h->n = to;
}

void head_drop(struct head *h, const char *name)
{
	head_drop_str(h, str_of(name));
}

void head_add(struct head *h, struct arena *a, struct str name, struct str value)
{
	if (h->n == h->room) {
		size_t room = h->room ? 2 * h->room : 8;
		struct field *more = arena_new(a, room * sizeof(*more));

		if (h->n)
			memcpy(more, h->fields, h->n * sizeof(*more));
		h->fields = more;
		h->room = room;
	}
	h->fields[h->n++] = (struct field){ .name = name, .value = value };
}

bool list_each (struct str list, size_t * at, struct str * ret)
{
	while (*at < list.n) {
		const char *p = list.p + *at, *end = memchr(p, ',', list.n - *at);
		struct str s = { p, end ? (size_t)(end - p) : list.n - *at };

		*at += s.n + (end ? 1 : 0);
		while (s.n && (*s.p == ' ' || *s.p == '\t')) {
			s.p++;
			s.n--;
		}
		while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
			s.n--;
		if (!s.n)
			continue;
		*ret = s;
		return true;
	}
	return false;
}

bool head_has_token(const struct head *h, const char *name, const char *token)
{
	const struct field *f;
	struct str s;

	for (size_t at = 0; (f = head_each(h, name, &at));) {
		for (size_t i = 0; list_each (f->value, &i, &s);) {
			const char *semi = memchr(s.p, ';', s.n);

			if (semi)
				s.n = (size_t)(semi - s.p);
			while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
				s.n--;
			if (str_eq_nocase(s, str_of(token)))
				return true;
		}
	}
	return false;
}
