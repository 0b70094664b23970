// SPDX-License-Identifier: Apache-2.0
/* Hop-by-hop and destination options hold the token: the payload holds nothing. */
#include "../wire.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const int names[] = { IPV6_HOPOPTS, IPV6_DSTOPTS, IPV6_RTHDRDSTOPTS };
	size_t len = strlen(t->token), n = (4 + len + 7) / 8 * 8;
	struct sockaddr_storage ss;
	socklen_t sn = sa_make(t->family, t->addr, t->port, &ss);
	uint8_t header[64] = { 0 };
	bool any = false;

	header[1] = (uint8_t)(n / 8 - 1);
	header[2] = 0x1e; /* unknown: to be skipped by who reads it */
	header[3] = (uint8_t)(n - 4);
	memcpy(header + 4, t->token, len);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int fd = udp_open(t, a);

		if (fd < 0)
			return;
		if (setsockopt(fd, IPPROTO_IPV6, names[i], header, (socklen_t)n))
			failed(a, "IPV6_HOPOPTS");
		else if (sendto(fd, "x", 1, 0, (struct sockaddr *)&ss, sn) < 0)
			failed(a, "sendto");
		else
			any = true;
		close(fd);
	}
	if (any)
		a->err = 0;
}

CASE(option_headers) = { .title = "IPv6 hop-by-hop and destination options",
			 .source = "bpf.md 5: v6 hop-by-hop",
			 .group = "header",
			 .families = SIX,
			 .settings = LINKED,
			 .needs_root = true,
			 .attempt = attempt };
