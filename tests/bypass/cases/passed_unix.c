// SPDX-License-Identifier: Apache-2.0
/* A UNIX connection that somebody else opened. */
#include "../case.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_any(t, a), got;

	if (fd < 0)
		return;
	got = friend_give(t, a, fd, "unix");
	if (got < 0)
		return;
	friend_tell(t, a, got);
	close(got);
}

CASE(passed_unix) = { .title = "A connected UNIX socket by SCM_RIGHTS",
		      .source = "bpf.md section 5, foreign sockets; surprise 2",
		      .group = "local",
		      .families = FOUR,
		      .settings = EVERYWHERE,
		      .lsm_only = EVERYWHERE,
		      .confined_only = true,
		      .attempt = attempt };
