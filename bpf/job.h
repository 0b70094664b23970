/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which job a task, a socket or a packet belongs to: the deepest registered cgroup on the way from
 * the attach point down, at most EGRET_CGROUP_LEVELS levels. Unknown is NULL, and NULL is refused,
 * but where the attach point is others' too (egret_unknown_pass).
 *
 * Hooks are chosen by the cgroup in which the *socket* was made, so the calling task alone proves
 * nothing: a socket that was made elsewhere and moved or passed in must be of the same job.
 */
#ifndef EGRET_JOB_H
#define EGRET_JOB_H

#include "maps.h"

static __always_inline struct egret_cgroup *job_of_task(void)
{
	struct egret_cgroup *found = NULL, *c;

	for (int i = 0; i < EGRET_CGROUP_LEVELS; i++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(egret_attach_level + i);

		if (!id)
			break;
		c = bpf_map_lookup_elem(&egret_cgroups, &id);
		if (c)
			found = c;
	}
	return found;
}

/* Nobody ever registered it, and it is let be. */
static __always_inline bool is_others(const struct egret_cgroup *job)
{
	return !job && egret_unknown_pass;
}

/* egretd tries whether the walls stand; that is nobody's news. */
static __always_inline bool is_trial(const struct egret_cgroup *job)
{
	return job && (job->flags & EGRET_CG_TRIAL);
}

static __always_inline struct egret_cgroup *job_of_packet(struct __sk_buff *skb)
{
	__u64 own = bpf_skb_cgroup_id(skb);
	struct egret_cgroup *found = bpf_map_lookup_elem(&egret_cgroups, &own), *c;

	/* The common case first: the socket's own cgroup is registered, and none is deeper. */
	if (found)
		return found;
	for (int i = 0; i < EGRET_CGROUP_LEVELS; i++) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, egret_attach_level + i);

		if (!id)
			break;
		c = bpf_map_lookup_elem(&egret_cgroups, &id);
		if (c)
			found = c;
	}
	return found;
}

static __always_inline struct cgroup *task_cgroup(void)
{
	struct task_struct *t = bpf_get_current_task_btf();

	return t->cgroups->dfl_cgrp;
}

/* Id of the ancestor of cg at a level; 0 when there is none. */
static __always_inline __u64 ancestor_id(struct cgroup *cg, int level)
{
	int own = BPF_CORE_READ(cg, level);

	if (level > own)
		return 0;
	if (bpf_core_field_exists(struct cgroup___ancestors, ancestors)) {
		struct cgroup **all = (void *)__builtin_preserve_access_index(
			&((struct cgroup___ancestors *)cg)->ancestors);
		struct cgroup *anc = NULL;

		if (bpf_probe_read_kernel(&anc, sizeof(anc), all + level) || !anc)
			return 0;
		return BPF_CORE_READ(anc, kn, id);
	}
	if (bpf_core_field_exists(struct kernfs_node___new, __parent)) {
		struct kernfs_node___new *kn = (void *)BPF_CORE_READ(cg, kn);

		for (int i = 0; i < 2 * EGRET_CGROUP_LEVELS && own > level && kn; i++, own--)
			kn = BPF_CORE_READ(kn, __parent);
		return own == level && kn ? BPF_CORE_READ(kn, id) : 0;
	} else {
		struct kernfs_node___old *kn = (void *)BPF_CORE_READ(cg, kn);

		for (int i = 0; i < 2 * EGRET_CGROUP_LEVELS && own > level && kn; i++, own--)
			kn = BPF_CORE_READ(kn, parent);
		return own == level && kn ? BPF_CORE_READ(kn, id) : 0;
	}
}

/* True when this cgroup is of the job. */
static __always_inline bool cgroup_is_of(struct cgroup *cg, __u64 job)
{
	struct egret_cgroup *c;
	__u64 found = 0;

	if (cg && cg == task_cgroup())
		return true;
	if (!cg)
		return false;
	for (int i = 0; i < EGRET_CGROUP_LEVELS; i++) {
		__u64 id = ancestor_id(cg, egret_attach_level + i);

		if (!id)
			break;
		c = bpf_map_lookup_elem(&egret_cgroups, &id);
		if (c)
			found = c->job;
	}
	return found && found == job;
}

/* True when the socket of a sock_addr hook was made in a cgroup of this job. */
static __always_inline bool socket_is_of(struct bpf_sock_addr *ctx, __u64 job)
{
	struct bpf_sock_addr_kern *k = (void *)ctx;

	return cgroup_is_of(BPF_CORE_READ(k, sk, sk_cgrp_data.cgroup), job);
}

#endif
