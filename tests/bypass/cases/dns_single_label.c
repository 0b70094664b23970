// SPDX-License-Identifier: Apache-2.0
/* Search suffixes make a name of it; a resolver of an engine passes it on. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	resolver_tell(t, a, "%s", DNS_A);
}

CASE(dns_single_label) = { .title = "A name of one label",
			   .source = "field A5, A8",
			   .group = "resolver",
			   .families = FOUR,
			   .settings = EVERYWHERE,
			   .attempt = attempt };
