// SPDX-License-Identifier: Apache-2.0
/* Abstract names have no file that could be hidden; they are the network namespace's. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_abstract(a, t->abstract);

	if (fd >= 0)
		friend_tell(t, a, fd);
}

CASE(unix_abstract) = { .title = "An abstract UNIX socket",
			.source = "field C49",
			.group = "local",
			.families = FOUR,
			.settings = EVERYWHERE,
			.attempt = attempt };
