/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's target in the one form that is matched and sent. Called by the proxy for every
 * request and by the loader for path patterns; the bytes are a job's. What could be read in two
 * ways by us and by an origin is refused. The result is a fixed point: the canonical form of a
 * canonical form is itself (tests/fuzz/fuzz_target.c). The query is checked and left byte for byte.
 */
#include "policy/policy.h"

#include <errno.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool unreserved(unsigned c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

/* Allowed in a path as it stands: pchar of RFC 3986 without ';', and the separator. */
static bool path_byte(unsigned c)
{
	return unreserved(c) || (c && strchr("!$&'()*+,=:@/", (int)c));
}

static const char *path_escape(struct str raw, size_t at, struct buf *to, int *ret_err)
{
	static const char digits[] = "0123456789ABCDEF";
	int high = at + 2 < raw.n ? hex(raw.p[at + 1]) : -1;
	int low = at + 2 < raw.n ? hex(raw.p[at + 2]) : -1;
	unsigned v;
	char out[3];

	if (high < 0 || low < 0)
		return "a % without two hexadecimal digits";
	v = (unsigned)(high << 4 | low);
	if (v == '/' || v == '\\')
		return "an encoded slash or backslash (%2F, %5C), which some servers take for a "
		       "slash: ask with a plain / if this one takes it, else let a tls:// rule "
		       "pass the host unopened";
	if (v < 0x20 || v == 0x7f)
		return "an encoded control character";
	if (v == ';')
		return "an encoded semicolon (%3B), at which some servers cut the path: leave "
		       "it out, or let a tls:// rule pass the host unopened";
	if (unreserved(v)) {
		out[0] = (char)v;
		*ret_err = buf_add(to, out, 1);
	} else {
		out[0] = '%';
		out[1] = digits[v >> 4];
		out[2] = digits[v & 15];
		*ret_err = buf_add(to, out, 3);
	}
	return NULL;
}

static const char *path_write(struct str raw, struct buf *to, int *ret_err)
{
	const char *why;
	char out[3];

	for (size_t i = 0; i < raw.n && *ret_err == 0; i++) {
		unsigned c = (unsigned char)raw.p[i];

		/* "/./" means "/" to everybody, and apt asks so for flat repositories. Only as it
		 * is written: an encoded dot is refused below. */
		if (c == '.' && i > 0 && raw.p[i - 1] == '/' && i + 1 < raw.n &&
		    raw.p[i + 1] == '/') {
			i++;
			continue;
		}
		if (c == '%') {
			why = path_escape(raw, i, to, ret_err);
			if (why)
				return why;
			i += 2;
		} else if (path_byte(c)) {
			out[0] = (char)c;
			*ret_err = buf_add(to, out, 1);
		} else if (c && strchr("\"<>^`{|}[]",
				       (int)c)) { /* sent raw by some clients; one spelling only */
			out[0] = '%';
			out[1] = "0123456789ABCDEF"[c >> 4];
			out[2] = "0123456789ABCDEF"[c & 15];
			*ret_err = buf_add(to, out, 3);
		} else if (c == '\\') {
			return "a backslash, which some servers take for a slash: write /";
		} else if (c == ';') {
			return "a semicolon (path parameters), at which some servers cut the "
			       "path: leave it out, or let a tls:// rule pass the host unopened";
		} else if (c == '#') {
			return "a fragment: it is for the client alone, leave out # and what "
			       "is behind it";
		} else {
			return "a control, blank or non-ASCII byte: write it as % and two "
			       "hexadecimal digits";
		}
	}
	return NULL;
}

/* Two or more bytes for what UTF-8 writes in one or in fewer (%C0%AF): lax decoders make a slash or
 * a dot of it. `p` holds what path_escape wrote. */
static bool overlong(struct str p, size_t at)
{
	unsigned lead, next;

	if (at + 5 >= p.n || p.p[at] != '%' || p.p[at + 3] != '%')
		return false;
	lead = (unsigned)(hex(p.p[at + 1]) << 4 | hex(p.p[at + 2]));
	next = (unsigned)(hex(p.p[at + 4]) << 4 | hex(p.p[at + 5]));
	if (next < 0x80 || next > 0xbf)
		return false;
	return lead == 0xc0 || lead == 0xc1 || (lead == 0xe0 && next < 0xa0) ||
	       (lead == 0xf0 && next < 0x90);
}

/* What decoding could have made: dot segments, empty segments, a second layer of encoding. */
static const char *path_check(struct str path)
{
	size_t start = 1;

	for (size_t i = 1; i <= path.n; i++) {
		if (i + 4 < path.n && memcmp(path.p + i, "%25", 3) == 0 &&
		    hex(path.p[i + 3]) >= 0 && hex(path.p[i + 4]) >= 0)
			return "a double encoding (%25 and two hexadecimal digits): encode once";
		if (overlong(path, i))
			return "an overlong encoding (as %C0%AF): write the character itself";
		if (i < path.n && path.p[i] != '/')
			continue;
		if (i == start && i < path.n)
			return "an empty segment (//): write one /";
		if (i - start == 1 && path.p[start] == '.')
			return "a dot segment (.): write the path that it leads to";
		if (i - start == 2 && memcmp(path.p + start, "..", 2) == 0)
			return "a dot segment (..): write the path that it leads to";
		start = i + 1;
	}
	return NULL;
}

static const char *query_check(struct str q)
{
	for (size_t i = 0; i < q.n; i++) {
		unsigned c = (unsigned char)q.p[i];

		if (c <= 0x20 || c >= 0x7f)
			return "a control, blank or non-ASCII byte in the query";
		if (c == '#')
			return "a fragment";
		if (c != '%')
			continue;
		if (i + 2 >= q.n || hex(q.p[i + 1]) < 0 || hex(q.p[i + 2]) < 0)
			return "a % without two hexadecimal digits in the query";
		if (q.p[i + 1] == '0' && q.p[i + 2] == '0')
			return "an encoded NUL in the query";
	}
	return NULL;
}

int target_canonical(struct str raw, struct buf *to, struct target *ret, const char **ret_why)
{
	struct str path = raw, query = { 0 };
	size_t start = to->n, path_n;
	const char *mark, *why;
	int err = 0;

	if (raw.n == 0 || raw.p[0] != '/') {
		*ret_why = "it does not begin with /";
		return -EINVAL;
	}
	mark = memchr(raw.p, '?', raw.n);
	if (mark) {
		path.n = (size_t)(mark - raw.p);
		query = (struct str){ mark + 1, raw.n - path.n - 1 };
	}
	why = path_write(path, to, &err);
	path_n = to->n - start;
	if (!why && err == 0)
		why = path_check((struct str){ to->p + start, path_n });
	if (!why && mark)
		why = query_check(query);
	if (!why && err == 0 && mark) {
		err = buf_add(to, "?", 1);
		if (err == 0)
			err = buf_add_str(to, query);
	}
	if (why || err < 0) {
		to->n = start;
		*ret_why = why ? why : "it is too long";
		return why ? -EINVAL : -EMSGSIZE;
	}
	/* Only now: the buffer does not move any more. */
	*ret = (struct target){ .path = { to->p + start, path_n },
				.whole = { to->p + start, to->n - start } };
	if (mark)
		ret->query = (struct str){ to->p + start + path_n + 1, to->n - start - path_n - 1 };
	return 0;
}
