/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seccomp wall around programs that are not ours (JAIL_MAY_EXEC): nobody knows the list of what
 * they need, so here stands what they may not: other processes' memory, namespaces and mounts, the
 * kernel's own insides, and truncating what older Landlocks do not guard. Refused with EPERM, as
 * for anyone without privilege. Other architectures' calls (x32, i386) kill.
 */
#include "base/jail_calls.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>

static const int calls_out[] = {
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise),
	SCMP_SYS(kcmp),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(open_tree),
	SCMP_SYS(move_mount),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsmount),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(truncate),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(acct),
	SCMP_SYS(quotactl),
	SCMP_SYS(syslog),
	SCMP_SYS(personality),
};
static const int calls_group[] = { SCMP_SYS(setsid), SCMP_SYS(setpgid) };
static const int calls_signal[] = { SCMP_SYS(kill),
				    SCMP_SYS(tkill),
				    SCMP_SYS(tgkill),
				    SCMP_SYS(rt_sigqueueinfo),
				    SCMP_SYS(rt_tgsigqueueinfo),
				    SCMP_SYS(pidfd_send_signal) };

static int refuse(scmp_filter_ctx f, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
	return r;
}

/* A thread or a process, not a namespace. clone3 hides its flags in memory: libraries fall back. */
static int refuse_namespaces(scmp_filter_ctx f)
{
	static const scmp_datum_t flags[] = { CLONE_NEWUSER,  CLONE_NEWNS,  CLONE_NEWPID,
					      CLONE_NEWNET,   CLONE_NEWIPC, CLONE_NEWUTS,
					      CLONE_NEWCGROUP };
	int r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	for (size_t i = 0; i < ARRAY_SIZE(flags) && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
	return r;
}

int jail_calls_exec(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!f)
		return -ENOMEM;
	r = refuse(f, calls_out, ARRAY_SIZE(calls_out));
	if (r == 0)
		r = refuse_namespaces(f);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
#ifdef EGRET_ASAN
	jail_raised = r == 0;
#endif
	return r;
}

int jail_calls_program(bool may_signal)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!f)
		return -ENOMEM;
	r = refuse(f, calls_group, ARRAY_SIZE(calls_group));
	if (r == 0 && !may_signal)
		r = refuse(f, calls_signal, ARRAY_SIZE(calls_signal));
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r;
}
