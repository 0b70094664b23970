/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From root to the job's user, for good. The families below are refused because no cgroup hook sees
 * them (facts: packet sockets need a capability that the job lost, but vsock and others need none),
 * and io_uring because its socket operation passes no seccomp.
 */
#include "init/init.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* All 64 bits are compared, of which the kernel takes 32: what has more of them set is beyond 64,
 * and refused. */
static int refuse_family(scmp_filter_ctx f, enum scmp_compare op, uint64_t family)
{
	const struct scmp_arg_cmp a = { .arg = 0, .op = op, .datum_a = family };

	return seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, &a);
}

/* Everything but UNIX, INET, INET6 and NETLINK (which a namespace of its own makes harmless). */
static int close_families(char *why, size_t n)
{
	static const int open_families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	static const uint32_t other_abis[] = {
#if defined(__x86_64__)
		SCMP_ARCH_X86,
		SCMP_ARCH_X32,
#elif defined(__aarch64__)
		SCMP_ARCH_ARM,
#endif
	};
	static const int whole_calls[] = { SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
					   SCMP_SYS(io_uring_register), SCMP_SYS(socketcall) };
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	size_t i, j;
	int r = f ? 0 : -ENOMEM;

	/* An ABI that is not named here (there is none today) ends the process. */
	for (i = 0; r == 0 && i < ARRAY_SIZE(other_abis); i++)
		r = seccomp_arch_add(f, other_abis[i]);
	for (i = 0; r == 0 && i < ARRAY_SIZE(whole_calls); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), whole_calls[i], 0);
	/* A family is refused when it lies between, or beyond, the open ones. */
	for (i = 0; r == 0 && i < 64; i++) {
		bool open = false;

		for (j = 0; j < ARRAY_SIZE(open_families); j++)
			open |= (int)i == open_families[j];
		if (!open)
			r = refuse_family(f, SCMP_CMP_EQ, i);
	}
	if (r == 0)
		r = refuse_family(f, SCMP_CMP_GE, 64);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	if (r < 0)
		snprintf(why, n, "socket families cannot be closed by seccomp: %s", strerror(-r));
	return r;
}

int drop_to(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups, char *why, size_t n)
{
	int r;

	capng_clear(CAPNG_SELECT_ALL);
	/* The bounding set first, while it is still allowed; the other sets go with the uid or by
	 * the last apply. */
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0) {
		snprintf(why, n, "the bounding set cannot be emptied");
		return -EPERM;
	}
	if (setgroups(ngroups, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0) {
		r = -errno;
		snprintf(why, n, "cannot become uid %u: %s", (unsigned)uid, strerror(-r));
		return r;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		r = -errno;
		snprintf(why, n, "no_new_privs: %s", strerror(-r));
		return r;
	}
	r = close_families(why, n);
	if (r < 0)
		return r;
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0 ||
	    capng_have_capabilities(CAPNG_SELECT_CAPS) > CAPNG_NONE) {
		snprintf(why, n, "capabilities could not be dropped");
		return -EPERM;
	}
	return 0;
}
