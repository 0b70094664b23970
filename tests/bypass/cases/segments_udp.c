// SPDX-License-Identifier: Apache-2.0
/* The name is ::1, the first segment the target: a segment routing header needs no capability. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t header[40];
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, header,
		       (socklen_t)routing_header(t, 4, header)))
		failed(a, "IPV6_RTHDR");
	else
		send_token(t, a, fd, "::1", t->port);
	close(fd);
}

CASE(segments_udp) = { .title = "IPv6 segment routing, UDP to loopback",
		       .source = "bpf.md 0 (3) and 5",
		       .group = "header",
		       .families = SIX,
		       .settings = EVERYWHERE,
		       .attempt = attempt };
