// SPDX-License-Identifier: Apache-2.0
/* A socket connected to itself (simultaneous open) never met a listener; then dissolved and sent
 * elsewhere. */
#include "../wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	const char *any = t->family == AF_INET ? "0.0.0.0" : "::";
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, any, 0, &ss);
	int fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");

	if (fd < 0)
		return;
	if (bind(fd, (struct sockaddr *)&ss, n) || getsockname(fd, (struct sockaddr *)&ss, &n)) {
		failed(a, "bind");
	} else {
		uint16_t port = ntohs(((struct sockaddr_in *)&ss)->sin_port);

		n = sa_make(t->family, loopback(t->family), port, &ss);
		if ((connect(fd, (struct sockaddr *)&ss, n) == 0 || errno == EINPROGRESS) &&
		    wait_connected(fd, 100) == 0)
			(void)tell(t, a, fd, 0);
		a->err = 0;
		if (connect(fd, &none, sizeof(none)))
			failed(a, "connect(AF_UNSPEC)");
		else
			join_and_tell(t, a, fd, t->family, t->addr, t->port);
	}
	close(fd);
}

CASE(tcp_self_connect) = { .title = "TCP connected to itself, then to the target",
			   .source = "own; bpf.md 2 (c): records are kept by socket and port",
			   .group = "tcp",
			   .families = FOUR | SIX,
			   .settings = EVERYWHERE,
			   .attempt = attempt };
