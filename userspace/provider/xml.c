/* SPDX-License-Identifier: Apache-2.0 */
/* See xml.h. One pass, a stack of names that is the path so far. */
#include "provider/xml.h"

#include <errno.h>

struct xml {
	const char *p, *end;
	struct arena *arena;
	struct xml_want *wants;
	size_t nwants;
	char path[XML_PATH_MAX];
	size_t path_n;
	size_t starts[XML_DEPTH_MAX]; /* of each name in path */
	bool leaf[XML_DEPTH_MAX];     /* no element in it so far */
	unsigned depth;
};

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct xml *x)
{
	while (x->p < x->end && blank(*x->p))
		x->p++;
}

static bool is(const struct xml *x, const char *what)
{
	size_t n = strlen(what);

	return (size_t)(x->end - x->p) >= n && memcmp(x->p, what, n) == 0;
}

static bool name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.' || c == ':';
}

static struct str name(struct xml *x)
{
	struct str s = { x->p, 0 };

	if (x->p < x->end && *x->p >= '-' && *x->p <= ':') /* no digit, dot or dash begins one */
		return s;
	while (x->p < x->end && name_byte(*x->p)) {
		x->p++;
		s.n++;
	}
	return s;
}

static struct xml_want *wanted(struct xml *x)
{
	for (size_t i = 0; i < x->nwants; i++)
		if (str_is((struct str){ x->path, x->path_n }, x->wants[i].path))
			return &x->wants[i];
	return NULL;
}

static size_t put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 63));
		to[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 63));
	to[2] = (char)(0x80 | (c >> 6 & 63));
	to[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* "#38", "#x26" */
static bool number(struct str s, uint32_t *ret)
{
	bool hex = s.n > 1 && s.p[1] == 'x';
	uint32_t v = 0;

	if (s.n < (hex ? 3u : 2u) || s.n > 8)
		return false;
	for (size_t i = hex ? 2 : 1; i < s.n; i++) {
		char c = s.p[i];

		if (c >= '0' && c <= '9')
			v = v * (hex ? 16 : 10) + (uint32_t)(c - '0');
		else if (hex && (c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v * 16 + (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return (v >= 0x20 || v == '\t' || v == '\n' || v == '\r') && v <= 0x10ffff &&
	       (v < 0xd800 || v > 0xdfff);
}

/* Behind '&'. */
static int entity(struct xml *x, char *to, size_t *n)
{
	static const struct {
		const char *name;
		char c;
	} named[] = {
		{ "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' }
	};
	const char *semi = memchr(x->p, ';', (size_t)(x->end - x->p));
	struct str s;
	uint32_t c;

	if (!semi || semi - x->p > 8)
		return -EBADMSG;
	s = (struct str){ x->p, (size_t)(semi - x->p) };
	x->p = semi + 1;
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		if (str_is(s, named[i].name)) {
			to[(*n)++] = named[i].c;
			return 0;
		}
	}
	if (!s.n || s.p[0] != '#' || !number(s, &c))
		return -EBADMSG;
	*n += put_utf8(to + *n, c); /* never longer than it was written */
	return 0;
}

static int text(struct xml *x)
{
	const char *stop = memchr(x->p, '<', (size_t)(x->end - x->p));
	struct xml_want *w = x->depth ? wanted(x) : NULL;
	bool only_blanks = true;
	size_t n = 0;
	char *to;

	if (!stop)
		stop = x->end;
	to = arena_new(x->arena, (size_t)(stop - x->p) + 1);
	while (x->p < stop) {
		char c = *x->p++;

		if (c == '&') {
			if (entity(x, to, &n) < 0 || x->p > stop)
				return -EBADMSG;
			only_blanks = false;
			continue;
		}
		if (((unsigned char)c < 0x20 && !blank(c)) || c == 0x7f)
			return -EBADMSG;
		only_blanks = only_blanks && blank(c);
		to[n++] = c;
	}
	if (!x->depth && !only_blanks)
		return -EBADMSG;
	if (w && !only_blanks) {
		if (w->text.n)
			return -EBADMSG;
		w->text = (struct str){ to, n };
	}
	return 0;
}

static int attributes(struct xml *x)
{
	for (;;) {
		const char *before = x->p;
		char quote;

		skip_blanks(x);
		if (x->p == x->end)
			return -EBADMSG;
		if (*x->p == '>' || *x->p == '/')
			return 0;
		if (x->p == before || !name(x).n)
			return -EBADMSG;
		if (x->p == x->end || *x->p++ != '=' || x->p == x->end)
			return -EBADMSG;
		quote = *x->p++;
		if (quote != '"' && quote != '\'')
			return -EBADMSG;
		while (x->p < x->end && *x->p != quote && *x->p != '<')
			x->p++;
		if (x->p == x->end || *x->p++ != quote)
			return -EBADMSG;
	}
}

static int leave(struct xml *x)
{
	struct xml_want *w = wanted(x);

	if (w && !x->leaf[x->depth - 1])
		return -EBADMSG;
	x->path_n = x->starts[--x->depth];
	if (x->path_n)
		x->path_n--; /* the slash */
	return 0;
}

static int enter(struct xml *x)
{
	struct str s = name(x);
	struct xml_want *w;
	size_t at = x->path_n + (x->path_n ? 1 : 0);

	if (!s.n || x->depth == XML_DEPTH_MAX || at + s.n > sizeof(x->path))
		return -EBADMSG;
	if (x->path_n)
		x->path[x->path_n] = '/';
	memcpy(x->path + at, s.p, s.n);
	x->path_n = at + s.n;
	if (x->depth)
		x->leaf[x->depth - 1] = false;
	x->starts[x->depth] = at;
	x->leaf[x->depth++] = true;
	w = wanted(x);
	if (w && w->seen)
		return -EBADMSG;
	if (w)
		w->seen = true;
	if (attributes(x) < 0)
		return -EBADMSG;
	if (*x->p++ == '>')
		return 0;
	if (x->p == x->end || *x->p++ != '>')
		return -EBADMSG;
	return leave(x);
}

static int close_tag(struct xml *x)
{
	struct str s = name(x), own;

	if (!x->depth)
		return -EBADMSG;
	own = (struct str){ x->path + x->starts[x->depth - 1],
			    x->path_n - x->starts[x->depth - 1] };
	skip_blanks(x);
	if (!str_eq(s, own) || x->p == x->end || *x->p++ != '>')
		return -EBADMSG;
	return leave(x);
}

int xml_read(struct str document, struct arena *a, struct xml_want *wants, size_t n)
{
	struct xml x = { .p = document.p,
			 .end = document.p + document.n,
			 .arena = a,
			 .wants = wants,
			 .nwants = n };
	bool root = false;

	if (!document.n)
		return -EBADMSG;
	if (is(&x, "<?xml ")) {
		const char *gt = memchr(x.p, '>', document.n);

		if (!gt || gt[-1] != '?' || gt - x.p > 128)
			return -EBADMSG;
		x.p = gt + 1;
	}
	while (x.p < x.end) {
		int r;

		if (*x.p != '<') {
			r = text(&x);
		} else if (is(&x, "</")) {
			x.p += 2;
			r = close_tag(&x);
		} else if (root && !x.depth) {
			r = -EBADMSG; /* a second root */
		} else {
			x.p++; /* "<!" and "<?" are no names */
			root = true;
			r = enter(&x);
		}
		if (r < 0)
			return r;
	}
	return root && !x.depth ? 0 : -EBADMSG;
}
