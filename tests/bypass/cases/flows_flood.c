// SPDX-License-Identifier: Apache-2.0
/* Connections that are given up at once leave their records behind; the table of them is bounded.
 * The next connection must be refused or be the right one, never somebody else's. */
#include "../case.h"

#include <stdio.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct linger away = { 1, 0 };
	struct sockaddr_storage ss;
	char addr[64];
	int fd;

	for (unsigned i = 0; i < 12000; i++) {
		if (t->family == AF_INET)
			snprintf(addr, sizeof(addr), "10.77.250.%u", 1 + i % 250);
		else
			snprintf(addr, sizeof(addr), "2001:db8:77:250::%x", 1 + i % 250);
		fd = socket(t->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0) {
			failed(a, "socket");
			return;
		}
		(void)connect(fd, (struct sockaddr *)&ss,
			      sa_make(t->family, addr, (uint16_t)(1024 + i % 50000), &ss));
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &away, sizeof(away));
		close(fd);
	}
	dial_and_tell(t, a, SOCK_STREAM, 0, t->addr, t->port);
}

CASE(flows_flood) = { .title = "The kernel's tables under pressure, then a connection",
		      .source = "field C50: egress-filter AUDIT S14",
		      .group = "lifecycle",
		      .families = FOUR | SIX,
		      .settings = OWN | HOST,
		      .attempt = attempt };
