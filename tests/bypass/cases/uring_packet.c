// SPDX-License-Identifier: Apache-2.0
/* A packet socket by IORING_OP_SOCKET: filters of the socket() call do not see it. */
#include "../wire.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_SOCKET,
				    .fd = AF_PACKET,
				    .off = SOCK_DGRAM };
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(t->family == AF_INET ? ETHERTYPE_IP
									     : ETHERTYPE_IPV6),
				  .sll_halen = 6 };
	uint8_t packet[WIRE_MAX];
	struct iovec iov = { packet, 0 };
	struct msghdr m = {
		.msg_name = &ll, .msg_namelen = sizeof(ll), .msg_iov = &iov, .msg_iovlen = 1
	};
	unsigned dev = 0;
	struct ring r;
	int fd = -1;

	if (!ring_open(&r, a, 0))
		return;
	ring_add(&r, &sqe);
	if (ring_run(&r, a, 1, &fd, "IORING_OP_SOCKET(AF_PACKET)") && link_index(t, a, &dev)) {
		ll.sll_ifindex = (int)dev;
		memset(ll.sll_addr, 0xff, 6);
		iov.iov_len = wire_udp(t, packet);
		sqe = (struct io_uring_sqe){
			.opcode = IORING_OP_SENDMSG, .fd = fd, .addr = (uintptr_t)&m, .len = 1
		};
		ring_add(&r, &sqe);
		ring_run(&r, a, 1, NULL, "IORING_OP_SENDMSG");
	}
	close(fd);
	close(r.fd);
}

CASE(uring_packet) = { .title = "io_uring, a packet socket",
		       .source = "bpf.md 5: io_uring SOCKET(AF_PACKET)",
		       .group = "io_uring",
		       .families = FOUR | SIX,
		       .settings = LINKED,
		       .needs_root = true,
		       .attempt = attempt };
