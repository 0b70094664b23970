// SPDX-License-Identifier: Apache-2.0
/* Connected, then without any address: no sendmsg hook sees it. */
#include "../wire.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	join_and_tell(t, a, fd, t->family, t->addr, t->port);
	close(fd);
}

CASE(udp_connect) = { .title = "UDP, connect() and send()",
		      .source = "field C31: egress-filter BPF comments",
		      .group = "udp",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .attempt = attempt };
