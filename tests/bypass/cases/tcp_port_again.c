// SPDX-License-Identifier: Apache-2.0
/* A connection is reset and its port used at once for another destination: who keeps state by port
 * takes one for the other. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static int from_port(const struct target *t, struct attempt *a, uint16_t *port)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->family == AF_INET ? "0.0.0.0" : "::", *port, &ss);
	int fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket"), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&ss, n) || getsockname(fd, (struct sockaddr *)&ss, &n)) {
		failed(a, "bind");
		close(fd);
		return -1;
	}
	*port = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	return fd;
}

static void attempt(const struct target *t, struct attempt *a)
{
	struct linger now = { .l_onoff = 1 };
	struct sockaddr_storage ss;
	uint16_t port = 0;
	int fd;

	for (int i = 0; i < 20; i++) {
		socklen_t n = sa_make(t->family, loopback(t->family), t->port, &ss);

		fd = from_port(t, a, &port);
		if (fd < 0)
			return;
		(void)connect(fd, (struct sockaddr *)&ss, n);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(fd);
		fd = from_port(t, a, &port);
		if (fd < 0)
			return;
		a->err = 0;
		join_and_tell(t, a, fd, t->family, t->addr, t->port);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(fd);
		if (a->err)
			return;
	}
}

CASE(tcp_port_again) = { .title = "TCP, reset and the same port again",
			 .source = "bpf.md 2 (a); field C43: egress-filter AUDIT S2",
			 .group = "tcp",
			 .families = FOUR | SIX,
			 .settings = EVERYWHERE,
			 .attempt = attempt };
