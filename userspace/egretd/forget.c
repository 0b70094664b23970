/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a cgroup that is no member's any more. In a slice of ours the unknown are
 * refused: its entry goes. At an attach point that is others' too the unknown pass, so whoever was
 * registered once stays in the table, of no job and refused, until the cgroup itself is gone. The
 * kernel's table is the only list, so that this holds for what an earlier egretd left as well.
 * Called by member.c, adopt.c and container_held.c; reads nothing but ids.
 */
#include "egretd/daemon.h"
#include "egretd/member.h"

#include "base/log.h"

#define SWEEP_MS 5000

void cgroup_forget(struct daemon *d, uint64_t id)
{
	/* When the table cannot be written, the old entry stays: of a job without listeners. */
	if (!d->cg.attached)
		(void)!kernel_cgroup_del(d->kernel, id);
	else if (kernel_cgroup_set(d->kernel, id, 0, 0) < 0)
		log_err("the kernel's table of cgroups cannot be changed: one that has left its "
			"job "
			"is refused for want of a listener");
}

static void look(void *owner, uint64_t id, const struct egret_cgroup *c)
{
	struct daemon *d = owner;

	if (member_by_cgroup(d, id))
		return;
	if (cgroup_is_gone(d->cg.root, id))
		(void)!kernel_cgroup_del(d->kernel, id);
	else if (c->job && !(c->flags & EGRET_CG_TRIAL))
		cgroup_forget(d, id);
}

static void on_sweep(struct timer *t)
{
	struct daemon *d = t->owner;

	if (kernel_cgroup_each(d->kernel, look, d) < 0)
		log_warn("the kernel's table of cgroups cannot be read: entries of pods that are "
			 "gone "
			 "stay in it");
	timer_set(d->loop, &d->sweep, SWEEP_MS, on_sweep, d);
}

void forget_open(struct daemon *d)
{
	if (d->cg.attached)
		timer_set(d->loop, &d->sweep, SWEEP_MS, on_sweep, d);
}

void forget_close(struct daemon *d)
{
	timer_del(&d->sweep);
}
