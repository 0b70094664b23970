/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of root's by links, laid out as Kubernetes lays out what it projects into a pod: which way
 * is taken, which is refused, and that a folder that is exchanged shows its new file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "egretd/files_open.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[] = "/tmp/egret-files.XXXXXX", dir[64];

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* 0 if the file of this name in the folder says `text`; -errno, with words in why. */
static int opened(const char *name, const char *text, char why[256])
{
	struct file_way way;
	char path[128], got[64] = "";
	int fd = -1, r;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	why[0] = 0;
	r = file_open(path, &way, &fd, why, 256);
	file_way_done(&way);
	if (r < 0) {
		assert_int_equal(fd, -1);
		assert_true(why[0]);
		return r;
	}
	assert_true(read(fd, got, sizeof(got) - 1) >= 0);
	close(fd);
	assert_string_equal(got, text);
	return 0;
}

static void is(const char *name, const char *text)
{
	char why[256];

	if (opened(name, text, why))
		fail_msg("%s: %s", name, why);
}

static void isnt(const char *name, int err, const char *words)
{
	char why[256];

	assert_int_equal(opened(name, "", why), err);
	if (!strstr(why, words))
		fail_msg("%s: %s", name, why);
}

static int set_up(void **state)
{
	(void)state;
	if (geteuid())
		return 0;
	assert_non_null(mkdtemp(top));
	snprintf(dir, sizeof(dir), "%s/vol", top);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(chmod(dir, 01777), 0); /* as the kubelet makes it */
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(mkdir("..2026_11_22_01", 0755), 0);
	put("..2026_11_22_01/token", "one");
	assert_int_equal(symlink("..2026_11_22_01", "..data"), 0);
	assert_int_equal(symlink("..data/token", "token"), 0);
	put("plain", "plain");
	put("../outside", "outside");
	return 0;
}

static int take_away(const char *name, const struct stat *st, int kind, struct FTW *at)
{
	return remove(name);
}

static int tear_down(void **state)
{
	(void)state;
	return geteuid() ? 0 : nftw(top, take_away, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_ways(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	is("plain", "plain");
	is("token", "one");
	assert_int_equal(symlink("./plain", "near"), 0);
	is("near", "plain");
	/* Out of the folder: in each of its spellings. */
	assert_int_equal(symlink("../outside", "up"), 0);
	isnt("up", -EXDEV, "leads out of its folder");
	assert_int_equal(symlink("..data/../../outside", "around"), 0);
	isnt("around", -EXDEV, "leads out of its folder");
	assert_int_equal(symlink("/etc/passwd", "away"), 0);
	isnt("away", -EXDEV, "leads out of its folder");
	assert_int_equal(symlink("away", "two"), 0);
	isnt("two", -EXDEV, "leads out of its folder");
	/* To nothing, round and round, to what is no file. */
	assert_int_equal(symlink("none", "nothing"), 0);
	isnt("nothing", -ENOENT, "none No such file");
	assert_int_equal(symlink("round", "round"), 0);
	isnt("round", -ELOOP, "no end");
	assert_int_equal(symlink("..data", "folder"), 0);
	isnt("folder", -EINVAL, "not a regular file");
	assert_int_equal(symlink("plain/x", "under"), 0);
	isnt("under", -ENOTDIR, "no folder");
	assert_int_equal(mkfifo("pipe", 0600), 0);
	assert_int_equal(symlink("pipe", "to-pipe"), 0);
	isnt("to-pipe", -EINVAL, "not a regular file");
	/* A link further down would not be watched. */
	assert_int_equal(symlink("token", "..2026_11_22_01/deep"), 0);
	assert_int_equal(symlink("..data/deep", "deep"), 0);
	isnt("deep", -ELOOP, "own folder");
}

static void test_owners(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	/* Anyone may put names into a folder with the sticky bit: those are not root's. */
	assert_int_equal(symlink("plain", "theirs"), 0);
	assert_int_equal(lchown("theirs", 1000, 1000), 0);
	isnt("theirs", -EPERM, "theirs is not root's");
	assert_int_equal(mkdir("sub", 0755), 0);
	put("sub/file", "file");
	assert_int_equal(symlink("sub/file", "by-sub"), 0);
	is("by-sub", "file");
	assert_int_equal(chown("sub", 1000, 1000), 0);
	isnt("by-sub", -EPERM, "sub is not root's");
	assert_int_equal(chown("sub", 0, 0), 0);
	assert_int_equal(chmod("sub", 01777), 0);
	isnt("by-sub", -EPERM, "sub can be written by others");
	assert_int_equal(chmod("sub", 0755), 0);
	assert_int_equal(chmod("sub/file", 0666), 0);
	isnt("by-sub", -EPERM, "writable by root alone");
	/* Links are not followed where others could exchange them, or a folder above. */
	assert_int_equal(chmod(dir, 0777), 0);
	isnt("token", -EPERM, "one above it is not root's alone");
	assert_int_equal(chmod(dir, 01777), 0);
	is("token", "one");
	assert_int_equal(chown(top, 1000, 1000), 0);
	isnt("token", -EPERM, "one above it is not root's alone");
	assert_int_equal(chown(top, 0, 0), 0);
}

static void test_swap(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(mkdir("..2026_11_22_02", 0755), 0);
	put("..2026_11_22_02/token", "two");
	assert_int_equal(symlink("..2026_11_22_02", "..data_tmp"), 0);
	is("token", "one");
	assert_int_equal(rename("..data_tmp", "..data"), 0);
	is("token", "two");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_swap),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
