/* SPDX-License-Identifier: Apache-2.0 */
/* Which group a word of the configuration is, and where a process stands by its cgroup file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "egretd/authority.h"

static const char groups[] = "root:x:0:\n"
			     "# egret:x:7:\n"
			     "egret-audit:x:20002:ann,bob\n"
			     "egret:x:20001:\n"
			     "broken\n"
			     "bad:x:many:\n"
			     "egret:x:20009:\n"
			     "last:x:20003:";

static int of(const char *name, const char *file, gid_t *ret)
{
	return authority_group(str_of(name), file, ret);
}

static void test_groups(void **state)
{
	static const struct {
		const char *name;
		int r;
		gid_t gid;
	} rows[] = {
		{ "egret", 0, 20001 },	      { "egret-audit", 0, 20002 },
		{ "last", 0, 20003 },	      { "root", 0, 0 },
		{ "20005", 0, 20005 },	      { "0", 0, 0 },
		{ "egre", -ENOENT, 0 },	      { "egret-audit2", -ENOENT, 0 },
		{ "ann", -ENOENT, 0 },	      { "", -ENOENT, 0 },
		{ "bad", -ENOENT, 0 },	      { "# egret", -ENOENT, 0 },
		{ "4294967295", -ENOENT, 0 }, /* would be nobody's, and each one's */
		{ "4294967296", -ENOENT, 0 }, { "-1", -ENOENT, 0 },
		{ "20001 ", -ENOENT, 0 },
	};
	char path[] = "/tmp/egret-test-group-XXXXXX";
	int fd = mkstemp(path);
	gid_t gid;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, groups, sizeof(groups) - 1), sizeof(groups) - 1);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		gid = 77;
		if (of(rows[i].name, path, &gid) != rows[i].r)
			fail_msg("\"%s\"", rows[i].name);
		assert_int_equal(gid, rows[i].r ? 77 : rows[i].gid); /* untouched on failure */
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(of("egret", path, &gid), -ENOENT); /* no file: no group */
	assert_int_equal(of("20001", path, &gid), 0);
}

static void test_cgroup(void **state)
{
	static const struct {
		const char *text, *path;
	} rows[] = {
		{ "0::/egret.slice/j-1\n", "/egret.slice/j-1" },
		{ "1:name=systemd:/a\n0::/b\n", "/b" },
		{ "0::/\n", "/" },
		{ "1:cpu:/a\n", NULL },
		{ "", NULL },
		{ "10::/a\n", NULL },
	};
	struct str path;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = authority_cgroup_path(str_of(rows[i].text), &path);

		if (r != (rows[i].path ? 0 : -ENOENT) || (!r && !str_is(path, rows[i].path)))
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_groups),
					    cmocka_unit_test(test_cgroup) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("authority", tests, NULL, NULL);
}
