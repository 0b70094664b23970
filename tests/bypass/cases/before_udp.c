// SPDX-License-Identifier: Apache-2.0
/* Connected before anybody watched: no hook sees send(). */
#include "../case.h"

#include <errno.h>
#include <string.h>

static int before(const struct target *t)
{
	struct attempt a;

	return dial(&a, t->family, SOCK_DGRAM, 0, t->addr, t->port);
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

CASE(before_udp) = { .title = "A connected UDP socket from before",
		     .source = "bpf.md section 5; field C31",
		     .group = "lifecycle",
		     .families = FOUR | SIX,
		     .settings = OWN | BRIDGE | HOST,
		     .before = before,
		     .attempt = attempt };
