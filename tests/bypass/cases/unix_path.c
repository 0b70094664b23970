// SPDX-License-Identifier: Apache-2.0
/* A socket at a path that was there before the job: docker.sock, an agent, a bus. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_open(a, t->friend_);

	if (fd >= 0)
		friend_tell(t, a, fd);
}

CASE(unix_path) = { .title = "A UNIX socket by its path",
		    .source = "field C49: agent-safehouse #19, #20",
		    .group = "local",
		    .families = FOUR,
		    .settings = EVERYWHERE,
		    .lsm_only = BRIDGE | NONE,
		    .confined_only = true,
		    .attempt = attempt };
