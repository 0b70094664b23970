// SPDX-License-Identifier: Apache-2.0
/* dig +tcp: the filter spoke UDP only. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dns_tell(t, a, SOCK_STREAM, t->addr, 53, "%s.example", DNS_A);
}

CASE(dns_tcp_outside) = { .title = "DNS over TCP to an outside resolver",
			  .source = "field A1: CVE-2026-32946, CVE-2025-47775",
			  .group = "resolver",
			  .families = FOUR | SIX,
			  .settings = EVERYWHERE,
			  .attempt = attempt };
