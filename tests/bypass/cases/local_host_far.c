// SPDX-License-Identifier: Apache-2.0
/* Another address that the host owns: who refuses the gateway only lets it pass. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_STREAM, 0,
		      t->family == AF_INET ? "198.51.100.1" : "2001:db8:51::1", t->host_port);
}

CASE(local_host_far) = { .title = "TCP to the host's address on another link",
			 .source = "field C44",
			 .group = "local",
			 .families = FOUR | SIX,
			 .settings = EVERYWHERE,
			 .attempt = attempt };
