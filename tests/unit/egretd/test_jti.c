/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of used tokens: once is once, also after a start anew, a torn end and expiry. */
#include "egretd/jti.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW 1800000000ull
#define RECORD 48

static char dir[] = "/tmp/egret-jti-XXXXXX";
static char path[64];

static int setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/jti", dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return rmdir(dir);
}

static struct jti *opened(uint64_t now)
{
	struct jti *j = NULL;
	char why[512] = "";
	int r = jti_open(dir, now, &j, why, sizeof(why));

	if (r < 0)
		print_error("%s\n", why);
	assert_int_equal(r, 0);
	return j;
}

static int take(struct jti *j, const char *name, uint64_t expires, uint64_t now)
{
	char why[512] = "";
	int r = jti_take(j, STR("https://ci.test"), str_of(name), expires, now, why, sizeof(why));

	assert_true(r == 0 || why[0]);
	return r;
}

static void once(void **state)
{
	struct jti *j = opened(NOW);
	char why[512];

	assert_int_equal(take(j, "a", NOW + 300, NOW), 0);
	assert_int_equal(take(j, "a", NOW + 300, NOW), -EEXIST);
	assert_int_equal(take(j, "b", NOW + 300, NOW), 0);
	assert_int_equal(
		jti_take(j, STR("https://other.test"), STR("a"), NOW + 300, NOW, why, sizeof(why)),
		0);
	assert_int_equal(take(j, "c", NOW + 8 * 86400, NOW), -EINVAL);
	jti_close(j);
	j = opened(NOW + 10);
	assert_int_equal(take(j, "b", NOW + 300, NOW + 10), -EEXIST);
	jti_close(j);
	/* Expired, and past the leeway of its check: nobody would take it, it need not be kept. */
	jti_close(opened(NOW + 361));
	j = opened(NOW + 361);
	assert_int_equal(take(j, "b", NOW + 700, NOW + 361), 0);
	jti_close(j);
	unlink(path);
}

/* Whatever is left of the last record after a crash: those before it are known, and it is either
 * known or its job never went on. */
static void cut_everywhere(void **state)
{
	for (off_t cut = 0; cut <= 3 * RECORD; cut++) {
		struct jti *j = opened(NOW);

		assert_int_equal(take(j, "a", NOW + 300, NOW), 0);
		assert_int_equal(take(j, "b", NOW + 300, NOW), 0);
		assert_int_equal(take(j, "c", NOW + 300, NOW), 0);
		jti_close(j);
		assert_int_equal(truncate(path, cut), 0);
		j = opened(NOW);
		assert_int_equal(take(j, "a", NOW + 300, NOW), cut >= RECORD ? -EEXIST : 0);
		assert_int_equal(take(j, "b", NOW + 300, NOW), cut >= 2 * RECORD ? -EEXIST : 0);
		assert_int_equal(take(j, "c", NOW + 300, NOW), cut >= 3 * RECORD ? -EEXIST : 0);
		jti_close(j);
		unlink(path);
	}
}

static void damaged(void **state)
{
	for (off_t at = 0; at < RECORD; at++) {
		struct jti *j = opened(NOW);
		char why[512] = "", c;
		int fd;

		assert_int_equal(take(j, "a", NOW + 300, NOW), 0);
		jti_close(j);
		fd = open(path, O_RDWR | O_CLOEXEC);
		assert_int_equal(pread(fd, &c, 1, at), 1);
		c = (char)(c ^ 1);
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
		close(fd);
		assert_int_equal(jti_open(dir, NOW, &j, why, sizeof(why)), -EBADMSG);
		assert_non_null(strstr(why, "damaged"));
		unlink(path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once),
		cmocka_unit_test(cut_everywhere),
		cmocka_unit_test(damaged),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
