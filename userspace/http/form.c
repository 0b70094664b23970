/* SPDX-License-Identifier: Apache-2.0 */
/* Forms. Called by the proxy with what a job or an origin wrote: every byte is hostile. */
#include "http/form.h"

bool form_each(struct str text, size_t *at, struct form_field *ret)
{
	const char *p, *end, *equals;

	/* Behind a last '&' there is one more, which is empty. */
	if (*at > text.n || !text.n)
		return false;
	p = text.p + *at;
	end = memchr(p, '&', text.n - *at);
	if (!end)
		end = text.p + text.n;
	equals = memchr(p, '=', (size_t)(end - p));
	ret->whole = (struct str){ p, (size_t)(end - p) };
	ret->name = (struct str){ p, (size_t)((equals ? equals : end) - p) };
	ret->value = equals ? (struct str){ equals + 1, (size_t)(end - equals - 1) }
			    : (struct str){ NULL, 0 };
	*at = (size_t)(end - text.p) + 1;
	return true;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool form_name_is(struct str name, struct str plain)
{
	size_t done = 0;

	for (size_t i = 0; i < name.n; i++, done++) {
		char c = name.p[i] == '+' ? ' ' : name.p[i];

		if (c == '%' && i + 2 < name.n && hex(name.p[i + 1]) >= 0 &&
		    hex(name.p[i + 2]) >= 0) {
			c = (char)(hex(name.p[i + 1]) << 4 | hex(name.p[i + 2]));
			i += 2;
		}
		if (done == plain.n || plain.p[done] != c)
			return false;
	}
	return done == plain.n;
}

size_t form_encode(char *to, struct str s)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    c == '-' || c == '.' || c == '_' || c == '~') {
			to[n++] = c;
			continue;
		}
		to[n++] = '%';
		to[n++] = digits[(uint8_t)c >> 4];
		to[n++] = digits[(uint8_t)c & 15];
	}
	return n;
}
