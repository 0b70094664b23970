/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which policies have rules `direct` in the kernel's table, and under which number: one a distinct
 * policy (its digest), held by the jobs that have it. What stands under a number never changes
 * while somebody has it: a reload gives the job another. Called by job_select.c, job_reload.c,
 * park.c and job_end.c, with compiled policies.
 */
#ifndef EGRET_EGRETD_DIRECT_H
#define EGRET_EGRETD_DIRECT_H

#include "egretd/daemon.h"

struct direct {
	struct direct *next;
	uint32_t id; /* struct egret_cgroup.policy */
	unsigned jobs;
	char digest[80];
};

/* The policy's entry, made where nobody has it yet; *ret NULL: no rule of it is direct. wanted: the
 * number that an earlier egretd gave, 0 for a new one; one that another policy has is not taken.
 * 0 or -errno with a sentence. */
int direct_take(struct daemon *d, const struct policy *p, uint32_t wanted, struct direct **ret,
		char *why, size_t n) MUST_CHECK;
void direct_drop(struct daemon *d, struct direct *x); /* accepts NULL */
/* After adopt_jobs: what no job has goes. */
void direct_sweep(struct daemon *d);

#endif
