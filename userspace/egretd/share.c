/* SPDX-License-Identifier: Apache-2.0 */
/* See share.h. The kernel's files alone are read; systemd's own controllers are left as it has
 * them: what it does not give is not there. */
#include "egretd/share.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A proxy is one process. While a new one starts the dead one may not be reaped yet, by whoever
 * adopted it. */
#define PROCESSES 4
#define WEIGHT "100" /* the same for each: a flood gets its own proxy's part and no more */

static const struct {
	unsigned bit;
	const char *name;
} controllers[] = {
	{ SHARE_CPU, "cpu" },
	{ SHARE_PIDS, "pids" },
	{ SHARE_MEMORY, "memory" },
};

unsigned shares_given(int dir)
{
	char text[512], *rest = text, *word;
	unsigned bits = 0;

	if (cgroup_read(dir, "cgroup.subtree_control", text, sizeof(text)))
		return 0;
	while ((word = strsep(&rest, " \n")))
		for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
			if (strcmp(word, controllers[i].name) == 0)
				bits |= controllers[i].bit;
	return bits;
}

void shares_text(unsigned bits, char to[SHARES_TEXT_MAX])
{
	size_t n = 0;

	to[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
		if (bits & controllers[i].bit)
			n += (size_t)snprintf(to + n, SHARES_TEXT_MAX - n, "%s%s", n ? " " : "",
					      controllers[i].name);
}

/* One at a time: the kernel takes all of a line or nothing. */
static void give(int dir, unsigned bits)
{
	char text[32];

	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		if (!(bits & controllers[i].bit))
			continue;
		snprintf(text, sizeof(text), "+%s", controllers[i].name);
		(void)!cgroup_write(dir, "cgroup.subtree_control", text);
	}
}

unsigned shares_open(const struct cgroups *cg)
{
	unsigned bits = shares_given(cg->root);

	give(cg->own, bits);
	give(cg->proxies, bits);
	return shares_given(cg->proxies);
}

int share_helpers(int proxy, unsigned bits, unsigned helpers)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", PROCESSES + helpers);
	return bits & SHARE_PIDS ? cgroup_write(proxy, "pids.max", text) : 0;
}

int share_set(int proxy, unsigned bits, uint64_t memory)
{
	char text[32];
	int r = 0;

	if (bits & SHARE_CPU)
		r = cgroup_write(proxy, "cpu.weight", WEIGHT);
	if (!r && bits & SHARE_PIDS)
		r = share_helpers(proxy, bits, 0);
	if (!r && bits & SHARE_MEMORY) {
		snprintf(text, sizeof(text), "%" PRIu64, memory);
		r = cgroup_write(proxy, "memory.max", text);
	}
	if (r || !(bits & SHARE_MEMORY))
		return r;
	/* To swap instead would be at the cost of all. The file is there where swap is counted. */
	r = cgroup_write(proxy, "memory.swap.max", "0");
	return r == -ENOENT ? 0 : r;
}

uint64_t share_killed(int proxy)
{
	char text[512], *at;

	if (cgroup_read(proxy, "memory.events", text, sizeof(text)))
		return 0;
	at = strstr(text, "oom_kill ");
	return at ? strtoull(at + 9, NULL, 10) : 0;
}
