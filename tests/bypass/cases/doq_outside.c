// SPDX-License-Identifier: Apache-2.0
/* DNS over QUIC: UDP on the port of DoT. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dns_tell(t, a, SOCK_DGRAM, t->addr, 853, "%s.example", DNS_TXT);
}

CASE(doq_outside) = { .title = "UDP 853 to an outside resolver",
		      .source = "RFC 9250; field C38",
		      .group = "resolver",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .attempt = attempt };
