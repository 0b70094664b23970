// SPDX-License-Identifier: Apache-2.0
/* sendmsg() with an address. */
#include "../wire.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	tell_control(t, a, fd, t->addr, 0, 0, NULL, 0);
	close(fd);
}

CASE(udp_sendmsg) = { .title = "UDP, sendmsg()",
		      .source = "field C30: CVE-2026-25598",
		      .group = "udp",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .attempt = attempt };
