// SPDX-License-Identifier: Apache-2.0
/* By a control message, in its new and its old form. Segments (type 4) are not taken there, the one
 * address of Mobile IPv6 is, where the kernel is built with it. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

#ifndef IPV6_2292RTHDR
#define IPV6_2292RTHDR 5
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t header[40];
	size_t n = routing_header(t, 2, header);
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	tell_control(t, a, fd, "::1", IPPROTO_IPV6, IPV6_2292RTHDR, header, n);
	if (tell_control(t, a, fd, "::1", IPPROTO_IPV6, IPV6_RTHDR, header, n))
		a->err = 0;
	close(fd);
}

CASE(routing_cmsg) = { .title = "IPv6 routing header type 2 by a control message",
		       .source = "bpf.md 0 (3) and 5; needs CONFIG_IPV6_MIP6",
		       .group = "header",
		       .families = SIX,
		       .settings = EVERYWHERE,
		       .expect = GUEST,
		       .attempt = attempt };
