// SPDX-License-Identifier: Apache-2.0
/* A cgroup below the job's own: hooks must be inherited, and the job found from further down. */
#include "../wire.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	char mount[256], own[256], home[520], child[600], deep[640];

	if (!cgroup_mount(a, mount, own))
		return;
	snprintf(home, sizeof(home), "%s/%s", mount, own);
	snprintf(child, sizeof(child), "%s/bypass-%d", home, (int)getpid());
	snprintf(deep, sizeof(deep), "%s/deeper", child);
	if (mkdir(child, 0755) || mkdir(deep, 0755)) {
		failed(a, "mkdir of a cgroup");
	} else if (cgroup_enter(a, deep)) {
		tell_plainly(t, a);
		(void)cgroup_enter(&(struct attempt){ 0 }, home);
	}
	(void)rmdir(deep);
	(void)rmdir(child);
}

CASE(cgroup_nested) = { .title = "Two cgroups further down",
			.source = "bpf.md 5: child cgroup inside the job",
			.group = "world",
			.families = FOUR | SIX,
			.settings = OWN | HOST,
			.attempt = attempt };
