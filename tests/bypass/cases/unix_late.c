// SPDX-License-Identifier: Apache-2.0
/* The same, made after the job began: nothing that was hidden at its start covers it. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_open(a, t->late);

	if (fd >= 0)
		friend_tell(t, a, fd);
}

CASE(unix_late) = { .title = "A UNIX socket that is made later",
		    .source = "docs/threat-model.md; field C49",
		    .group = "local",
		    .families = FOUR,
		    .settings = EVERYWHERE,
		    .lsm_only = EVERYWHERE | ATTACH,
		    .confined_only = true,
		    .attempt = attempt };
