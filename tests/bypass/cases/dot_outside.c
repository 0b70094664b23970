// SPDX-License-Identifier: Apache-2.0
/* DNS over TLS has a port of its own. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dns_tell(t, a, SOCK_STREAM, t->addr, 853, "%s.example", DNS_TXT);
}

CASE(dot_outside) = { .title = "Port 853 to an outside resolver",
		      .source = "field A2",
		      .group = "resolver",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .attempt = attempt };
