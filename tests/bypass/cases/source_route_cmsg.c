// SPDX-License-Identifier: Apache-2.0
/* The same by a control message of one datagram (IP_RETOPTS): no socket option is ever set. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t route[12];
	size_t n = source_route(t, 131, route);
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	tell_control(t, a, fd, "127.0.0.1", IPPROTO_IP, IP_RETOPTS, route, n);
	close(fd);
}

CASE(source_route_cmsg) = { .title = "IPv4 source route by IP_RETOPTS",
			    .source = "bpf.md 0 (3) and 5",
			    .group = "header",
			    .families = FOUR,
			    .settings = EVERYWHERE,
			    .attempt = attempt };
