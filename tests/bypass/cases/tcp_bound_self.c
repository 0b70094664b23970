// SPDX-License-Identifier: Apache-2.0
/* Bound to the link's address first: the turned connection would leave from it. */
#include "../wire.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->self, 0, &ss);
	int fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");

	if (fd < 0)
		return;
	if (bind(fd, (struct sockaddr *)&ss, n))
		failed(a, "bind to the link's address");
	else
		join_and_tell(t, a, fd, t->family, t->addr, t->port);
	close(fd);
}

CASE(tcp_bound_self) = { .title = "TCP, bound to the link's address",
			 .source = "bpf.md 1",
			 .group = "tcp",
			 .families = FOUR | SIX,
			 .settings = LINKED,
			 .attempt = attempt };
