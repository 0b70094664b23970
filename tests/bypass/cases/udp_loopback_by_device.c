// SPDX-License-Identifier: Apache-2.0
/* To loopback in words, by the link in deed: the bound device decides. */
#include "../wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	unsigned dev = 0, dev_be;
	int fd;

	if (!link_index(t, a, &dev))
		return;
	fd = udp_open(t, a);
	if (fd < 0)
		return;
	dev_be = htonl(dev);
	(void)setsockopt(fd, t->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
			 t->family == AF_INET ? IP_UNICAST_IF : IPV6_UNICAST_IF, &dev_be,
			 sizeof(dev_be));
	send_token(t, a, fd, loopback(t->family), t->port);
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, t->dev, (socklen_t)strlen(t->dev)))
		failed(a, "SO_BINDTODEVICE");
	else if (send_token(t, a, fd, loopback(t->family), t->port))
		a->err = 0;
	close(fd);
	/* Bound after connect(), when the hook has looked. */
	fd = udp_open(t, a);
	if (fd < 0)
		return;
	{
		struct sockaddr_storage ss;
		socklen_t n = sa_make(t->family, loopback(t->family), t->port, &ss);

		if (connect(fd, (struct sockaddr *)&ss, n) == 0 &&
		    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, t->dev,
			       (socklen_t)strlen(t->dev)) == 0 &&
		    tell(t, a, fd, 0))
			a->err = 0;
	}
	close(fd);
}

CASE(udp_loopback_by_device) = { .title = "UDP to loopback, bound to the link before and after",
				 .source = "bpf.md 1",
				 .group = "udp",
				 .families = FOUR | SIX,
				 .settings = LINKED,
				 .attempt = attempt };
