// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * egret's own objects, where the kernel has BPF LSM and calls it (guard.h): no task of a job, root
 * or not, reaches kernel programs, maps and links by bpf(2), takes pins away, signals or traces
 * egret's processes; a confined one does not leave its cgroup, on which all walls stand.
 */
#include "guard.h"

#define BPF_FS_MAGIC 0xcafe4a11
#define CGROUP2_SUPER_MAGIC 0x63677270
#define SYSFS_MAGIC 0x62656572
#define FMODE_WRITE 2u
#define PTRACE_MODE_ATTACH 2u
#define CLONE_INTO_CGROUP 0x200000000ull

static __always_inline int refuse_hands(const struct egret_cgroup *job)
{
	struct ask a = { 0 };

	return refuse(job, EGRET_R_GUARD, &a);
}

/* What an engine inside a job does for its containers' devices. None of it reaches a map or a link,
 * and egret's programs are attached by links. */
static __always_inline bool is_device_rule(int cmd, const union bpf_attr *attr)
{
	__u32 word[3] = { 0 };

	if (bpf_probe_read_kernel(word, sizeof(word), attr))
		return false;
	switch (cmd) {
	case BPF_PROG_LOAD:
		return word[0] == BPF_PROG_TYPE_CGROUP_DEVICE;
	case BPF_PROG_QUERY:
		return word[1] == BPF_CGROUP_DEVICE;
	case BPF_PROG_ATTACH:
	case BPF_PROG_DETACH:
		return word[2] == BPF_CGROUP_DEVICE;
	}
	return cmd == BPF_PROG_GET_FD_BY_ID || cmd == BPF_OBJ_GET_INFO_BY_FD;
}

SEC("lsm/bpf")
int BPF_PROG(egret_own_bpf, int cmd, union bpf_attr *attr)
{
	struct egret_cgroup *job;

	if (!governed(&job) || (!is_confined(job) && is_device_rule(cmd, attr)))
		return 0;
	return refuse_hands(job);
}

static __always_inline bool is_own(struct task_struct *t)
{
	struct cgroup *cg = BPF_CORE_READ(t, cgroups, dfl_cgrp);
	int level;

	if (!cg || cg == task_cgroup())
		return false;
	level = BPF_CORE_READ(cg, level);
	for (int up = 0; up < 4 && up <= level; up++) {
		__u64 id = ancestor_id(cg, level - up);
		__u8 *own = bpf_map_lookup_elem(&egret_own, &id);

		if (own && (!up || *own == EGRET_OWN_BELOW))
			return true;
	}
	return false;
}

SEC("lsm/task_kill")
int BPF_PROG(egret_own_kill, struct task_struct *t)
{
	struct egret_cgroup *job;

	return governed(&job) && is_own(t) ? refuse_hands(job) : 0;
}

/* Looking (ps reads everybody's /proc/PID) is refused too, but no news. */
SEC("lsm/ptrace_access_check")
int BPF_PROG(egret_own_trace, struct task_struct *t, unsigned int mode)
{
	struct egret_cgroup *job;

	if (!governed(&job) || !is_own(t))
		return 0;
	return mode & PTRACE_MODE_ATTACH ? refuse_hands(job) : -EPERM;
}

/* The cgroup of a file in cgroup2, or one above it, is the job's; the deepest known counts. */
static __always_inline bool node_is_of(void *node, __u64 job)
{
	for (int i = 0; i < 2 * EGRET_CGROUP_LEVELS && node; i++) {
		__u64 id = BPF_CORE_READ((struct kernfs_node *)node, id);
		struct egret_cgroup *c = bpf_map_lookup_elem(&egret_cgroups, &id);

		if (c)
			return c->job == job;
		if (bpf_core_field_exists(struct kernfs_node___new, __parent))
			node = BPF_CORE_READ((struct kernfs_node___new *)node, __parent);
		else
			node = BPF_CORE_READ((struct kernfs_node___old *)node, parent);
	}
	return false;
}

SEC("lsm/file_open")
int BPF_PROG(egret_own_leave, struct file *file)
{
	struct egret_cgroup *job;

	if (!(file->f_mode & FMODE_WRITE) || file->f_inode->i_sb->s_magic != CGROUP2_SUPER_MAGIC)
		return 0;
	if (!governed(&job) || !is_confined(job) ||
	    node_is_of(BPF_CORE_READ(file, f_inode, i_private), job->job))
		return 0;
	return refuse_hands(job);
}

/* A child born elsewhere: by a descriptor of that cgroup, with no file opened for writing. */
SEC("lsm/task_alloc")
int BPF_PROG(egret_own_born, struct task_struct *t, unsigned long flags)
{
	struct egret_cgroup *job;

	if (!(flags & CLONE_INTO_CGROUP) || !governed(&job) || !is_confined(job))
		return 0;
	return refuse_hands(job);
}

static __always_inline int pins(struct inode *dir)
{
	struct egret_cgroup *job;

	if (dir->i_sb->s_magic != BPF_FS_MAGIC || !governed(&job))
		return 0;
	return refuse_hands(job);
}

SEC("lsm/inode_unlink")
int BPF_PROG(egret_own_unlk, struct inode *dir)
{
	return pins(dir);
}

SEC("lsm/inode_rmdir")
int BPF_PROG(egret_own_rmdir, struct inode *dir)
{
	return pins(dir);
}

SEC("lsm/inode_rename")
int BPF_PROG(egret_own_name, struct inode *dir)
{
	return pins(dir);
}

/* With the last mount of bpffs its pins are gone, and taking /sys away takes it along. In a mount
 * namespace of a container's own that touches nobody. */
static __always_inline int mounts(const struct super_block *sb, unsigned long or_magic)
{
	struct task_struct *t = bpf_get_current_task_btf();
	unsigned long magic = BPF_CORE_READ(sb, s_magic);
	struct egret_cgroup *job;
	struct egret_beat *b;
	__u32 zero = 0;

	if ((magic != BPF_FS_MAGIC && magic != or_magic) || !governed(&job))
		return 0;
	b = bpf_map_lookup_elem(&egret_beat, &zero);
	if (!b || BPF_CORE_READ(t, nsproxy, mnt_ns, ns.inum) != b->host_mnt)
		return 0;
	return refuse_hands(job);
}

SEC("lsm/sb_umount")
int BPF_PROG(egret_own_umnt, struct vfsmount *mnt)
{
	return mounts(BPF_CORE_READ(mnt, mnt_sb), SYSFS_MAGIC);
}

SEC("lsm/sb_mount")
int BPF_PROG(egret_own_mnt, const char *dev, struct path *at)
{
	return mounts(BPF_CORE_READ(at, dentry, d_sb), BPF_FS_MAGIC);
}

SEC("lsm/move_mount")
int BPF_PROG(egret_own_mvmnt, struct path *from, struct path *to)
{
	int r = mounts(BPF_CORE_READ(from, dentry, d_sb), BPF_FS_MAGIC);

	return r ? r : mounts(BPF_CORE_READ(to, dentry, d_sb), BPF_FS_MAGIC);
}

char _license[] SEC("license") = "Dual BSD/GPL";
