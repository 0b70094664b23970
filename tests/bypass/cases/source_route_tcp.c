// SPDX-License-Identifier: Apache-2.0
/* A connection to loopback by name, whose SYN goes to the target with the token in it. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t route[12];
	int fd = sock_open(a, AF_INET, SOCK_STREAM, 0, "socket");

	if (fd < 0)
		return;
	if (setsockopt(fd, IPPROTO_IP, IP_OPTIONS, route, (socklen_t)source_route(t, 131, route)))
		failed(a, "IP_OPTIONS");
	else
		tell_in_syn(t, a, fd, AF_INET, "127.0.0.1");
	close(fd);
}

CASE(source_route_tcp) = { .title = "IPv4 source route, TCP to loopback, data in the SYN",
			   .source = "bpf.md 0 (3) and 5",
			   .group = "header",
			   .families = FOUR,
			   .settings = EVERYWHERE,
			   .attempt = attempt };
