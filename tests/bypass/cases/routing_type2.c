// SPDX-License-Identifier: Apache-2.0
/* Mobile IPv6's routing header: one address, and the packet goes there. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t header[40];
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	/* EINVAL where the kernel is built without Mobile IPv6. */
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, header,
		       (socklen_t)routing_header(t, 2, header)))
		failed(a, "IPV6_RTHDR");
	else
		send_token(t, a, fd, "::1", t->port);
	close(fd);
}

CASE(routing_type2) = { .title = "IPv6 routing header type 2, UDP to loopback",
			.source = "bpf.md 0 (3); needs CONFIG_IPV6_MIP6",
			.group = "header",
			.families = SIX,
			.settings = EVERYWHERE,
			.expect = GUEST,
			.attempt = attempt };
