// SPDX-License-Identifier: Apache-2.0
/* A source address that is not the host's own (IP_TRANSPARENT, IP_FREEBIND). */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->family == AF_INET ? "198.51.100.77" : "2001:db8:51::77",
			      0, &ss);
	int level = t->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, on = 1, fd = udp_open(t, a);

	if (fd < 0)
		return;
	/* Transparent needs a capability (NET_RAW is enough), freebind none: but its packets need
	 * a route that takes them. */
	(void)setsockopt(fd, level, t->family == AF_INET ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on,
			 sizeof(on));
	(void)setsockopt(fd, level, t->family == AF_INET ? IP_FREEBIND : IPV6_FREEBIND, &on,
			 sizeof(on));
	if (bind(fd, (struct sockaddr *)&ss, n))
		failed(a, "bind to a foreign address");
	else
		send_token(t, a, fd, t->addr, t->port);
	close(fd);
}

CASE(foreign_source) = { .title = "UDP from an address that is not one's own",
			 .source = "own",
			 .group = "udp",
			 .families = FOUR | SIX,
			 .settings = LINKED,
			 .needs_root = true,
			 .attempt = attempt };
