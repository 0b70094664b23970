// SPDX-License-Identifier: Apache-2.0
/* A packet with options: what follows the address's header is not where it is looked for. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t route[12];
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	if (setsockopt(fd, IPPROTO_IP, IP_OPTIONS, route, (socklen_t)source_route(t, 7, route)))
		failed(a, "IP_OPTIONS");
	else
		send_token(t, a, fd, t->addr, t->port);
	close(fd);
}

CASE(record_route) = { .title = "IPv4 record route option",
		       .source = "own; bpf.md 5",
		       .group = "header",
		       .families = FOUR,
		       .settings = EVERYWHERE,
		       .attempt = attempt };
