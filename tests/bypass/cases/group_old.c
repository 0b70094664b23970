// SPDX-License-Identifier: Apache-2.0
/* The same by the options of old, which name the link by address or number. */
#include "../wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage group;
	struct ip_mreq four = { 0 };
	struct ipv6_mreq six = { 0 };
	unsigned dev = 0;
	int fd, r;

	if (!link_index(t, a, &dev))
		return;
	fd = udp_open(t, a);
	if (fd < 0)
		return;
	token_group(t, &group);
	if (t->family == AF_INET) {
		four.imr_multiaddr = ((struct sockaddr_in *)&group)->sin_addr;
		inet_pton(AF_INET, t->self, &four.imr_interface);
		r = setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &four, sizeof(four));
	} else {
		six.ipv6mr_multiaddr = ((struct sockaddr_in6 *)&group)->sin6_addr;
		six.ipv6mr_interface = dev;
		/* Also as an address of anycast, whose join is another code path. */
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_ANYCAST, &six, sizeof(six));
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &six, sizeof(six));
	}
	if (r)
		failed(a, "IP_ADD_MEMBERSHIP");
	else
		(void)poll(NULL, 0, 100);
	close(fd);
}

CASE(group_old) = { .title = "Multicast membership report, IP_ADD_MEMBERSHIP",
		    .source = "bpf.md 5, last row",
		    .group = "multicast",
		    .families = FOUR | SIX,
		    .settings = LINKED,
		    .by_group = true,
		    .wait_ms = 300,
		    .attempt = attempt };
