// SPDX-License-Identifier: Apache-2.0
/* The old path of a resolver stays with its socket. */
#include "../case.h"

#include <errno.h>
#include <string.h>

static int before(const struct target *t)
{
	struct attempt a;

	return dial(&a, t->family, SOCK_DGRAM, 0, t->addr, 53);
}

static void attempt(const struct target *t, struct attempt *a)
{
	if (t->early < 0) {
		errno = EBADF;
		failed(a, "nothing from before was handed on");
		return;
	}
	if (send(t->early, t->token, strlen(t->token), MSG_NOSIGNAL) < 0)
		failed(a, "send");
}

CASE(before_dns) = { .title = "A DNS socket from before",
		     .source = "field A10: cargowall",
		     .group = "lifecycle",
		     .families = FOUR | SIX,
		     .settings = OWN | BRIDGE | HOST,
		     .before = before,
		     .attempt = attempt };
