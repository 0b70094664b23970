// SPDX-License-Identifier: Apache-2.0
/* Loopback is sixteen million addresses. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_STREAM, 0, "127.9.8.7", t->host_port);
}

CASE(local_loopback_other) = { .title = "TCP to 127.9.8.7",
			       .source = "field B24",
			       .group = "local",
			       .families = FOUR,
			       .settings = EVERYWHERE,
			       .attempt = attempt };
