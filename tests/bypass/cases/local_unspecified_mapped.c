// SPDX-License-Identifier: Apache-2.0
/* The same in the form that slips through checks of 0.0.0.0 and of ::. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_STREAM, 0, "::ffff:0.0.0.0", t->host_port);
}

CASE(local_unspecified_mapped) = { .title = "TCP to ::ffff:0.0.0.0",
				   .source = "bpf.md surprise 4",
				   .group = "local",
				   .families = SIX,
				   .settings = EVERYWHERE,
				   .attempt = attempt };
