// SPDX-License-Identifier: Apache-2.0
/* The plainest way, and the measure of the rig: where this does not get out, nothing is shown. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_STREAM, 0, t->addr, t->port);
}

CASE(tcp_connect) = { .title = "TCP, connect()",
		      .source = "measure of the rig",
		      .group = "local",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .attempt = attempt };
