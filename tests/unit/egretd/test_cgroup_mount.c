/* SPDX-License-Identifier: Apache-2.0 */
/* Where cgroup2 is: mountinfos as real layouts have them, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "egretd/cgroup.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *what;
	const char *text;
	const char *path; /* NULL: none */
	bool hybrid;
} rows[] = {
	{ "pure version 2 (systemd)",
	  "22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
	  "27 22 0:24 / /sys/fs/cgroup rw,nosuid,nodev,noexec shared:9 - cgroup2 cgroup2 "
	  "rw,nsdelegate,memory_recursiveprot\n",
	  "/sys/fs/cgroup", false },
	{ "hybrid (systemd)",
	  "30 22 0:25 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro,mode=755\n"
	  "31 30 0:26 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
	  "32 30 0:27 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,name=systemd\n"
	  "33 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:12 - cgroup cgroup rw,cpu,cpuacct\n",
	  "/sys/fs/cgroup/unified", true },
	{ "hybrid, version 1 first, no tags",
	  "33 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
	  "31 30 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
	  "/sys/fs/cgroup/unified", true },
	{ "version 1 only",
	  "30 22 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
	  "32 30 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n",
	  NULL, true },
	{ "none", "22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n", NULL, false },
	{ "empty", "", NULL, false },
	{ "a container's part of the tree is not the tree",
	  "27 22 0:24 /docker/7f3a /sys/fs/cgroup ro - cgroup2 cgroup rw\n", NULL, false },
	{ "the whole one among parts",
	  "27 22 0:24 /a /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
	  "28 22 0:24 / /mnt/cgroup rw - cgroup2 cgroup rw\n",
	  "/mnt/cgroup", false },
	{ "two: the shorter path",
	  "28 22 0:24 / /var/lib/x/cgroup rw - cgroup2 cgroup rw\n"
	  "27 22 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
	  "/sys/fs/cgroup", false },
	{ "hidden by a later mount above it",
	  "27 22 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
	  "29 22 0:29 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n",
	  NULL, false },
	{ "hidden, then mounted again",
	  "27 22 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
	  "29 22 0:29 / /sys rw - sysfs sysfs rw\n"
	  "30 29 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
	  "/sys/fs/cgroup", false },
	{ "a neighbour's name that begins alike hides nothing",
	  "27 22 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
	  "29 22 0:29 / /sys/fs/cgroup-x rw - tmpfs tmpfs rw\n",
	  "/sys/fs/cgroup", false },
	{ "escapes", "27 22 0:24 / /mnt/a\\040b\\134c rw - cgroup2 cgroup rw\n", "/mnt/a b\\c",
	  false },
	{ "a type that only looks alike", "27 22 0:24 / /x rw - cgroup22 cgroup rw\n", NULL,
	  false },
	{ "cut lines", "27 22 0:24 / /x rw\n27 22\n - \n27 22 0:24 / /y rw -\n", NULL, false },
	{ "many tags", "27 22 0:24 / /x rw shared:1 master:2 unbindable - cgroup2 none rw\n", "/x",
	  false },
	{ "a source named like a type", "27 22 0:24 / /x rw - tmpfs cgroup2 rw\n", NULL, false },
};

static void test_table(void **state)
{
	struct cgroup_mount *m = mem_new(sizeof(*m));
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r;

		memset(m, 'x', sizeof(*m));
		r = cgroup_mount_parse(str_of(rows[i].text), m);
		if (r != (rows[i].path ? 0 : -ENOENT))
			print_error("%s: %d\n", rows[i].what, r);
		assert_int_equal(r, rows[i].path ? 0 : -ENOENT);
		if (!rows[i].path) {
			assert_int_equal(m->path[0], 'x'); /* untouched */
			continue;
		}
		assert_string_equal(m->path, rows[i].path);
		assert_int_equal(m->hybrid, rows[i].hybrid);
	}
	free(m);
}

/* Any cut of a good text is read without harm. */
static void test_cut_anywhere(void **state)
{
	struct cgroup_mount *m = mem_new(sizeof(*m));
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t n = 0; n <= strlen(rows[i].text); n++) {
			char *copy = malloc(n ? n : 1);
			int r;

			assert_non_null(copy);
			memcpy(copy, rows[i].text, n);
			r = cgroup_mount_parse((struct str){ copy, n }, m);
			assert_true(r == 0 || r == -ENOENT);
			free(copy);
		}
	free(m);
}

static void test_long_paths(void **state)
{
	struct cgroup_mount *m = mem_new(sizeof(*m));
	char *text = mem_new(3 * CGROUP_PATH_MAX);
	size_t n = 0;
	(void)state;

	n += (size_t)snprintf(text, 64, "27 22 0:24 / /");
	memset(text + n, 'a', 2 * CGROUP_PATH_MAX);
	n += 2 * CGROUP_PATH_MAX;
	n += (size_t)snprintf(text + n, 64, " rw - cgroup2 cgroup rw\n");
	assert_int_equal(cgroup_mount_parse((struct str){ text, n }, m), -ENOENT);
	free(text);
	free(m);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_long_paths),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(all, NULL, NULL);
}
