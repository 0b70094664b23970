// SPDX-License-Identifier: Apache-2.0
/* Where clouds keep their keys. */
#include "../case.h"

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_STREAM, 0,
		      t->family == AF_INET ? "169.254.169.254" : "fd00:ec2::254", 80);
}

CASE(local_metadata) = { .title = "TCP to the metadata address",
			 .source = "field B13: buildcage #378, iron-proxy",
			 .group = "local",
			 .families = FOUR | SIX,
			 .settings = EVERYWHERE,
			 .attempt = attempt };
