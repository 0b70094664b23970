// SPDX-License-Identifier: Apache-2.0
/* A resolver that recurses carries the name to whoever serves its zone. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	resolver_tell(t, a, "%s.attacker.example", DNS_ANY);
}

CASE(dns_any) = { .title = "ANY through the permitted resolver",
		  .source = "field A9",
		  .group = "resolver",
		  .families = FOUR,
		  .settings = EVERYWHERE,
		  .attempt = attempt };
