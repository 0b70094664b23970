// SPDX-License-Identifier: Apache-2.0
/* IPv4 loopback by an IPv6 socket. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_STREAM, 0, "::ffff:127.0.0.1", t->host_port);
}

CASE(local_loopback_mapped) = { .title = "TCP to ::ffff:127.0.0.1",
				.source = "field C37",
				.group = "local",
				.families = SIX,
				.settings = EVERYWHERE,
				.attempt = attempt };
