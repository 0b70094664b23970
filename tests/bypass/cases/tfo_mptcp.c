// SPDX-License-Identifier: Apache-2.0
/* Fast Open of an MPTCP socket connects its first subflow from within sendto(). */
#include "../wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);
	struct pollfd p = { .events = POLLIN };

	p.fd = sock_open(a, t->family, SOCK_STREAM, IPPROTO_MPTCP, "socket(IPPROTO_MPTCP)");
	if (p.fd < 0)
		return;
	if (sendto(p.fd, t->token, strlen(t->token), MSG_FASTOPEN | MSG_NOSIGNAL,
		   (struct sockaddr *)&ss, n) < 0 &&
	    errno != EINPROGRESS) {
		failed(a, "sendto(MSG_FASTOPEN)");
	} else {
		errno = wait_connected(p.fd, 400);
		if (errno)
			failed(a, "connect");
		else if (tell(t, a, p.fd, 0))
			(void)poll(&p, 1, 200);
	}
	close(p.fd);
}

CASE(tfo_mptcp) = { .title = "MPTCP with Fast Open",
		    .source = "bpf.md 5, row 1; field C32",
		    .group = "tcp",
		    .families = FOUR | SIX,
		    .settings = EVERYWHERE,
		    .attempt = attempt };
