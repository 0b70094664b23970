// SPDX-License-Identifier: Apache-2.0
/* Where engines, systemd and D-Bus have theirs. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_open(a, t->run);

	if (fd >= 0)
		friend_tell(t, a, fd);
}

CASE(unix_run) = { .title = "A UNIX socket in /run (docker.sock, system bus)",
		   .source = "field C49: fence #186",
		   .group = "local",
		   .families = FOUR,
		   .settings = OWN | HOST,
		   .attempt = attempt };
