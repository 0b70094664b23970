// SPDX-License-Identifier: Apache-2.0
/* 0.0.0.0 and :: are the own host: through a proxy on the host they are the proxy's. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_STREAM, 0, t->family == AF_INET ? "0.0.0.0" : "::", t->host_port);
}

CASE(local_unspecified) = { .title = "TCP to the unspecified address",
			    .source = "bpf.md surprise 4; field B24",
			    .group = "local",
			    .families = FOUR | SIX,
			    .settings = EVERYWHERE,
			    .attempt = attempt };
