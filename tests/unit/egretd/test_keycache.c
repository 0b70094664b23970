/* SPDX-License-Identifier: Apache-2.0 */
/* How long an issuer's keys are believed, whatever its server says, and how often it is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "egretd/keycache.h"

#include "base/bytes.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define T0 1000000ull
#define MINUTE 60000ull

static int keys(void)
{
	int fd = memfd_create("keys", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void test_life(void **state)
{
	static const struct {
		uint64_t said, good;
	} rows[] = {
		{ KEYCACHE_UNSAID, 10 * MINUTE },
		{ 5 * MINUTE, 5 * MINUTE },
		{ 0, MINUTE }, /* no-store: kept as long as it may not be asked again */
		{ 59999, MINUTE },
		{ 60001, 60001 },
		{ 60 * MINUTE, 60 * MINUTE },
		{ 24 * 60 * MINUTE, 60 * MINUTE },
		{ UINT64_MAX - 1, 60 * MINUTE },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct keycache k = { 0 };
		int fd = keys();

		keycache_put(&k, fd, rows[i].said, T0);
		assert_int_equal(keycache_get(&k, T0 + rows[i].good - 1), fd);
		assert_int_equal(keycache_get(&k, T0 + rows[i].good), -1);
		assert_int_equal(fcntl(fd, F_GETFD), -1); /* gone, not kept for later */
		keycache_done(&k);
	}
}

static void test_ask(void **state)
{
	struct keycache k = { 0 };
	int first = keys(), second = keys();
	(void)state;

	assert_int_equal(keycache_get(&k, T0), -1);
	/* Without keys, each time: the one before may have failed. */
	assert_true(keycache_ask(&k, T0));
	assert_true(keycache_ask(&k, T0 + 1));
	keycache_put(&k, first, 30 * MINUTE, T0 + 2);
	/* Tokens of unknown keys, one after the other. */
	assert_false(keycache_ask(&k, T0 + 3));
	assert_false(keycache_ask(&k, T0 + MINUTE));
	assert_true(keycache_ask(&k, T0 + 1 + MINUTE));
	/* That question failed: the keys that are there stay, and it counts all the same. */
	assert_int_equal(keycache_get(&k, T0 + 1 + MINUTE), first);
	assert_false(keycache_ask(&k, T0 + 2 + MINUTE));
	assert_true(keycache_ask(&k, T0 + 1 + 2 * MINUTE));
	keycache_put(&k, second, 30 * MINUTE, T0 + 1 + 2 * MINUTE);
	assert_int_equal(keycache_get(&k, T0 + 2 + 2 * MINUTE), second);
	assert_int_equal(fcntl(first, F_GETFD), -1);
	/* Over: asked at once. */
	assert_true(keycache_ask(&k, T0 + 1 + 32 * MINUTE));
	keycache_done(&k);
	assert_int_equal(fcntl(second, F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_ask),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
