// SPDX-License-Identifier: Apache-2.0
/* Kept with the socket by IPV6_2292PKTOPTIONS, which reads control messages from an
 * option. */
#include "../wire.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#ifndef IPV6_2292PKTOPTIONS
#define IPV6_2292PKTOPTIONS 6
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(40)];
	} control = { .head = { .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_RTHDR } };
	uint8_t header[40];
	size_t n = routing_header(t, 2, header);
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	control.head.cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(&control.head), header, n);
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_2292PKTOPTIONS, &control, (socklen_t)CMSG_SPACE(n)))
		lacking(a, "IPV6_2292PKTOPTIONS");
	else
		send_token(t, a, fd, "::1", t->port);
	close(fd);
}

CASE(routing_sticky) = { .title = "IPv6 routing header type 2, sticky options",
			 .source = "own; bpf.md 0 (3); needs CONFIG_IPV6_MIP6",
			 .group = "header",
			 .families = SIX,
			 .settings = EVERYWHERE,
			 .expect = GUEST,
			 .attempt = attempt };
