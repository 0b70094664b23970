// SPDX-License-Identifier: Apache-2.0
/* Made when one still might. */
#include "../case.h"

#include <errno.h>

static int before(const struct target *t)
{
	return socket(t->family, SOCK_RAW | SOCK_CLOEXEC, 253);
}

static void attempt(const struct target *t, struct attempt *a)
{
	if (t->early < 0) {
		errno = EBADF;
		failed(a, "nothing from before was handed on");
		return;
	}
	send_token(t, a, t->early, t->addr, 0);
}

CASE(before_raw) = { .title = "A raw socket from before",
		     .source = "bpf.md surprise 2",
		     .group = "lifecycle",
		     .families = FOUR | SIX,
		     .settings = OWN | BRIDGE | HOST,
		     .before = before,
		     .lsm_only = ATTACH,
		     .needs_root = true,
		     .attempt = attempt };
