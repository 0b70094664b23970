// SPDX-License-Identifier: Apache-2.0
/* Addresses that are longer or shorter than usual, or of the other family than the socket. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void once(const struct target *t, struct attempt *a, int family, struct sockaddr_storage *ss,
		 socklen_t n)
{
	int fd = sock_open(a, family, SOCK_STREAM, 0, "socket");

	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)ss, n) == 0 || wait_connected(fd, 150) == 0)
		(void)tell(t, a, fd, 0);
	else
		failed(a, "connect");
	(void)wait_connected(fd, 20);
	close(fd);
}

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);

	once(t, a, t->family == AF_INET ? AF_INET6 : AF_INET, &ss, n);
	ss.ss_family = AF_UNSPEC;
	once(t, a, t->family, &ss, n);
	ss.ss_family = (sa_family_t)t->family;
	if (t->family == AF_INET6)
		once(t, a, t->family, &ss, 24); /* as RFC 2133 had it, without the scope */
	a->err = 0;
	once(t, a, t->family, &ss, sizeof(ss));
}

CASE(tcp_odd_addresses) = { .title = "TCP, odd address lengths and families",
			    .source = "own; field B24",
			    .group = "tcp",
			    .families = FOUR | SIX,
			    .settings = EVERYWHERE,
			    .attempt = attempt };
