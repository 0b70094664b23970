// SPDX-License-Identifier: Apache-2.0
/* A socket that was let through to loopback is dissolved by AF_UNSPEC and connected again. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sockaddr_storage ss;
	uint16_t port = 0;
	int own = listen_own(a, t->family, &port), fd;
	socklen_t n = sa_make(t->family, loopback(t->family), port, &ss);

	if (own < 0)
		return;
	fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");
	if (fd >= 0) {
		/* Refused to a job in the host's network: then the second half stands alone. */
		if (connect(fd, (struct sockaddr *)&ss, n) == 0 || wait_connected(fd, 100) == 0)
			(void)connect(fd, &none, sizeof(none));
		join_and_tell(t, a, fd, t->family, t->addr, t->port);
		close(fd);
	}
	close(own);
}

CASE(tcp_unspec_again) = { .title = "TCP to loopback, AF_UNSPEC, then to the target",
			   .source = "bpf.md 5: AF_UNSPEC, reconnect remote",
			   .group = "tcp",
			   .families = FOUR | SIX,
			   .settings = EVERYWHERE,
			   .attempt = attempt };
