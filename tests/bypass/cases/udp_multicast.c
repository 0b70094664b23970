// SPDX-License-Identifier: Apache-2.0
/* To a group, by the link: data, not the report of membership. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	unsigned dev = 0;
	struct ip_mreqn four = { 0 };
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	if (link_index(t, a, &dev)) {
		four.imr_ifindex = (int)dev;
		if (t->family == AF_INET)
			setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &four, sizeof(four));
		else
			setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &dev, sizeof(dev));
		send_token(t, a, fd, t->family == AF_INET ? "224.0.0.251" : "ff02::fb", 5353);
	}
	close(fd);
}

CASE(udp_multicast) = { .title = "UDP, multicast (as mDNS)",
			.source = "field C39: cargowall passes multicast",
			.group = "udp",
			.families = FOUR | SIX,
			.settings = LINKED,
			.attempt = attempt };
