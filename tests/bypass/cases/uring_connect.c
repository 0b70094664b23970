// SPDX-License-Identifier: Apache-2.0
/* connect() and send() without a system call that bears their name. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);
	struct io_uring_sqe sqe = { .opcode = IORING_OP_CONNECT, .addr = (uintptr_t)&ss, .off = n };
	struct ring r;
	int fd;

	if (!ring_open(&r, a, 0))
		return;
	fd = socket(t->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		failed(a, "socket");
		return;
	}
	sqe.fd = fd;
	ring_add(&r, &sqe);
	if (ring_run(&r, a, 1, NULL, "IORING_OP_CONNECT")) {
		sqe = (struct io_uring_sqe){ .opcode = IORING_OP_SEND,
					     .fd = fd,
					     .addr = (uintptr_t)t->token,
					     .len = (uint32_t)strlen(t->token) };
		ring_add(&r, &sqe);
		ring_run(&r, a, 1, NULL, "IORING_OP_SEND");
	}
	close(fd);
	close(r.fd);
}

CASE(uring_connect) = { .title = "io_uring, CONNECT and SEND",
			.source = "field C33: armosec/curing, kunai #207, firejail #7058",
			.group = "io_uring",
			.families = FOUR | SIX,
			.settings = EVERYWHERE,
			.attempt = attempt };
