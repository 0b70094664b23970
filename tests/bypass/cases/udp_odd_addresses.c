// SPDX-License-Identifier: Apache-2.0
/* The other family's address on an IPv6 socket, and addresses of odd lengths. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);
	int fd = sock_open(a, AF_INET6, SOCK_DGRAM, 0, "socket");

	if (fd < 0)
		return;
	/* An AF_INET6 socket takes the IPv4 form as it is. */
	if (sendto(fd, t->token, strlen(t->token), 0, (struct sockaddr *)&ss,
		   t->family == AF_INET ? n : 24) < 0)
		failed(a, "sendto");
	if (connect(fd, (struct sockaddr *)&ss, sizeof(ss)) == 0 && tell(t, a, fd, 0))
		a->err = 0;
	close(fd);
}

CASE(udp_odd_addresses) = { .title = "UDP, AF_INET names on an IPv6 socket, odd lengths",
			    .source = "own; field C37",
			    .group = "udp",
			    .families = FOUR | SIX,
			    .settings = EVERYWHERE,
			    .attempt = attempt };
