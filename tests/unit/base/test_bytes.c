/* SPDX-License-Identifier: Apache-2.0 */
/* Byte ranges, buffers, arenas, escaping, time as text, limits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_str(void **state)
{
	assert_true(str_eq(STR(""), (struct str){ NULL, 0 }));
	assert_true(str_eq_nocase(STR("HoSt"), STR("hOsT")));
	assert_false(str_eq_nocase(STR("\xc3\x84"), STR("\xc3\xa4"))); /* ASCII only */
	assert_false(str_eq_nocase(STR("@"), STR("`")));
	assert_true(str_is(STR("abc"), "abc"));
	assert_false(str_is(STR("abc\0"), "abc"));
	assert_true(str_starts(STR("abc"), "ab"));
	assert_false(str_starts(STR("ab"), "abc"));
}

static void test_numbers(void **state)
{
	static const struct {
		struct str s;
		int err;
		uint64_t v;
	} cases[] = {
		{ STR("0"), 0, 0 },
		{ STR("18446744073709551615"), 0, UINT64_MAX },
		{ STR("18446744073709551616"), -ERANGE, 0 },
		{ STR("99999999999999999999999"), -ERANGE, 0 },
		{ STR("99999999999999999999999x"), -EINVAL, 0 },
		{ STR(""), -EINVAL, 0 },
		{ STR("+1"), -EINVAL, 0 },
		{ STR("-1"), -EINVAL, 0 },
		{ STR(" 1"), -EINVAL, 0 },
		{ STR("1 "), -EINVAL, 0 },
		{ STR("0x10"), -EINVAL, 0 },
		{ STR("007"), 0, 7 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = 42;

		assert_int_equal(str_u64(cases[i].s, &v), cases[i].err);
		assert_int_equal(v, cases[i].err ? 42 : cases[i].v);
	}
}

static void test_num(void **state)
{
	static const struct {
		uint64_t v;
		const char *s;
	} cases[] = { { 0, "0" },
		      { 9, "9" },
		      { 10, "10" },
		      { 65535, "65535" },
		      { UINT64_MAX, "18446744073709551615" } };
	char room[20];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_true(str_is(str_num(cases[i].v, room), cases[i].s));
}

static void test_buf(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(buf_add(&b, "hello", 5), 0);
	assert_int_equal(buf_addf(&b, " %d", 42), 0);
	assert_true(str_is(buf_str(&b), "hello 42"));
	buf_consume(&b, 6);
	assert_true(str_is(buf_str(&b), "42"));
	assert_int_equal(buf_reserve(&b, 998), 0);
	assert_int_equal(buf_reserve(&b, 999), -EMSGSIZE);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
	assert_int_equal(buf_addf(&b, "%0999d", 1), -EMSGSIZE);
	assert_true(str_is(buf_str(&b), "42")); /* nothing was added */
	buf_consume(&b, 99);
	assert_int_equal(b.n, 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_add(&b, "x", 1), 0);
	assert_int_equal(buf_add(&b, "x", 1), -EMSGSIZE);
	assert_true(b.size <= 1000);
	buf_done(&b);
	buf_done(&b);
}

static void test_arena(void **state)
{
	struct arena a;
	struct str s;

	arena_init(&a, 100000);
	for (int i = 1; i < 300; i++) {
		uint8_t *p = arena_new(&a, (size_t)i);

		assert_int_equal((uintptr_t)p % 16, 0);
		for (int k = 0; k < i; k++)
			assert_int_equal(p[k], 0);
		memset(p, 0xff, (size_t)i);
	}
	s = arena_str(&a, STR("text"));
	assert_string_equal(s.p, "text");
	assert_non_null(arena_new(&a, 30000)); /* more than a block */
	arena_done(&a);
	arena_done(&a);
}

static int dies(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close(2);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void overfill(void)
{
	struct arena a;

	arena_init(&a, 100);
	arena_new(&a, 101);
}

static void test_die(void **state)
{
	assert_true(dies(overfill));
}

static void test_escape(void **state)
{
	static const struct {
		struct str from;
		const char *to;
	} cases[] = {
		{ STR("plain text"), "plain text" },
		{ STR("a\nb\r\x1b[31m\x7f"), "a\\x0ab\\x0d\\x1b[31m\\x7f" },
		{ STR("\xc3\xa9\0z"), "\\xc3\\xa9\\x00z" },
		{ STR("::set-output name=x::y"), "\\x3a:set-output name=x::y" },
		{ STR("x\n::error::y"), "x\\x0a\\x3a:error::y" },
		{ STR("  ::warning::"), "  \\x3a:warning::" },
		{ STR("a::b"), "a::b" },
		{ STR(":"), ":" },
		{ STR(""), "" },
	};
	char to[256], small[6];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(text_escape(to, sizeof(to), cases[i].from), strlen(cases[i].to));
		assert_string_equal(to, cases[i].to);
	}
	/* Cut at a whole character. */
	assert_int_equal(text_escape(small, sizeof(small), STR("abc\n")), 3);
	assert_string_equal(small, "abc");
	assert_int_equal(text_escape(small, sizeof(small), STR("abcdefgh")), 5);
	assert_int_equal(text_escape(small, 0, STR("abc")), 0);
	assert_int_equal(text_escape(small, 1, STR("abc")), 0);
}

static void test_clock(void **state)
{
	char text[CLOCK_TEXT_MAX];
	uint64_t a = clock_now_us(), b;

	clock_text(1795338843201118u, text);
	assert_string_equal(text, "2026-11-22T09:14:03.201118Z");
	clock_text(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
	clock_text(UINT64_MAX, text);
	assert_true(strlen(text) < CLOCK_TEXT_MAX);
	b = clock_now_us();
	assert_true(b >= a);
	assert_true(clock_now() >= a / 1000);
	assert_true(clock_wall_us() > 1700000000000000u);
}

static void test_limits(void **state)
{
	struct limits l;

	limits_init(&l);
	assert_int_equal(l.connections, 1024);
	assert_int_equal(l.events_follow_bytes, 1048576);
	for (size_t i = 0; i < limit_rows_n; i++) {
		const struct limit_row *r = &limit_rows[i];

		assert_true(r->min <= r->def && r->def <= r->max);
		assert_int_equal(limits_set(&l, str_of(r->key), r->max), 0);
		assert_int_equal(limits_set(&l, str_of(r->key), r->max + 1), -ERANGE);
		if (r->min)
			assert_int_equal(limits_set(&l, str_of(r->key), r->min - 1), -ERANGE);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(limit_rows[k].key, r->key);
	}
	assert_int_equal(l.jobs, 4000);
	assert_int_equal(limits_set(&l, STR("jobsx"), 1), -ENOENT);
	assert_int_equal(limits_set(&l, STR(""), 1), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_str),    cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_num),    cmocka_unit_test(test_buf),
		cmocka_unit_test(test_arena),  cmocka_unit_test(test_die),
		cmocka_unit_test(test_escape), cmocka_unit_test(test_clock),
		cmocka_unit_test(test_limits),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
