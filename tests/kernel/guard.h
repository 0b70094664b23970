/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the LSM tier share (guard*.c): an act that goes through for a task that egret
 * does not govern, and is refused to one that it does.
 */
#ifndef EGRET_TESTS_KERNEL_GUARD_H
#define EGRET_TESTS_KERNEL_GUARD_H

#include "kernel/harness.h"
#include "egretd/kernel_pin.h"

#define READY (EGRET_CG_READY)
#define CONFINED (EGRET_CG_READY | EGRET_CG_CONFINED)

UNUSED static void flags_a(uint32_t flags)
{
	need(kernel_cgroup_set(W.k, W.a, JOB_A, flags), "set");
}

/* Outside it goes through, in a job it is refused with EPERM, and counted once. */
UNUSED static void refused_in(int cgroup, int (*fn)(void *), void *arg, enum egret_reason reason)
{
	uint64_t before = refused(reason);

	assert_int_equal(task_run(-1, -1, fn, arg), 0);
	assert_int_equal(refused(reason), before);
	assert_int_equal(task_run(cgroup, -1, fn, arg), EPERM);
	assert_int_equal(refused(reason), before + 1);
}

UNUSED static void allowed_in(int cgroup, int (*fn)(void *), void *arg)
{
	assert_int_equal(task_run(cgroup, -1, fn, arg), 0);
}

UNUSED static int ok(long r)
{
	return r < 0 ? errno : 0;
}

struct family {
	int family, type, proto;
	bool may; /* a job */
};

UNUSED static int family_fn(void *arg)
{
	const struct family *f = arg;

	return ok(socket(f->family, f->type | SOCK_CLOEXEC, f->proto));
}

UNUSED static bool is_called(void)
{
	char list[512] = "";
	cleanup_close int fd = open("/sys/kernel/security/lsm", O_RDONLY | O_CLOEXEC);

	return fd < 0 || read(fd, list, sizeof(list) - 1) <= 0 || strstr(list, "bpf");
}

/* The tests, where the kernel calls LSM programs; else the other setting is named. */
UNUSED static int guarded(int (*tests)(void))
{
	char why[160] = "";

	if (kernel_guard_probe(why, sizeof(why)) < 0)
		printf("1..0 # SKIP %s: done in the test machines (tests/vm)\n", why);
	else if (!is_called())
		printf("1..0 # SKIP booted without bpf in lsm=: done where it is in the list\n");
	else
		return tests();
	return 0;
}

#endif
