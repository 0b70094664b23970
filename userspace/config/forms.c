// SPDX-License-Identifier: Apache-2.0
/* What values of the configuration must look like: addresses, blocks, nameservers, a parent proxy.
 * Called by config.c for root's own file; pure. */
#include "config/load.h"

#include <arpa/inet.h>
#include <stdio.h>

bool form_addr(struct str s)
{
	unsigned char to[16];
	char text[64];

	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", STR_ARG(s));
	return inet_pton(AF_INET, text, to) == 1 || inet_pton(AF_INET6, text, to) == 1;
}

bool form_block(struct str s)
{
	const char *slash = memchr(s.p, '/', s.n);
	struct str addr = { s.p, slash ? (size_t)(slash - s.p) : s.n };
	uint64_t prefix = 0;

	if (slash && (str_u64((struct str){ slash + 1, s.n - addr.n - 1 }, &prefix) < 0 ||
		      prefix > (memchr(addr.p, ':', addr.n) ? 128u : 32u)))
		return false;
	return form_addr(addr);
}

/* "ip", "v4:port" or "[v6]:port" */
bool form_nameserver(struct str s)
{
	const char *end;
	struct str addr = s, port = { NULL, 0 };
	uint64_t number;

	if (form_addr(s))
		return true;
	if (s.n > 2 && s.p[0] == '[') {
		end = memchr(s.p, ']', s.n);
		if (!end || end + 1 >= s.p + s.n || end[1] != ':')
			return false;
		addr = (struct str){ s.p + 1, (size_t)(end - s.p - 1) };
		port = (struct str){ end + 2, (size_t)(s.p + s.n - end - 2) };
	} else {
		end = memchr(s.p, ':', s.n);
		if (!end)
			return false;
		addr.n = (size_t)(end - s.p);
		port = (struct str){ end + 1, s.n - addr.n - 1 };
	}
	return form_addr(addr) && str_u64(port, &number) == 0 && number > 0 && number < 65536;
}

/* "http://HOST:PORT" with a name or an address; no user, no path. */
bool form_parent(struct str s)
{
	struct str host, port;
	const char *colon;
	uint64_t number;

	if (!str_starts(s, "http://"))
		return false;
	s = (struct str){ s.p + 7, s.n - 7 };
	if (s.n && s.p[s.n - 1] == '/')
		s.n--;
	colon = memrchr(s.p, ':', s.n);
	if (!colon)
		return false;
	host = (struct str){ s.p, (size_t)(colon - s.p) };
	port = (struct str){ colon + 1, s.n - host.n - 1 };
	if (str_u64(port, &number) < 0 || !number || number > 65535)
		return false;
	if (host.n > 2 && host.p[0] == '[')
		return form_nameserver(s);
	for (size_t i = 0; i < host.n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-",
			    host.p[i]) ||
		    !host.p[i])
			return false;
	return host.n > 0 && host.n <= 253;
}

/* As in the variable no_proxy: names, ".below", "*", addresses and blocks, with a port or without.
 */
bool form_no_proxy(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == ',')
			return false;
	return s.n > 0 && s.n <= 260;
}
