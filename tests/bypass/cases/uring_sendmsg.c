// SPDX-License-Identifier: Apache-2.0
/* A datagram by SENDMSG. */
#include "../wire.h"

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
	struct io_uring_sqe sqe = { .opcode = IORING_OP_SENDMSG, .addr = (uintptr_t)&m, .len = 1 };
	struct ring r;
	int fd;

	if (!ring_open(&r, a, 0))
		return;
	fd = udp_open(t, a);
	if (fd >= 0) {
		sqe.fd = fd;
		ring_add(&r, &sqe);
		ring_run(&r, a, 1, NULL, "IORING_OP_SENDMSG");
		close(fd);
	}
	close(r.fd);
}

CASE(uring_sendmsg) = { .title = "io_uring, SENDMSG by UDP",
			.source = "field C33",
			.group = "io_uring",
			.families = FOUR | SIX,
			.settings = EVERYWHERE,
			.attempt = attempt };
