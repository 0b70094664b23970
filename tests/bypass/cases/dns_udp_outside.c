// SPDX-License-Identifier: Apache-2.0
/* Port 53 is let through to any address, because a resolver must be asked. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dns_tell(t, a, SOCK_DGRAM, t->addr, 53, "%s.example", DNS_A);
}

CASE(dns_udp_outside) = { .title = "DNS over UDP to an outside resolver",
			  .source = "field A3: gh-aw-firewall #9, kntrl #26",
			  .group = "resolver",
			  .families = FOUR | SIX,
			  .settings = EVERYWHERE,
			  .attempt = attempt };
