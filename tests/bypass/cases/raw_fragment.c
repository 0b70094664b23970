// SPDX-License-Identifier: Apache-2.0
/* A last fragment without ports and without a first: who judges by ports has none. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = sock_open(a, t->family, SOCK_RAW, IPPROTO_RAW, "socket(IPPROTO_RAW)");
	struct sockaddr_storage ss;
	uint8_t packet[WIRE_MAX];
	socklen_t n = sa_make(t->family, t->addr, 0, &ss);

	if (fd < 0)
		return;
	if (sendto(fd, packet, wire_late(t, packet), 0, (struct sockaddr *)&ss, n) < 0)
		failed(a, "sendto");
	close(fd);
}

CASE(raw_fragment) = { .title = "Raw socket, a later fragment alone",
		       .source = "field C40: cargowall design.md",
		       .group = "header",
		       .families = FOUR | SIX,
		       .settings = LINKED,
		       .needs_root = true,
		       .attempt = attempt };
