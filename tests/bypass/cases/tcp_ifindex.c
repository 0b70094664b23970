// SPDX-License-Identifier: Apache-2.0
/* The same by number, and with the route's device asked for by IP_UNICAST_IF. */
#include "../wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	unsigned dev = 0, dev_be;
	int fd;

	if (!link_index(t, a, &dev))
		return;
	dev_be = htonl(dev);
	fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");
	if (fd < 0)
		return;
	(void)setsockopt(fd, t->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
			 t->family == AF_INET ? IP_UNICAST_IF : IPV6_UNICAST_IF, &dev_be,
			 sizeof(dev_be));
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &dev, sizeof(dev)))
		failed(a, "SO_BINDTOIFINDEX");
	else
		join_and_tell(t, a, fd, t->family, t->addr, t->port);
	close(fd);
}

CASE(tcp_ifindex) = { .title = "TCP, SO_BINDTOIFINDEX and IP_UNICAST_IF",
		      .source = "bpf.md 1",
		      .group = "tcp",
		      .families = FOUR | SIX,
		      .settings = LINKED,
		      .attempt = attempt };
