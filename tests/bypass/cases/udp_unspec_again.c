// SPDX-License-Identifier: Apache-2.0
/* Connected to loopback, dissolved, connected to the target. */
#include "../wire.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, loopback(t->family), t->port, &ss);
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	(void)connect(fd, (struct sockaddr *)&ss, n);
	(void)connect(fd, &none, sizeof(none));
	join_and_tell(t, a, fd, t->family, t->addr, t->port);
	close(fd);
}

CASE(udp_unspec_again) = { .title = "UDP to loopback, AF_UNSPEC, then to the target",
			   .source = "bpf.md 5: AF_UNSPEC, reconnect remote",
			   .group = "udp",
			   .families = FOUR | SIX,
			   .settings = EVERYWHERE,
			   .attempt = attempt };
