/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the LSM programs share (guard.bpf.c: sockets; guard_own.bpf.c: egret's own objects). Their
 * hooks are the whole machine's and go by the calling task, so each first asks what most callers
 * fail: is the task below the attach point at all. A kernel may refuse such programs, or load them
 * and never call them: no other wall leans on these (egretd/trial.h).
 */
#ifndef EGRET_GUARD_H
#define EGRET_GUARD_H

#include "job.h"
#include "record.h"
#include <bpf/bpf_tracing.h>

/* The calling task is egret's to judge. ret: its job; NULL: of none, which is refused. */
static __always_inline bool governed(struct egret_cgroup **ret)
{
	struct egret_cgroup *job;

	if (bpf_get_current_ancestor_cgroup_id(egret_attach_level) != egret_attach_id)
		return false;
	job = job_of_task();
	if (is_others(job))
		return false;
	*ret = job && job->job ? job : NULL;
	return true;
}

static __always_inline bool is_confined(const struct egret_cgroup *job)
{
	return job && (job->flags & EGRET_CG_CONFINED);
}

static __always_inline int refuse(const struct egret_cgroup *job, int reason, const struct ask *a)
{
	if (!is_trial(job)) {
		count_refused(reason);
		event_task(EGRET_EV_REFUSED, reason, job ? job->job : 0, 0, a);
	}
	return -EPERM;
}

#endif
