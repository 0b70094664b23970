// SPDX-License-Identifier: Apache-2.0
/* 0.0.0.0 and :: by UDP. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_DGRAM, 0, t->family == AF_INET ? "0.0.0.0" : "::", t->host_port);
}

CASE(local_unspecified_udp) = { .title = "UDP to the unspecified address",
				.source = "bpf.md surprise 4",
				.group = "local",
				.families = FOUR | SIX,
				.settings = EVERYWHERE,
				.attempt = attempt };
