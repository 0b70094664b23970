// SPDX-License-Identifier: Apache-2.0
/* The packet by hand, the frame by the kernel. */
#include "../wire.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t packet[WIRE_MAX];
	int fd = packet_open(a, SOCK_DGRAM);

	if (fd < 0)
		return;
	packet_send(t, a, fd, packet, wire_udp(t, packet));
	close(fd);
}

CASE(packet_dgram) = { .title = "AF_PACKET, SOCK_DGRAM",
		       .source = "field C34",
		       .group = "link",
		       .families = FOUR | SIX,
		       .settings = LINKED,
		       .needs_root = true,
		       .attempt = attempt };
