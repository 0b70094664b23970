// SPDX-License-Identifier: Apache-2.0
/* Names kept for their time: found, replaced, forgotten, bounded. */
#include "base/resolve_cache.h"

#include "base/resolve.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static const uint8_t two[2][16] = { { 1 }, { 2 } };
static uint8_t got[RESOLVE_MAX][16];

static void kept(void **state)
{
	struct resolve_cache *c = resolve_cache_new();

	assert_int_equal(resolve_cache_get(c, STR("a.test"), got), 0);
	resolve_cache_put(c, STR("a.test"), two, 2, 60);
	assert_int_equal(resolve_cache_get(c, STR("a.test"), got), 2);
	assert_memory_equal(got, two, sizeof(two));
	assert_int_equal(resolve_cache_get(c, STR("a.tes"), got), 0);
	assert_int_equal(resolve_cache_get(c, STR("b.test"), got), 0);
	resolve_cache_put(c, STR("a.test"), two + 1, 1, 60);
	assert_int_equal(resolve_cache_get(c, STR("a.test"), got), 1);
	assert_int_equal(got[0][0], 2);
	resolve_cache_free(c);
}

static void not_kept(void **state)
{
	static const uint8_t many[RESOLVE_MAX + 1][16];
	struct resolve_cache *c = resolve_cache_new();
	char name[300];

	resolve_cache_put(c, STR("zero.test"), two, 2, 0);
	assert_int_equal(resolve_cache_get(c, STR("zero.test"), got), 0);
	resolve_cache_put(c, STR("none.test"), two, 0, 60);
	assert_int_equal(resolve_cache_get(c, STR("none.test"), got), 0);
	resolve_cache_put(c, STR("many.test"), many, RESOLVE_MAX + 1, 60);
	assert_int_equal(resolve_cache_get(c, STR("many.test"), got), 0);
	memset(name, 'a', sizeof(name));
	resolve_cache_put(c, (struct str){ name, 256 }, two, 2, 60);
	assert_int_equal(resolve_cache_get(c, (struct str){ name, 256 }, got), 0);
	resolve_cache_free(c);
}

static void its_time(void **state)
{
	const struct timespec more = { 1, 100 * 1000 * 1000 };
	struct resolve_cache *c = resolve_cache_new();

	resolve_cache_put(c, STR("short.test"), two, 2, 1);
	resolve_cache_put(c, STR("long.test"), two, 2, UINT32_MAX);
	assert_int_equal(resolve_cache_get(c, STR("short.test"), got), 2);
	nanosleep(&more, NULL);
	assert_int_equal(resolve_cache_get(c, STR("short.test"), got), 0);
	assert_int_equal(resolve_cache_get(c, STR("long.test"), got), 2);
	/* It comes back in its old place. */
	resolve_cache_put(c, STR("short.test"), two, 2, 60);
	assert_int_equal(resolve_cache_get(c, STR("short.test"), got), 2);
	resolve_cache_free(c);
}

static void bounded(void **state)
{
	struct resolve_cache *c = resolve_cache_new();
	unsigned there = 0;
	char name[32];

	for (int i = 0; i < 3 * RESOLVE_KEPT; i++) {
		(void)snprintf(name, sizeof(name), "n%d.test", i);
		resolve_cache_put(c, str_of(name), two, 1, 60);
		assert_int_equal(resolve_cache_get(c, str_of(name), got), 1);
	}
	for (int i = 0; i < 3 * RESOLVE_KEPT; i++) {
		(void)snprintf(name, sizeof(name), "n%d.test", i);
		there += resolve_cache_get(c, str_of(name), got);
	}
	assert_int_equal(there, RESOLVE_KEPT);
	resolve_cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(kept), cmocka_unit_test(not_kept),
					    cmocka_unit_test(its_time), cmocka_unit_test(bounded) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
