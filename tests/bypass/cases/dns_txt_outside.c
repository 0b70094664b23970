// SPDX-License-Identifier: Apache-2.0
/* TXT questions to a resolver whose address is in the malware. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dns_tell(t, a, SOCK_DGRAM, t->other, 53, "%s.txt.example", DNS_TXT);
}

CASE(dns_txt_outside) = { .title = "TXT to a hard-coded resolver",
			  .source = "field A7: node-ipc 12.0.1",
			  .group = "resolver",
			  .families = FOUR | SIX,
			  .settings = EVERYWHERE,
			  .attempt = attempt };
