// SPDX-License-Identifier: Apache-2.0
/* Every cgroup hook goes by the socket's maker, not by who uses it. */
#include "../case.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_any(t, a), got;

	if (fd < 0)
		return;
	got = friend_give(t, a, fd, "tcp");
	if (got < 0)
		return;
	if (send(got, t->token, strlen(t->token), MSG_NOSIGNAL) < 0)
		failed(a, "send");
	close(got);
}

CASE(passed_tcp) = { .title = "A connected TCP socket by SCM_RIGHTS",
		     .source = "bpf.md section 5, foreign sockets; surprise 2",
		     .group = "local",
		     .families = FOUR | SIX,
		     .settings = EVERYWHERE,
		     .lsm_only = EVERYWHERE,
		     .attempt = attempt };
