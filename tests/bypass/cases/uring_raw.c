// SPDX-License-Identifier: Apache-2.0
/* The same with a raw socket. */
#include "../wire.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_SOCKET, .fd = t->family, .off = SOCK_RAW, .len = IPPROTO_RAW
	};
	struct sockaddr_storage ss;
	uint8_t packet[WIRE_MAX];
	struct iovec iov = { packet, wire_udp(t, packet) };
	struct msghdr m = { .msg_name = &ss,
			    .msg_namelen = sa_make(t->family, t->addr, 0, &ss),
			    .msg_iov = &iov,
			    .msg_iovlen = 1 };
	struct ring r;
	int fd = -1;

	if (!ring_open(&r, a, 0))
		return;
	ring_add(&r, &sqe);
	if (ring_run(&r, a, 1, &fd, "IORING_OP_SOCKET(SOCK_RAW)")) {
		sqe = (struct io_uring_sqe){
			.opcode = IORING_OP_SENDMSG, .fd = fd, .addr = (uintptr_t)&m, .len = 1
		};
		ring_add(&r, &sqe);
		ring_run(&r, a, 1, NULL, "IORING_OP_SENDMSG");
	}
	close(fd);
	close(r.fd);
}

CASE(uring_raw) = { .title = "io_uring, a raw socket",
		    .source = "bpf.md 5: raw via io_uring SOCKET",
		    .group = "io_uring",
		    .families = FOUR | SIX,
		    .settings = LINKED,
		    .needs_root = true,
		    .attempt = attempt };
