// SPDX-License-Identifier: Apache-2.0
/* Another protocol above or below the same socket: SMC, TLS, IPsec in TCP. */
#include "../wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const char *const names[] = { "smc", "tls", "espintcp", "mptcp" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");

		if (fd < 0)
			return;
		/* Most want an established socket or are not here; the connection is tried anyhow.
		 */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_ULP, names[i], (socklen_t)strlen(names[i]));
		a->err = 0;
		join_and_tell(t, a, fd, t->family, t->addr, t->port);
		close(fd);
	}
}

CASE(tcp_ulp) = { .title = "TCP with an upper layer protocol (TCP_ULP)",
		  .source = "own",
		  .group = "tcp",
		  .families = FOUR | SIX,
		  .settings = EVERYWHERE,
		  .attempt = attempt };
