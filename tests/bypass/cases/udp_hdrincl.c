// SPDX-License-Identifier: Apache-2.0
/* An address header of one's own on a socket that is not raw. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = udp_open(t, a), on = 1;

	if (fd < 0)
		return;
	if (setsockopt(fd, t->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
		       t->family == AF_INET ? IP_HDRINCL : 36 /* IPV6_HDRINCL */, &on, sizeof(on)))
		failed(a, "IP_HDRINCL");
	else
		send_token(t, a, fd, t->addr, t->port);
	close(fd);
}

CASE(udp_hdrincl) = { .title = "IP_HDRINCL on a UDP socket",
		      .source = "own",
		      .group = "udp",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .expect = IMPOSSIBLE,
		      .attempt = attempt };
