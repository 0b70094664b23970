/* SPDX-License-Identifier: Apache-2.0 */
/* See names.h. Called by fetch.c; the configuration is root's, addresses came from a nameserver. */
#include "fetch/names.h"

#include <arpa/inet.h>
#include <errno.h>

int names_add(struct buf *line, const uint8_t addr[16], bool first)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char text[INET6_ADDRSTRLEN];
	bool v4 = !memcmp(addr, mapped, sizeof(mapped));

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr + 12 : addr, text, sizeof(text));
	return buf_addf(line, v4 ? "%s%s" : "%s[%s]", first ? "" : ",", text);
}

int names_find(const struct fetch_names *f, struct str host, struct buf *line)
{
	for (unsigned i = 0; i < f->nhosts; i++) {
		struct str h = f->hosts[i];
		const char *eq = memchr(h.p, '=', h.n), *at, *end = h.p + h.n;
		bool first = true;

		if (!eq || !str_eq_nocase((struct str){ h.p, (size_t)(eq - h.p) }, host))
			continue;
		for (at = eq + 1; at < end; first = false) {
			const char *comma = memchr(at, ',', (size_t)(end - at));
			struct str ip = { at, (size_t)((comma ? comma : end) - at) };
			bool v6 = memchr(ip.p, ':', ip.n) != NULL;

			if (buf_addf(line, v6 ? "%s[%.*s]" : "%s%.*s", first ? "" : ",",
				     STR_ARG(ip)) < 0)
				return -EMSGSIZE;
			at = comma ? comma + 1 : end;
		}
		return 1;
	}
	return 0;
}

bool names_literal(const char *host)
{
	unsigned char to[16];

	return strchr(host, ':') || inet_pton(AF_INET, host, to) == 1;
}
