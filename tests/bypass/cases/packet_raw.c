// SPDX-License-Identifier: Apache-2.0
/* A whole frame: below every hook of cgroups. */
#include "../wire.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t frame[WIRE_MAX];
	size_t n = wire_ether(t, frame, 0);
	int fd = packet_open(a, SOCK_RAW);

	if (fd < 0)
		return;
	packet_send(t, a, fd, frame, n + wire_udp(t, frame + n));
	close(fd);
}

CASE(packet_raw) = { .title = "AF_PACKET, SOCK_RAW",
		     .source = "field C34: bullfrog README, egress-filter",
		     .group = "link",
		     .families = FOUR | SIX,
		     .settings = LINKED,
		     .needs_root = true,
		     .attempt = attempt };
