// SPDX-License-Identifier: Apache-2.0
/* The x32 numbers: bit 30 set. Debian's kernels have them, switched off at boot. */
#include "../wire.h"

#include "../abi.h"

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t packet[WIRE_MAX];
	long fd = syscall(0x40000000 | SYS_socket, AF_PACKET, SOCK_DGRAM, 0);

	if (fd < 0) {
		lacking(a, "socket(AF_PACKET) of x32");
		return;
	}
	packet_send(t, a, (int)fd, packet, wire_udp(t, packet));
	close((int)fd);
}

CASE(abix32_packet) = { .title = "A packet socket by an x32 number",
			.source = "field C46: celln #30",
			.group = "abi",
			.families = FOUR,
			.settings = LINKED,
			.expect = IMPOSSIBLE,
			.needs_root = true,
			.attempt = attempt };
