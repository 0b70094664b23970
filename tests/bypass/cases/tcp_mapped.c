// SPDX-License-Identifier: Apache-2.0
/* An IPv4 address in the form that AF_INET6 sockets take: a wall that knows two families may miss
 * it. */
#include "../wire.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = sock_open(a, AF_INET6, SOCK_STREAM, 0, "socket");

	if (fd < 0)
		return;
	join_and_tell(t, a, fd, AF_INET6, t->addr, t->port);
	close(fd);
}

CASE(tcp_mapped) = { .title = "TCP, IPv4-mapped address on an IPv6 socket",
		     .source = "field C37: egress-filter 13a9514, 6f7abff",
		     .group = "tcp",
		     .families = FOUR,
		     .settings = EVERYWHERE,
		     .attempt = attempt };
