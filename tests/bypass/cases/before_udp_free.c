// SPDX-License-Identifier: Apache-2.0
/* Made before, used now: its cgroup is another. */
#include "../case.h"

#include <errno.h>

static int before(const struct target *t)
{
	return socket(t->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static void attempt(const struct target *t, struct attempt *a)
{
	if (t->early < 0) {
		errno = EBADF;
		failed(a, "nothing from before was handed on");
		return;
	}
	send_token(t, a, t->early, t->addr, t->port);
}

CASE(before_udp_free) = { .title = "An unconnected UDP socket from before",
			  .source = "bpf.md surprise 2",
			  .group = "lifecycle",
			  .families = FOUR | SIX,
			  .settings = OWN | BRIDGE | HOST,
			  .before = before,
			  .lsm_only = ATTACH,
			  .attempt = attempt };
