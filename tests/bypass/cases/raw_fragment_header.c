// SPDX-License-Identifier: Apache-2.0
/* A fragment header by a raw socket of that protocol: UDP lies behind it. */
#include "../wire.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = sock_open(a, AF_INET6, SOCK_RAW, IPPROTO_FRAGMENT, "socket(IPPROTO_FRAGMENT)");
	uint8_t packet[WIRE_MAX], part[WIRE_MAX] = { IPPROTO_UDP };
	size_t n = wire_udp(t, packet) - 40;
	struct sockaddr_storage ss;
	socklen_t sn = sa_make(t->family, t->addr, 0, &ss);

	if (fd < 0)
		return;
	memcpy(part + 8, packet + 40, n);
	if (sendto(fd, part, 8 + n, 0, (struct sockaddr *)&ss, sn) < 0)
		failed(a, "sendto");
	close(fd);
}

CASE(raw_fragment_header) = { .title = "IPv6 fragment header by a raw socket",
			      .source = "field C40",
			      .group = "header",
			      .families = SIX,
			      .settings = LINKED,
			      .needs_root = true,
			      .attempt = attempt };
