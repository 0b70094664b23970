/* SPDX-License-Identifier: Apache-2.0 */
/* Challenges. Called by the proxy with a field that an origin wrote: every byte is hostile. */
#include "http/challenge.h"

static bool token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t blanks(struct str s, size_t at)
{
	while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\t'))
		at++;
	return at;
}

static struct str token(struct str s, size_t *at)
{
	size_t start = *at;

	while (*at < s.n && token_char(s.p[*at]))
		(*at)++;
	return (struct str){ s.p + start, *at - start };
}

/* A value, quoted or not, into to. false: not well formed, or too long. */
static bool param_value(struct str s, size_t *at, char *to, size_t size, size_t *ret_n)
{
	size_t n = 0;

	if (*at == s.n || s.p[*at] != '"') {
		struct str t = token(s, at);

		if (!t.n || t.n >= size)
			return false;
		memcpy(to, t.p, t.n);
		*ret_n = t.n;
		return true;
	}
	for ((*at)++; *at < s.n && s.p[*at] != '"'; (*at)++) {
		if (s.p[*at] == '\\' && ++*at == s.n)
			return false;
		if (n + 1 >= size)
			return false;
		to[n++] = s.p[*at];
	}
	if (*at == s.n)
		return false;
	(*at)++;
	*ret_n = n;
	return true;
}

/*
 * Challenges and their parameters are both lists of commas: a token behind which '=' stands is a
 * parameter's name, any other begins a challenge.
 */
bool challenge_bearer(struct str v, struct challenge *ret)
{
	struct challenge c = { .realm_n = 0 };
	char other[1024];
	bool bearer = false;
	size_t at = 0, n;

	while (at < v.n) {
		struct str name;
		size_t behind;

		while (at < v.n && (v.p[at] == ',' || v.p[at] == ' ' || v.p[at] == '\t'))
			at++;
		if (at == v.n)
			break;
		name = token(v, &at);
		if (!name.n)
			return false;
		behind = blanks(v, at);
		if (behind < v.n && v.p[behind] == '=') {
			bool realm = str_eq_nocase(name, STR("realm"));
			bool service = str_eq_nocase(name, STR("service"));

			at = blanks(v, behind + 1);
			/* Twice: two readers differ in which they take. */
			if (bearer && ((realm && c.realm_n) || (service && c.service_n)))
				return false;
			if (bearer && realm) {
				if (!param_value(v, &at, c.realm, sizeof(c.realm), &c.realm_n))
					return false;
			} else if (bearer && service) {
				if (!param_value(v, &at, c.service, sizeof(c.service),
						 &c.service_n))
					return false;
			} else if (!param_value(v, &at, other, sizeof(other), &n)) {
				return false;
			}
			continue;
		}
		if (bearer && c.realm_n)
			break; /* the next challenge */
		bearer = str_eq_nocase(name, STR("bearer"));
	}
	if (!bearer || !c.realm_n)
		return false;
	*ret = c;
	return true;
}

bool challenge_url(struct str url, struct str *ret_host, struct str *ret_path)
{
	struct str rest, host;
	size_t n = 0;

	if (url.n < 9 || !str_eq_nocase((struct str){ url.p, 8 }, STR("https://")))
		return false;
	rest = (struct str){ url.p + 8, url.n - 8 };
	while (n < rest.n && !memchr("/?#", rest.p[n], 3))
		n++;
	host = (struct str){ rest.p, n };
	if (memchr(host.p, '@', host.n) || memchr(host.p, '\\', host.n))
		return false;
	if (host.n > 4 && memcmp(host.p + host.n - 4, ":443", 4) == 0)
		host.n -= 4;
	if (!host.n || memchr(host.p, ':', host.n))
		return false;
	rest.p += n;
	rest.n -= n;
	n = 0;
	while (n < rest.n && rest.p[n] != '?' && rest.p[n] != '#')
		n++;
	*ret_host = host;
	*ret_path = n ? (struct str){ rest.p, n } : STR("/");
	return true;
}
