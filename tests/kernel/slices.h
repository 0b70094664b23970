/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups of a test without kernel programs: a unit (W.a), a job's child of it (W.b) and one that
 * is another's (W.none). For place.c and trees.c; harness.h has the rest.
 */
#ifndef EGRET_TESTS_KERNEL_SLICES_H
#define EGRET_TESTS_KERNEL_SLICES_H

#include "harness.h"

static char why[256];

static int slices_open(void **state)
{
	(void)state;
	need(cgroups_open(W.instance, NULL, &W.cg, why, sizeof(why)), why);
	need(cgroup_make(W.cg.jobs, "unit", &W.a_fd, &W.a), "cgroup");
	need(cgroup_make(W.a_fd, "j-1", &W.b_fd, &W.b), "cgroup");
	need(cgroup_make(W.cg.jobs, "other", &W.none_fd, &W.none), "cgroup");
	return 0;
}

static int slices_close(void **state)
{
	(void)state;
	close(W.a_fd);
	close(W.b_fd);
	close(W.none_fd);
	cgroups_close(&W.cg);
	return 0;
}

static void wait_said(int n)
{
	for (int i = 0; i < 5000 && ((volatile struct said *)said)->n < n; i++)
		usleep(1000);
	assert_true(said->n >= n);
}

#endif
