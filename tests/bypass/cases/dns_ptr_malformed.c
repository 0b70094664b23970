// SPDX-License-Identifier: Apache-2.0
/* Reverse names are let through by filters that never look at what is before .arpa. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	resolver_tell(t, a, "%s.x.in-addr.arpa", DNS_PTR);
}

CASE(dns_ptr_malformed) = { .title = "A reverse name that is none",
			    .source = "field A8: cargowall",
			    .group = "resolver",
			    .families = FOUR,
			    .settings = EVERYWHERE,
			    .attempt = attempt };
