// SPDX-License-Identifier: Apache-2.0
/* connect() returns before anything is sent; the first write connects. */
#include "../wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#ifndef TCP_FASTOPEN_NO_COOKIE
#define TCP_FASTOPEN_NO_COOKIE 34
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);
	int fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket"), on = 1;

	if (fd < 0)
		return;
	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on)))
		lacking(a, "TCP_FASTOPEN_CONNECT");
	else if (connect(fd, (struct sockaddr *)&ss, n) && errno != EINPROGRESS)
		failed(a, "connect");
	else if (tell(t, a, fd, 0))
		(void)wait_connected(fd, 200);
	close(fd);
}

CASE(tfo_connect) = { .title = "TCP Fast Open, TCP_FASTOPEN_CONNECT",
		      .source = "field C32",
		      .group = "tcp",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .attempt = attempt };
