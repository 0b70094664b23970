// SPDX-License-Identifier: Apache-2.0
/* The host's own address on the job's link, by UDP. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_DGRAM, 0, t->host, t->host_port);
}

CASE(local_host_address_udp) = { .title = "UDP to the host's own address",
				 .source = "field B13",
				 .group = "local",
				 .families = FOUR | SIX,
				 .settings = EVERYWHERE,
				 .attempt = attempt };
