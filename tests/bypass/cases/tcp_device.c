// SPDX-License-Identifier: Apache-2.0
/* Bound to the link by name: a turned connection would follow the device, not the address. */
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
		join_and_tell(t, a, fd, t->family, t->addr, t->port);
	close(fd);
}

CASE(tcp_device) = { .title = "TCP, SO_BINDTODEVICE",
		     .source = "bpf.md 1",
		     .group = "tcp",
		     .families = FOUR | SIX,
		     .settings = LINKED,
		     .attempt = attempt };
