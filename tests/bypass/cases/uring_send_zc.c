// SPDX-License-Identifier: Apache-2.0
/* Zero copy with an address in the request itself. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

/* Linux 6.0. */
#define OP_SEND_ZC 47

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);
	struct io_uring_sqe sqe = { .opcode = OP_SEND_ZC,
				    .off = (uintptr_t)&ss,
				    .addr = (uintptr_t)t->token,
				    .len = (uint32_t)strlen(t->token) };
	struct ring r;
	int fd;

	if (!ring_open(&r, a, 0))
		return;
	fd = udp_open(t, a);
	if (fd >= 0) {
		sqe.fd = fd;
		/* addr_len: the lower half of what is file_index elsewhere. */
		sqe.file_index = (uint32_t)n;
		ring_add(&r, &sqe);
		ring_run(&r, a, 1, NULL, "IORING_OP_SEND_ZC");
		close(fd);
	}
	close(r.fd);
}

CASE(uring_send_zc) = { .title = "io_uring, SEND_ZC with an address",
			.source = "field C33",
			.group = "io_uring",
			.families = FOUR | SIX,
			.settings = EVERYWHERE,
			.attempt = attempt };
