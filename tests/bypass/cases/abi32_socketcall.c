// SPDX-License-Identifier: Apache-2.0
/* A packet socket by socketcall: the family is in memory, where no seccomp filter looks. */
#include "../wire.h"

#include "../abi.h"

static void attempt(const struct target *t, struct attempt *a)
{
	const uint32_t args[3] = { AF_PACKET, SOCK_DGRAM, 0 };
	uint8_t packet[WIRE_MAX];
	char *low = low_page();
	long fd;

	if (!low) {
		errno = ENOSYS;
		lacking(a, "no memory below 4 GiB");
		return;
	}
	memcpy(low, args, sizeof(args));
	fd = call32(NR32_SOCKETCALL, 1, (long)low, 0, 0, 0, 0);
	if (fd < 0) {
		lacking(a, "socketcall(AF_PACKET)");
		return;
	}
	packet_send(t, a, (int)fd, packet, wire_udp(t, packet));
	close((int)fd);
}

CASE(abi32_socketcall) = { .title = "A packet socket by socketcall (int 0x80)",
			   .source = "field C46: celln #30; bpf.md 5: int 0x80",
			   .group = "abi",
			   .families = FOUR | SIX,
			   .settings = LINKED,
			   .needs_root = true,
			   .attempt = attempt };
