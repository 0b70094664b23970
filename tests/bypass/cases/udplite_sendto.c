// SPDX-License-Identifier: Apache-2.0
/* UDP-Lite has UDP's hooks for sendto(). */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = sock_open(a, t->family, SOCK_DGRAM, IPPROTO_UDPLITE, "socket(IPPROTO_UDPLITE)");

	if (fd < 0)
		return;
	send_token(t, a, fd, t->addr, t->port);
	close(fd);
}

CASE(udplite_sendto) = { .title = "UDP-Lite, sendto()",
			 .source = "bpf.md 5, row 3",
			 .group = "sockets",
			 .families = FOUR | SIX,
			 .settings = EVERYWHERE,
			 .attempt = attempt };
