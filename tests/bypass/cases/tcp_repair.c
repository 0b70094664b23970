// SPDX-License-Identifier: Apache-2.0
/* A connection that is made without a handshake: nothing to hook, the peer's state is invented. */
#include "../wire.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket"), on = 1, off = 0;
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);

	if (fd < 0)
		return;
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)))
		failed(a, "TCP_REPAIR");
	else if (connect(fd, (struct sockaddr *)&ss, n))
		failed(a, "connect");
	else if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)))
		failed(a, "TCP_REPAIR off");
	else
		tell(t, a, fd, 0);
	close(fd);
}

CASE(tcp_repair) = { .title = "TCP_REPAIR: connected without a handshake",
		     .source = "own; needs CAP_NET_ADMIN",
		     .group = "tcp",
		     .families = FOUR | SIX,
		     .settings = LINKED,
		     .expect = IMPOSSIBLE,
		     .attempt = attempt };
