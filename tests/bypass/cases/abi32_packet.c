// SPDX-License-Identifier: Apache-2.0
/* The same by the newer number of socket() of that ABI. */
#include "../wire.h"

#include "../abi.h"

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t packet[WIRE_MAX];
	long fd = call32(NR32_SOCKET, AF_PACKET, SOCK_DGRAM, 0, 0, 0, 0);

	if (fd < 0) {
		lacking(a, "socket(AF_PACKET) by int 0x80");
		return;
	}
	packet_send(t, a, (int)fd, packet, wire_udp(t, packet));
	close((int)fd);
}

CASE(abi32_packet) = { .title = "A packet socket by socket() of int 0x80",
		       .source = "field C46: celln #30; bpf.md 5: int 0x80",
		       .group = "abi",
		       .families = FOUR | SIX,
		       .settings = LINKED,
		       .needs_root = true,
		       .attempt = attempt };
