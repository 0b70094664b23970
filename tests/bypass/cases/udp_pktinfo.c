// SPDX-License-Identifier: Apache-2.0
/* Device and source of one datagram by a control message: to the target, and to loopback by the
 * link. */
#include "../wire.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static bool once(const struct target *t, struct attempt *a, int fd, unsigned dev, const char *to)
{
	struct in_pktinfo four = { .ipi_ifindex = (int)dev };
	struct in6_pktinfo six = { .ipi6_ifindex = dev };

	if (t->family == AF_INET)
		return tell_control(t, a, fd, to, IPPROTO_IP, IP_PKTINFO, &four, sizeof(four));
	return tell_control(t, a, fd, to, IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof(six));
}

static void attempt(const struct target *t, struct attempt *a)
{
	unsigned dev = 0;
	int fd;

	if (!link_index(t, a, &dev))
		return;
	fd = udp_open(t, a);
	if (fd < 0)
		return;
	once(t, a, fd, dev, loopback(t->family));
	if (once(t, a, fd, dev, t->addr))
		a->err = 0;
	close(fd);
}

CASE(udp_pktinfo) = { .title = "UDP, device by IP_PKTINFO",
		      .source = "bpf.md 1: the device goes before the address",
		      .group = "udp",
		      .families = FOUR | SIX,
		      .settings = LINKED,
		      .attempt = attempt };
