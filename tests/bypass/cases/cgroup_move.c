// SPDX-License-Identifier: Apache-2.0
/* Out of the job's cgroup by writing the own number elsewhere. */
#include "../wire.h"

static void attempt(const struct target *t, struct attempt *a)
{
	char mount[256], own[256];

	if (cgroup_mount(a, mount, own) && cgroup_enter(a, mount))
		tell_plainly(t, a);
}

CASE(cgroup_move) = { .title = "Into another cgroup by cgroup.procs",
		      .source = "bpf.md 5: job moves itself; field D54",
		      .group = "world",
		      .families = FOUR | SIX,
		      .settings = OWN | HOST,
		      .attempt = attempt };
