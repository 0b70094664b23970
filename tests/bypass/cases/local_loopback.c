// SPDX-License-Identifier: Apache-2.0
/* What the host serves to itself. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_STREAM, 0, t->family == AF_INET ? "127.0.0.1" : "::1",
		      t->host_port);
}

CASE(local_loopback) = { .title = "TCP to the host's loopback",
			 .source = "field C44; bpf.md surprise 4",
			 .group = "local",
			 .families = FOUR | SIX,
			 .settings = EVERYWHERE,
			 .attempt = attempt };
