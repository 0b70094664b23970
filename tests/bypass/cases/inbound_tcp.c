// SPDX-License-Identifier: Apache-2.0
/* The outside connects; the answer carries the token. */
#include "../wire.h"

#include <poll.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->self, (uint16_t)(t->port + 1), &ss);
	struct pollfd p = { .events = POLLIN };
	int on = 1, fd;

	p.fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");
	if (p.fd < 0)
		return;
	setsockopt(p.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!n || bind(p.fd, (struct sockaddr *)&ss, n) || listen(p.fd, 8)) {
		failed(a, "listen on the link's address");
	} else if (poll(&p, 1, 1500) != 1 || (fd = accept4(p.fd, NULL, NULL, SOCK_CLOEXEC)) < 0) {
		failed(a, "nobody came");
	} else {
		tell(t, a, fd, 0);
		p.fd = fd; /* the listener ends with the process */
		(void)poll(&p, 1, 300);
	}
	close(p.fd);
}

CASE(inbound_tcp) = { .title = "TCP, accepted from outside, the answer",
		      .source = "bpf.md 5: inbound",
		      .group = "inbound",
		      .families = FOUR | SIX,
		      .settings = LINKED,
		      .inbound = true,
		      .attempt = attempt };
