// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Holding: a container that nobody announced is stopped at its first own program, before that
 * program's first instruction, so that egretd can look whose it is and let it go on. Comfort, not a
 * wall: whoever is not held and not known is refused by the others all the same.
 *
 * A tracepoint is the whole machine's, so the tests that most tasks fail come first. Engines set a
 * container up with their own programs, in the host's mount namespace: those are let be.
 */
#include "job.h"

/* The egretd that would let the task go on is awake, and there is something to hold. */
static __always_inline const struct egret_beat *awake(void)
{
	__u32 zero = 0;
	struct egret_beat *b = bpf_map_lookup_elem(&egret_beat, &zero);
	__u64 now = bpf_ktime_get_ns();

	if (!b || !b->holds || !b->time_ns)
		return NULL;
	/* Read after the clock: another processor may have written a later one meanwhile. */
	return now < b->time_ns + EGRET_BEAT_NS ? b : NULL;
}

/* The flags of the hold that the task is below (of a unit's: or in), with no known cgroup between;
 * -1: none. */
static __always_inline int held_by(void)
{
	int flags = -1, below = -1;

	for (int i = 0; i < EGRET_CGROUP_LEVELS; i++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(egret_attach_level + i);
		bool known;
		__u32 *hold;

		if (!id)
			return below;
		known = bpf_map_lookup_elem(&egret_cgroups, &id) != NULL;
		if (known)
			flags = -1;
		below = flags;
		hold = bpf_map_lookup_elem(&egret_holds, &id);
		if (!hold)
			continue;
		flags = (int)(*hold & EGRET_HOLD_HOST);
		if (flags && !known)
			below = flags;
	}
	return below;
}

SEC("tp_btf/sched_process_exec")
int egret_hold(void *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	const struct egret_beat *b;
	struct egret_held *h;
	int flags;

	if (bpf_get_current_ancestor_cgroup_id(egret_attach_level) != egret_attach_id)
		return 0;
	b = awake();
	if (!b)
		return 0;
	flags = held_by();
	if (flags < 0)
		return 0;
	if (!(flags & EGRET_HOLD_HOST) && BPF_CORE_READ(t, nsproxy, mnt_ns, ns.inum) == b->host_mnt)
		return 0;
	/* Who cannot be told of is not stopped: nobody would let it go on. */
	h = bpf_ringbuf_reserve(&egret_held, sizeof(*h), 0);
	if (!h)
		return 0;
	if (bpf_send_signal(SIGSTOP)) {
		bpf_ringbuf_discard(h, 0);
		return 0;
	}
	h->cgroup = bpf_get_current_cgroup_id();
	h->pid = bpf_get_current_pid_tgid() >> 32;
	h->pad = 0;
	bpf_ringbuf_submit(h, BPF_RB_FORCE_WAKEUP);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
