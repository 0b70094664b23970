// SPDX-License-Identifier: Apache-2.0
/* What the host serves to itself, by UDP. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_DGRAM, 0, t->family == AF_INET ? "127.0.0.1" : "::1",
		      t->host_port);
}

CASE(local_loopback_udp) = { .title = "UDP to the host's loopback",
			     .source = "bpf.md surprise 4",
			     .group = "local",
			     .families = FOUR | SIX,
			     .settings = EVERYWHERE,
			     .attempt = attempt };
