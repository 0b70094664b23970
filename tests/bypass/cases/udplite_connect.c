// SPDX-License-Identifier: Apache-2.0
/* But none for connect(): it passes every wall of connect hooks. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = sock_open(a, t->family, SOCK_DGRAM, IPPROTO_UDPLITE, "socket(IPPROTO_UDPLITE)");

	if (fd < 0)
		return;
	join_and_tell(t, a, fd, t->family, t->addr, t->port);
	close(fd);
}

CASE(udplite_connect) = { .title = "UDP-Lite, connect() and send()",
			  .source = "bpf.md 5, row 4: no pre_connect hook",
			  .group = "sockets",
			  .families = FOUR | SIX,
			  .settings = EVERYWHERE,
			  .attempt = attempt };
