// SPDX-License-Identifier: Apache-2.0
/* A connection to ::1 by name, whose SYN goes to the target with the token in it. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t header[40];
	int fd = sock_open(a, AF_INET6, SOCK_STREAM, 0, "socket");

	if (fd < 0)
		return;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, header,
		       (socklen_t)routing_header(t, 4, header)))
		failed(a, "IPV6_RTHDR");
	else
		tell_in_syn(t, a, fd, AF_INET6, "::1");
	close(fd);
}

CASE(segments_tcp) = { .title = "IPv6 segment routing, TCP to loopback, data in the SYN",
		       .source = "bpf.md 0 (3) and 5",
		       .group = "header",
		       .families = SIX,
		       .settings = EVERYWHERE,
		       .attempt = attempt };
