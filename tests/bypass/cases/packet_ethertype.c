// SPDX-License-Identifier: Apache-2.0
/* Neither IP nor ARP: walls that read addresses have nothing to read. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t frame[WIRE_MAX];
	size_t n = wire_ether(t, frame, 0x88b5), len = strlen(t->token); /* for local experiments */
	int fd = packet_open(a, SOCK_RAW);

	if (fd < 0)
		return;
	memcpy(frame + n, t->token, len);
	packet_send(t, a, fd, frame, n + len);
	close(fd);
}

CASE(packet_ethertype) = { .title = "A frame of an own ethertype",
			   .source = "own; field C40",
			   .group = "link",
			   .families = FOUR,
			   .settings = LINKED,
			   .needs_root = true,
			   .attempt = attempt };
