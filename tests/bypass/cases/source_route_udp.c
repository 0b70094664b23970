// SPDX-License-Identifier: Apache-2.0
/* The name is loopback, the way is by the target: loose and strict source routes in IP_OPTIONS. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const uint8_t types[] = { 131, 137 };
	uint8_t route[12];
	bool any = false;

	for (int i = 0; i < 2; i++) {
		int fd = udp_open(t, a);

		if (fd < 0)
			return;
		if (setsockopt(fd, IPPROTO_IP, IP_OPTIONS, route,
			       (socklen_t)source_route(t, types[i], route)))
			failed(a, "IP_OPTIONS");
		else
			any |= send_token(t, a, fd, "127.0.0.1", t->port);
		close(fd);
	}
	if (any)
		a->err = 0;
}

CASE(source_route_udp) = { .title = "IPv4 source route (LSRR, SSRR), UDP to loopback",
			   .source = "bpf.md 0 (3) and 5",
			   .group = "header",
			   .families = FOUR,
			   .settings = EVERYWHERE,
			   .attempt = attempt };
