// SPDX-License-Identifier: Apache-2.0
/* The address named is loopback, which many walls let pass; the device makes the SYN, with its
 * data, leave by the link. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	unsigned dev = 0;
	int fd;

	if (!link_index(t, a, &dev))
		return;
	fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");
	if (fd < 0)
		return;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, t->dev, (socklen_t)strlen(t->dev)))
		failed(a, "SO_BINDTODEVICE");
	else
		tell_in_syn(t, a, fd, t->family, loopback(t->family));
	close(fd);
}

CASE(tcp_loopback_by_device) = { .title = "TCP to loopback, bound to the link, data in the SYN",
				 .source = "bpf.md 1: a martian frame leaves",
				 .group = "tcp",
				 .families = FOUR | SIX,
				 .settings = LINKED,
				 .attempt = attempt };
