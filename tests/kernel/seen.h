/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of kept flows share (seen.c, seen_udp.c): a task that says how it goes, and all
 * tables as they are before something is taken out of them. */
#ifndef EGRET_TESTS_KERNEL_SEEN_H
#define EGRET_TESTS_KERNEL_SEEN_H

#include "kernel/direct.h"
#include <bpf/bpf.h>

#define PORT 5432
#define UDP SOCK_DGRAM

/* A connection that speaks when it is asked to: shared with the task that has it. */
static struct {
	volatile unsigned ask, done;
	volatile int r, wait_ms, fd;
} * line;

static void as_before(uint32_t flags)
{
	uint8_t host[2][16];

	addr16(H[HOST].four, host[0]);
	addr16(H[HOST].six, host[1]);
	need(kernel_hostaddr_set(W.k, (const uint8_t(*)[16])host, 2), "host");
	member_a(A1, true);
	member_a(A2, true);
	for (int i = A1; i <= A2; i++)
		need(kernel_listener_set(W.k, JOB_A, H[i].ns.cookie, &H[i].ns.listener), "set");
	RULES(POLICY, rule(FAR4, PORT, PORT, false), rule(FAR4, PORT, PORT, true),
	      rule(FAR6, PORT, PORT, true));
	flags_a(flags);
	if (flags & EGRET_CG_DIRECT)
		has_policy(flags, POLICY);
}

static int map_of(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/%s", W.instance, EGRET_ABI, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	return fd;
}

static int open_all(void **state)
{
	line = mmap(NULL, sizeof(*line), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(line != MAP_FAILED);
	return town_open(state);
}

#endif
