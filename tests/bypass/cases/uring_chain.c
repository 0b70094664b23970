// SPDX-License-Identifier: Apache-2.0
/* The socket too: SOCKET into the ring's own table, CONNECT and SEND linked to it; no descriptor is
 * ever seen. */
#include "../wire.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);
	const struct io_uring_sqe chain[3] = {
		{ .opcode = IORING_OP_SOCKET,
		  .flags = IOSQE_IO_LINK,
		  .fd = t->family,
		  .off = SOCK_STREAM,
		  .file_index = 1 },
		{ .opcode = IORING_OP_CONNECT,
		  .flags = IOSQE_IO_LINK | IOSQE_FIXED_FILE,
		  .addr = (uintptr_t)&ss,
		  .off = n },
		{ .opcode = IORING_OP_SEND,
		  .flags = IOSQE_FIXED_FILE,
		  .addr = (uintptr_t)t->token,
		  .len = (uint32_t)strlen(t->token) },
	};
	struct ring r;
	int none = -1;

	if (!ring_open(&r, a, 0))
		return;
	if (syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_FILES, &none, 1) < 0) {
		failed(a, "IORING_REGISTER_FILES");
	} else {
		for (int i = 0; i < 3; i++)
			ring_add(&r, &chain[i]);
		ring_run(&r, a, 3, NULL, "SOCKET, CONNECT, SEND");
	}
	close(r.fd);
}

CASE(uring_chain) = { .title = "io_uring, SOCKET, CONNECT and SEND in a chain",
		      .source = "field C33: bounty-challenge #19309, assay #2522",
		      .group = "io_uring",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .attempt = attempt };
