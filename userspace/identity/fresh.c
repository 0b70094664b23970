/* SPDX-License-Identifier: Apache-2.0 */
/* See fresh.h. s-maxage is for caches that many share, and Expires needs two clocks: neither is
 * read. */
#include "identity/fresh.h"

#include "fetch/fetch.h"

#define SECONDS_MAX (1u << 31) /* RFC 9111, 1.2.2 */

static struct str trimmed(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = (struct str){ s.p + 1, s.n - 1 };
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* "60" or "\"60\""; what is larger than can be said counts as the largest. */
static bool seconds(struct str s, uint64_t *ret)
{
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		s = (struct str){ s.p + 1, s.n - 2 };
	if (!s.n)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	if (str_u64(s, ret) < 0 || *ret > SECONDS_MAX)
		*ret = SECONDS_MAX;
	return true;
}

/* One word of Cache-Control: the least that any of them says counts. */
static void directive(struct str word, bool *said, uint64_t *s)
{
	const char *eq = word.n ? memchr(word.p, '=', word.n) : NULL;
	struct str name = trimmed((struct str){ word.p, eq ? (size_t)(eq - word.p) : word.n });
	uint64_t v = 0;

	if (str_eq_nocase(name, STR("max-age"))) {
		if (!eq ||
		    !seconds(trimmed((struct str){ eq + 1, word.n - (size_t)(eq + 1 - word.p) }),
			     &v))
			return;
	} else if (!str_eq_nocase(name, STR("no-store")) && !str_eq_nocase(name, STR("no-cache"))) {
		return;
	}
	*s = *said && *s < v ? *s : v;
	*said = true;
}

bool fresh_ms(struct str head, uint64_t *ret)
{
	uint64_t s = 0, age, oldest = 0;
	struct str line, rest;
	bool said = false;
	size_t at = 0;

	while (fetch_each_field(head, "cache-control", &at, &rest)) {
		while (rest.n) {
			const char *comma = memchr(rest.p, ',', rest.n);
			struct str word = { rest.p, comma ? (size_t)(comma - rest.p) : rest.n };

			directive(trimmed(word), &said, &s);
			rest = (struct str){ rest.p + word.n, rest.n - word.n };
			if (rest.n)
				rest = (struct str){ rest.p + 1, rest.n - 1 };
		}
	}
	at = 0;
	while (fetch_each_field(head, "age", &at, &line))
		if (seconds(line, &age) && age > oldest)
			oldest = age;
	if (said)
		*ret = (s > oldest ? s - oldest : 0) * 1000;
	return said;
}
