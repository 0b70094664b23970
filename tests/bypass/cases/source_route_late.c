// SPDX-License-Identifier: Apache-2.0
/* The route is set after connect(): the hooks have long looked. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(AF_INET, "127.0.0.1", t->port, &ss);
	uint8_t route[12];
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	/* From loopback's own address no source route is taken. */
	if (t->self[0]) {
		struct sockaddr_storage self;
		socklen_t sn = sa_make(AF_INET, t->self, 0, &self);

		(void)bind(fd, (struct sockaddr *)&self, sn);
	}
	if (connect(fd, (struct sockaddr *)&ss, n))
		failed(a, "connect");
	else if (setsockopt(fd, IPPROTO_IP, IP_OPTIONS, route,
			    (socklen_t)source_route(t, 131, route)))
		failed(a, "IP_OPTIONS");
	else
		tell(t, a, fd, 0);
	/* A connected socket keeps its route: a name makes the kernel ask again. */
	if (send_token(t, a, fd, "127.0.0.1", t->port))
		a->err = 0;
	close(fd);
}

CASE(source_route_late) = { .title = "IPv4 source route, set after connect()",
			    .source = "own; bpf.md 0 (3)",
			    .group = "header",
			    .families = FOUR,
			    .settings = LINKED,
			    .attempt = attempt };
