// SPDX-License-Identifier: Apache-2.0
/* The monitor that looks at connect() only does not see this. */
#include "../wire.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	send_token(t, a, fd, t->addr, t->port);
	close(fd);
}

CASE(udp_sendto) = { .title = "UDP, sendto()",
		     .source = "field C30: CVE-2026-25598",
		     .group = "udp",
		     .families = FOUR | SIX,
		     .settings = EVERYWHERE,
		     .attempt = attempt };
