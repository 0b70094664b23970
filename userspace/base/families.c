/* SPDX-License-Identifier: Apache-2.0 */
/* See families.h. Called by egret-init for a command and by egret-runc for what the runtime starts;
 * reads nothing. */
#include "base/families.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/socket.h>

#define SOCK_TYPE_BITS 0xf /* linux/net.h, not for userspace: SOCK_TYPE_MASK */

/* All 64 bits are compared, of which the kernel takes 32: what has more of them set is beyond 64,
 * and refused. */
static int refuse_family(scmp_filter_ctx f, enum scmp_compare op, uint64_t family)
{
	const struct scmp_arg_cmp a = { .arg = 0, .op = op, .datum_a = family };

	return seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, &a);
}

/* AF_INET with SOCK_PACKET, older than AF_PACKET: the kernel makes a packet socket of it, which no
 * hook of IP sockets sees. The flags beside the type are not compared. */
static int refuse_old_packet(scmp_filter_ctx f)
{
	const struct scmp_arg_cmp a = { .arg = 1,
					.op = SCMP_CMP_MASKED_EQ,
					.datum_a = SOCK_TYPE_BITS,
					.datum_b = SOCK_PACKET };

	return seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, &a);
}

static int fill(scmp_filter_ctx f)
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
	/* A key that is requested is looked up by a program that the kernel starts outside of all
	 * namespaces: of type dns_resolver, by a query of the host's. */
	static const int whole_calls[] = { SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
					   SCMP_SYS(io_uring_register), SCMP_SYS(socketcall),
					   SCMP_SYS(request_key) };
	size_t i, j;
	int r = 0;

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
		r = refuse_old_packet(f);
	return r ? r : refuse_family(f, SCMP_CMP_GE, 64);
}

int families_close(bool no_new_privs, char *why, size_t n)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int r = f ? 0 : -ENOMEM;

	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, no_new_privs);
	/* The filter keeps no secret from the process: no mitigation that would slow it down. */
	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
	if (r == 0)
		r = fill(f);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	if (r < 0)
		snprintf(why, n, "socket families cannot be closed by seccomp: %s", strerror(-r));
	return r;
}
