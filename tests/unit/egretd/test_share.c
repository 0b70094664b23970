/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written to a proxy's cgroup, in folders that look like one: all of it, a part of it where
 * a host gives a part, and nothing else. The kernel's own files are tried in tests/vm/share.sh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "egretd/share.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALL (SHARE_CPU | SHARE_PIDS | SHARE_MEMORY)

static char path[64];
static int dir = -1;

static void file(const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void holds(const char *name, const char *want)
{
	char text[128] = "";

	assert_int_equal(cgroup_read(dir, name, text, sizeof(text)), 0);
	assert_string_equal(text, want);
}

static const char *const names[] = {
	"cgroup.subtree_control", "cpu.weight",	    "pids.max", "memory.max",
	"memory.events",	  "memory.swap.max"
};

static int make(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/egret-share.XXXXXX");
	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	return 0;
}

static int clear(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(dir, names[i], 0);
	close(dir);
	return rmdir(path);
}

static void test_given(void **state)
{
	char text[SHARES_TEXT_MAX];

	(void)state;
	assert_int_equal(shares_given(dir), 0); /* no such file */
	file("cgroup.subtree_control", "\n");
	assert_int_equal(shares_given(dir), 0);
	file("cgroup.subtree_control", "cpuset io memory hugetlb pids\n");
	assert_int_equal(shares_given(dir), SHARE_MEMORY | SHARE_PIDS);
	file("cgroup.subtree_control", "cpuset cpu io memory pids rdma\n");
	assert_int_equal(shares_given(dir), ALL);
	shares_text(ALL, text);
	assert_string_equal(text, "cpu pids memory");
	shares_text(SHARE_MEMORY, text);
	assert_string_equal(text, "memory");
	shares_text(0, text);
	assert_string_equal(text, "");
}

static void test_set(void **state)
{
	(void)state;
	/* A host without any of it: nothing is tried. */
	assert_int_equal(share_set(dir, 0, 1), 0);
	/* What was given and is not there any more is an error. */
	assert_int_equal(share_set(dir, SHARE_PIDS, 1), -ENOENT);
	for (size_t i = 1; i < ARRAY_SIZE(names) - 1; i++)
		file(names[i], "");
	assert_int_equal(share_set(dir, SHARE_PIDS, 1), 0);
	holds("pids.max", "4");
	holds("memory.max", "");
	/* Swap is not counted everywhere. */
	assert_int_equal(share_set(dir, ALL, 536870912), 0);
	holds("cpu.weight", "100");
	holds("memory.max", "536870912");
	file("memory.swap.max", "");
	assert_int_equal(share_set(dir, ALL, 536870912), 0);
	holds("memory.swap.max", "0");
}

static void test_killed(void **state)
{
	(void)state;
	assert_int_equal(share_killed(dir), 0);
	file("memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n");
	assert_int_equal(share_killed(dir), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_given, make, clear),
		cmocka_unit_test_setup_teardown(test_set, make, clear),
		cmocka_unit_test_setup_teardown(test_killed, make, clear),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
