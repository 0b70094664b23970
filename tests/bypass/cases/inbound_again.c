// SPDX-License-Identifier: Apache-2.0
/* A socket that was accepted is dissolved and connected to the target: it has a record of its own
 * kind. */
#include "../wire.h"

#include <poll.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->self, (uint16_t)(t->port + 1), &ss);
	struct pollfd p = { .events = POLLIN };
	int on = 1, fd = -1;

	p.fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");
	if (p.fd < 0)
		return;
	setsockopt(p.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!n || bind(p.fd, (struct sockaddr *)&ss, n) || listen(p.fd, 8))
		failed(a, "listen on the link's address");
	else if (poll(&p, 1, 1500) != 1 ||
		 (fd = accept4(p.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0)
		failed(a, "nobody came");
	close(p.fd);
	if (fd < 0)
		return;
	if (connect(fd, &none, sizeof(none)))
		failed(a, "connect(AF_UNSPEC)");
	else
		join_and_tell(t, a, fd, t->family, t->addr, t->port);
	close(fd);
}

CASE(inbound_again) = { .title = "TCP, accepted from outside, then connected to the target",
			.source = "own; bpf.md 5: inbound",
			.group = "inbound",
			.families = FOUR | SIX,
			.settings = LINKED,
			.inbound = true,
			.attempt = attempt };
