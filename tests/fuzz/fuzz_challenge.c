/* SPDX-License-Identifier: Apache-2.0 */
/* WWW-Authenticate as an origin writes it: what is read of it is bounded, and put back together as
 * a challenge it reads the same. */
#include <stdio.h>
#include <stdlib.h>

#include "http/challenge.h"

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t quote(char *to, const char *name, const char *s, size_t n)
{
	size_t at = (size_t)snprintf(to, 32, "%s=\"", name);

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '"' || s[i] == '\\')
			to[at++] = '\\';
		to[at++] = s[i];
	}
	to[at++] = '"';
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char again[8192];
	struct challenge c, d;
	struct str host, path;
	size_t at;

	if (!challenge_bearer((struct str){ (const char *)data, n }, &c))
		return 0;
	check(c.realm_n && c.realm_n <= sizeof(c.realm) && c.service_n <= sizeof(c.service));
	at = (size_t)snprintf(again, 32, "Basic x, bEARER ");
	at += quote(again + at, "Realm", c.realm, c.realm_n);
	if (c.service_n) {
		again[at++] = ',';
		at += quote(again + at, "service", c.service, c.service_n);
	}
	check(challenge_bearer((struct str){ again, at }, &d));
	check(c.realm_n == d.realm_n && !memcmp(c.realm, d.realm, c.realm_n));
	check(c.service_n == d.service_n && !memcmp(c.service, d.service, c.service_n));
	if (challenge_url((struct str){ c.realm, c.realm_n }, &host, &path))
		check(host.n && path.n && !memchr(host.p, '@', host.n) && path.p[0] == '/');
	return 0;
}
