// SPDX-License-Identifier: Apache-2.0
/* A UNIX connection to who is outside, from before. */
#include "../case.h"

#include <errno.h>

static int before(const struct target *t)
{
	struct attempt a;

	return friend_any(t, &a);
}

static void attempt(const struct target *t, struct attempt *a)
{
	if (t->early < 0) {
		errno = EBADF;
		failed(a, "nothing from before was handed on");
		return;
	}
	friend_tell(t, a, t->early);
}

CASE(before_unix) = { .title = "A connected UNIX socket from before",
		      .source = "field C49",
		      .group = "lifecycle",
		      .families = FOUR,
		      .settings = OWN | BRIDGE | HOST,
		      .before = before,
		      .lsm_only = EVERYWHERE | ATTACH | FIRST,
		      .confined_only = true,
		      .attempt = attempt };
