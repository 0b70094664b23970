// SPDX-License-Identifier: Apache-2.0
/* One tag and two: who reads the packet at a fixed place reads the tag. */
#include "../wire.h"

#include <unistd.h>

static void tagged(const struct target *t, struct attempt *a, int fd, unsigned tags)
{
	uint8_t frame[WIRE_MAX];
	uint16_t inner = t->family == AF_INET ? 0x0800 : 0x86dd;
	size_t n = wire_ether(t, frame, tags == 2 ? 0x88a8 : 0x8100);

	while (tags--) {
		uint16_t next = tags ? 0x8100 : inner;

		frame[n++] = 0;
		frame[n++] = 7;
		frame[n++] = (uint8_t)(next >> 8);
		frame[n++] = (uint8_t)next;
	}
	packet_send(t, a, fd, frame, n + wire_udp(t, frame + n));
}

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = packet_open(a, SOCK_RAW);

	if (fd < 0)
		return;
	tagged(t, a, fd, 1);
	tagged(t, a, fd, 2);
	close(fd);
}

CASE(packet_vlan) = { .title = "A frame with VLAN tags",
		      .source = "field C40: VLAN/QinQ tags must be parsed",
		      .group = "link",
		      .families = FOUR | SIX,
		      .settings = LINKED,
		      .needs_root = true,
		      .attempt = attempt };
