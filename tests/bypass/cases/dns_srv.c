// SPDX-License-Identifier: Apache-2.0
/* Some filters look at A and AAAA only. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	resolver_tell(t, a, "_%s._tcp.attacker.example", DNS_SRV);
}

CASE(dns_srv) = { .title = "SRV through the permitted resolver",
		  .source = "field A9: bullfrog #94",
		  .group = "resolver",
		  .families = FOUR,
		  .settings = EVERYWHERE,
		  .attempt = attempt };
