// SPDX-License-Identifier: Apache-2.0
/* Names under .local and .internal are often passed on unread. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	resolver_tell(t, a, "%s.svc.internal", DNS_A);
}

CASE(dns_local_suffix) = { .title = "A name under .internal",
			   .source = "field A11",
			   .group = "resolver",
			   .families = FOUR,
			   .settings = EVERYWHERE,
			   .attempt = attempt };
