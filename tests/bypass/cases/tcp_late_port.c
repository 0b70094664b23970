// SPDX-License-Identifier: Apache-2.0
/* The source port is chosen only in connect(), after hooks that keep state by port have looked. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->self, 0, &ss);
	int fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket"), on = 1;

	if (fd < 0)
		return;
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&ss, n))
		failed(a, "bind without a port");
	else
		join_and_tell(t, a, fd, t->family, t->addr, t->port);
	close(fd);
}

CASE(tcp_late_port) = { .title = "TCP, IP_BIND_ADDRESS_NO_PORT",
			.source = "field C31: egress-filter BPF comments",
			.group = "tcp",
			.families = FOUR | SIX,
			.settings = LINKED,
			.attempt = attempt };
