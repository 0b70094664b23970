// SPDX-License-Identifier: Apache-2.0
/* Fast Open connects and sends in one call that is not connect(); without a cookie the token is in
 * the SYN. */
#include "../wire.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = sock_open(a, t->family, SOCK_STREAM, 0, "socket");

	if (fd < 0)
		return;
	tell_in_syn(t, a, fd, t->family, t->addr);
	close(fd);
}

CASE(tfo_sendto) = { .title = "TCP Fast Open, sendto(MSG_FASTOPEN)",
		     .source = "field C32: landlock-lsm/linux #41",
		     .group = "tcp",
		     .families = FOUR | SIX,
		     .settings = EVERYWHERE,
		     .attempt = attempt };
