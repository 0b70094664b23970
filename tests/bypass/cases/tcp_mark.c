// SPDX-License-Identifier: Apache-2.0
/* A mark that the enforcer's own rules let pass; the numbers are those that products in the field
 * use. */
#include "../wire.h"

#include <errno.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const unsigned marks[] = { 1, 2, 0x200, 0xf00, 0x4000, 1337, 0xffffffff };

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		int fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");

		if (fd < 0)
			return;
		/* Since Linux 5.17 CAP_NET_RAW is enough. */
		if (setsockopt(fd, SOL_SOCKET, SO_MARK, &marks[i], sizeof(marks[i])))
			failed(a, "SO_MARK");
		else
			join_and_tell(t, a, fd, t->family, t->addr, t->port);
		close(fd);
		if (a->err == EPERM || a->err == 0)
			return;
	}
}

CASE(tcp_mark) = { .title = "TCP, SO_MARK",
		   .source = "field C42: egress-filter AUDIT S3",
		   .group = "tcp",
		   .families = FOUR | SIX,
		   .settings = EVERYWHERE,
		   .needs_root = true,
		   .attempt = attempt };
