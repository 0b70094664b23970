// SPDX-License-Identifier: Apache-2.0
/* The same by sendmsg(), with the cookie asked for first: the data follow the handshake. */
#include "../wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	struct iovec iov = { (void *)t->token, strlen(t->token) };
	struct msghdr m = { .msg_name = &ss,
			    .msg_namelen = sa_make(t->family, t->addr, t->port, &ss),
			    .msg_iov = &iov,
			    .msg_iovlen = 1 };
	struct pollfd p = { .events = POLLIN };

	p.fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");
	if (p.fd < 0)
		return;
	if (sendmsg(p.fd, &m, MSG_FASTOPEN | MSG_NOSIGNAL) < 0 && errno != EINPROGRESS) {
		failed(a, "sendmsg(MSG_FASTOPEN)");
	} else {
		/* Nothing was queued when there was no cookie yet. */
		errno = wait_connected(p.fd, 400);
		if (errno)
			failed(a, "connect");
		else if (tell(t, a, p.fd, 0))
			(void)poll(&p, 1, 200);
	}
	close(p.fd);
}

CASE(tfo_sendmsg) = { .title = "TCP Fast Open, sendmsg(MSG_FASTOPEN)",
		      .source = "field C32: TNG #139",
		      .group = "tcp",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .attempt = attempt };
