// SPDX-License-Identifier: Apache-2.0
/* A resolver in the job asks the link itself. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dns_tell(t, a, SOCK_DGRAM, t->family == AF_INET ? "224.0.0.251" : "ff15::fb", 5353,
		 "%s.local", DNS_TXT);
}

CASE(dns_mdns) = { .title = "mDNS to the link",
		   .source = "field A11, C39",
		   .group = "resolver",
		   .families = FOUR | SIX,
		   .settings = EVERYWHERE,
		   .attempt = attempt };
