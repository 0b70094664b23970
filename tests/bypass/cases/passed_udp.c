// SPDX-License-Identifier: Apache-2.0
/* A socket of outside, to an address of one's own choice. */
#include "../case.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_any(t, a), got;

	if (fd < 0)
		return;
	got = friend_give(t, a, fd, "udp");
	if (got < 0)
		return;
	send_token(t, a, got, t->addr, t->port);
	close(got);
}

CASE(passed_udp) = { .title = "An unconnected UDP socket by SCM_RIGHTS",
		     .source = "bpf.md section 5, foreign sockets; surprise 2",
		     .group = "local",
		     .families = FOUR | SIX,
		     .settings = EVERYWHERE,
		     .lsm_only = EVERYWHERE,
		     .attempt = attempt };
