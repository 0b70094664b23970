// SPDX-License-Identifier: Apache-2.0
/* Established before anybody watched. */
#include "../case.h"

#include <errno.h>
#include <string.h>

static int before(const struct target *t)
{
	struct attempt a;

	return dial(&a, t->family, SOCK_STREAM, 0, t->addr, t->port);
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

CASE(before_tcp) = { .title = "A TCP connection from before",
		     .source = "bpf.md section 5; field A10, C43",
		     .group = "lifecycle",
		     .families = FOUR | SIX,
		     .settings = OWN | BRIDGE | HOST,
		     .before = before,
		     .attempt = attempt };
