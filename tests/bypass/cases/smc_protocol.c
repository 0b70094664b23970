// SPDX-License-Identifier: Apache-2.0
/* SMC by its number as a protocol of AF_INET (Linux 6.11): a filter by family sees AF_INET. */
#include "../wire.h"

#include <netinet/in.h>

#define IPPROTO_SMC_ 256

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_STREAM, IPPROTO_SMC_, t->addr, t->port);
}

CASE(smc_protocol) = { .title = "SMC as a protocol of AF_INET",
		       .source = "own; include/uapi/linux/in.h: IPPROTO_SMC",
		       .group = "sockets",
		       .families = FOUR | SIX,
		       .settings = EVERYWHERE,
		       .expect = GUEST,
		       .attempt = attempt };
