// SPDX-License-Identifier: Apache-2.0
/* The source route of IPv6, taken out of the kernel in 2007; types 1, 3 and 5 likewise. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const uint8_t types[] = { 0, 1, 3, 5 };
	uint8_t header[40];
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	for (size_t i = 0; i < sizeof(types); i++) {
		if (setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, header,
			       (socklen_t)routing_header(t, types[i], header)))
			failed(a, "IPV6_RTHDR");
		else
			send_token(t, a, fd, "::1", t->port);
	}
	close(fd);
}

CASE(routing_type0) = { .title = "IPv6 routing header types 0, 1, 3, 5",
			.source = "RFC 5095",
			.group = "header",
			.families = SIX,
			.settings = EVERYWHERE,
			.expect = IMPOSSIBLE,
			.attempt = attempt };
