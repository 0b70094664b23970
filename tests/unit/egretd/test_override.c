/* SPDX-License-Identifier: Apache-2.0 */
/* Overrides on disk: what was written is read, what is damaged is none, and when one ends, with
 * clocks that were set and after another boot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "egretd/override_file.h"

#include "policy/policy.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define S 1000000ull
#define WALL 1800000000ull

static char path[] = "/tmp/egret-overrides.XXXXXX";

static struct override_kept one(unsigned i)
{
	struct override_kept k = { .begun_us = WALL * S,
				   .until_us = (WALL + 3600) * S,
				   .ends_us = 3700 * S,
				   .uid = i,
				   .pid = 7,
				   .least = ASSURANCE_SIGNED,
				   .boot = "b-1" };

	snprintf(k.repo, sizeof(k.repo), "acme/web-%u", i);
	snprintf(k.reason, sizeof(k.reason), "the mirror moved, INC-%u", i);
	return k;
}

static void test_disk(void **state)
{
	struct override_kept all[OVERRIDES_MAX], got[OVERRIDES_MAX];
	unsigned n = 99;
	char why[256];
	struct stat st;
	(void)state;

	unlink(path);
	assert_int_equal(overrides_read(path, got, &n, why, sizeof(why)), 0);
	assert_int_equal(n, 0);
	for (unsigned i = 0; i < OVERRIDES_MAX; i++)
		all[i] = one(i);
	memset(all[3].repo, 'r', OVERRIDE_REPO_MAX);
	memset(all[3].reason, '~', OVERRIDE_REASON_MAX);
	for (unsigned i = 0; i <= OVERRIDES_MAX; i++) {
		assert_int_equal(overrides_write(path, all, i), 0);
		assert_int_equal(overrides_read(path, got, &n, why, sizeof(why)), 0);
		assert_int_equal(n, i);
		for (unsigned k = 0; k < n; k++) {
			assert_string_equal(got[k].repo, all[k].repo);
			assert_string_equal(got[k].reason, all[k].reason);
			assert_int_equal(got[k].ends_us, all[k].ends_us);
			assert_int_equal(got[k].uid, k);
			assert_int_equal(got[k].least, ASSURANCE_SIGNED);
		}
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* Each byte changed, each length: nothing of it is an override. */
static void test_damage(void **state)
{
	struct override_kept k = one(1), got[OVERRIDES_MAX];
	unsigned char bytes[4096];
	unsigned n = 99;
	char why[256];
	ssize_t size;
	int fd;
	(void)state;

	assert_int_equal(overrides_write(path, &k, 1), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	size = read(fd, bytes, sizeof(bytes));
	assert_true(size > 16 && size < (ssize_t)sizeof(bytes));
	for (ssize_t i = 0; i < size; i++) {
		unsigned char wrong = bytes[i] ^ 0x21;

		assert_int_equal(pwrite(fd, &wrong, 1, i), 1);
		assert_int_equal(overrides_read(path, got, &n, why, sizeof(why)), -EBADMSG);
		assert_int_equal(pwrite(fd, &bytes[i], 1, i), 1);
	}
	for (ssize_t i = 0; i < size; i++) {
		assert_int_equal(ftruncate(fd, i), 0);
		if (i == 16) /* none, and whole */
			assert_int_equal(overrides_read(path, got, &n, why, sizeof(why)), 0);
		else
			assert_int_equal(overrides_read(path, got, &n, why, sizeof(why)), -EBADMSG);
		assert_int_equal(pwrite(fd, bytes, (size_t)size, 0), size);
	}
	assert_int_equal(fchmod(fd, 0660), 0);
	assert_int_equal(overrides_read(path, got, &n, why, sizeof(why)), -EPERM);
	assert_non_null(strstr(why, "others than egretd"));
	close(fd);
	/* Times that no override can have. */
	k.until_us = k.begun_us + OVERRIDE_TTL_MAX_MS * 1000 + 1;
	assert_int_equal(overrides_write(path, &k, 1), 0);
	assert_int_equal(overrides_read(path, got, &n, why, sizeof(why)), -EBADMSG);
	k = one(1);
	k.least = ASSURANCE_UNVERIFIED;
	assert_int_equal(overrides_write(path, &k, 1), 0);
	assert_int_equal(overrides_read(path, got, &n, why, sizeof(why)), -EBADMSG);
}

static void test_end(void **state)
{
	static const struct {
		const char *boot;
		uint64_t boot_s, wall_s, left_s;
	} rows[] = {
		{ "b-1", 100, WALL, 3600 },
		{ "b-1", 3699, WALL + 3599, 1 },
		{ "b-1", 3700, WALL + 3600, 0 },
		/* The wall clock was set: in the same boot it changes nothing. */
		{ "b-1", 200, WALL - 86400, 3500 },
		{ "b-1", 200, WALL + 86400, 3500 },
		{ "b-1", 3700, WALL - 86400, 0 },
		/* Another boot, whose clock began at nothing. */
		{ "b-2", 10, WALL + 600, 3000 },
		{ "b-2", 10, WALL + 3600, 0 },
		{ "b-2", 10, WALL - 1, 0 },
		{ "b-2", 10, 0, 0 },
		{ "b-2", 99999, WALL, 3600 },
	};
	const struct override_kept k = one(1);
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(
			override_left(&k, rows[i].boot, rows[i].boot_s * S, rows[i].wall_s * S),
			rows[i].left_s * S);
}

static int set_up(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	return fd < 0;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_end),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
