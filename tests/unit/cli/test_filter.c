// SPDX-License-Identifier: Apache-2.0
/* Filters of `egret events`: repeated is OR, different is AND, --not, patterns, statuses, times. */
#include "cli/filter.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char line_text[] =
	"{\"schema\":\"egret.event/"
	"1\",\"seq\":48213,\"time\":\"2026-11-22T09:14:03.201118Z\",\"node\":\"ci-07\","
	"\"kind\":\"http.response\",\"verdict\":\"allow\",\"reason\":\"rule\",\"rule\":\"publish\","
	"\"job\":{\"id\":\"j-1\","
	"\"repo\":\"acme/"
	"web\"},\"dest\":{\"host\":\"api.github.com\",\"port\":443},\"http\":{\"method\":\"POST\","
	"\"status\":404},"
	"\"credential\":{\"name\":\"gh\",\"lease\":\"L7\"}}";

struct row {
	bool want;
	const char *words[8]; /* key, value, ...; "not" before a key */
};

static const struct row rows[] = {
	{ true, { NULL } },
	{ true, { "verdict", "allow" } },
	{ false, { "verdict", "deny" } },
	{ true, { "verdict", "deny", "verdict", "allow" } },
	{ false, { "verdict", "allow", "method", "GET" } },
	{ true, { "verdict", "allow", "method", "post" } },
	{ false, { "not", "verdict", "allow" } },
	{ true, { "not", "verdict", "deny" } },
	{ false, { "not", "verdict", "deny", "not", "host", "*.github.com" } },
	{ true, { "host", "*.GitHub.com" } },
	{ false, { "host", "github.com" } },
	{ true, { "kind", "http.*" } },
	{ true, { "job", "j-1", "repo", "acme/*" } },
	{ false, { "job", "j-2" } },
	{ true, { "status", "404" } },
	{ true, { "status", "4xx" } },
	{ true, { "status", "40X" } },
	{ true, { "status", "4+" } },
	{ false, { "status", "5+" } },
	{ false, { "status", "403" } },
	{ false, { "status", "2xx", "status", "5xx" } },
	{ true, { "credential", "gh", "lease", "L7", "rule", "publish", "reason", "rule" } },
	{ false, { "not", "rule", "pub*" } },
};

static void build(struct filters *f, const struct row *row)
{
	const char *why = "";
	bool negated = false;

	for (unsigned i = 0; i < ARRAY_SIZE(row->words) && row->words[i]; i++) {
		if (!strcmp(row->words[i], "not")) {
			negated = true;
			continue;
		}
		assert_int_equal(filter_add(f, filter_key_of(row->words[i]), row->words[i + 1],
					    negated, &why),
				 0);
		negated = false;
		i++;
	}
}

static void test_table(void **state)
{
	struct json_line *l = json_line_new();

	assert_int_equal(json_line_read(l, str_of(line_text)), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct filters f = { 0 };

		build(&f, &rows[i]);
		if (filter_match(&f, l) != rows[i].want)
			fail_msg("row %u", i);
	}
	json_line_free(l);
}

static void test_bad_values(void **state)
{
	struct filters f = { 0 };
	const char *why = NULL;

	assert_int_equal(filter_add(&f, FILTER_VERDICT, "denied", false, &why), -EINVAL);
	assert_non_null(why);
	assert_int_equal(filter_add(&f, FILTER_KIND, "http", false, &why), -EINVAL);
	assert_int_equal(filter_add(&f, FILTER_STATUS, "99", false, &why), -EINVAL);
	assert_int_equal(filter_add(&f, FILTER_STATUS, "abc", false, &why), -EINVAL);
	assert_int_equal(filter_add(&f, FILTER_STATUS, "4*x", false, &why), -EINVAL);
	assert_int_equal(filter_add(&f, FILTER_JOB, "", false, &why), -EINVAL);
	assert_int_equal(f.n, 0);
	assert_int_equal(filter_key_of("nothing"), FILTER_KEYS);
	for (unsigned i = 0; i < FILTERS_MAX; i++)
		assert_int_equal(filter_add(&f, FILTER_JOB, "x", false, &why), 0);
	assert_int_equal(filter_add(&f, FILTER_JOB, "x", false, &why), -E2BIG);
}

static void test_times(void **state)
{
	static const uint64_t now = 1795338843201118ull;
	static const struct {
		const char *in, *out;
	} times[] = {
		{ "5m", "2026-11-22T09:09:03.201118Z" },
		{ "2h30m", "2026-11-22T06:44:03.201118Z" },
		{ "1d", "2026-11-21T09:14:03.201118Z" },
		{ "1w", "2026-11-15T09:14:03.201118Z" },
		{ "999999999w", "1970-01-01T00:00:00.000000Z" },
		{ "2026-11-22", "2026-11-22T00:00:00.000000Z" },
		{ "2026-11-22T09:14Z", "2026-11-22T09:14:00.000000Z" },
		{ "2026-11-22T09:14:03Z", "2026-11-22T09:14:03.000000Z" },
		{ "2026-11-22 09:14:03.2", "2026-11-22T09:14:03.200000Z" },
		{ "2026-11-22T09:14:03.201118Z", "2026-11-22T09:14:03.201118Z" },
		{ "", NULL },
		{ "5", NULL },
		{ "5x", NULL },
		{ "m", NULL },
		{ "5mm", NULL },
		{ "2026-11", NULL },
		{ "2026-11-22T09", NULL },
		{ "2026-11-22T09:14:03+01:00", NULL },
		{ "2026-11-22T09:14:03.Z", NULL },
		{ "2026-11-22T09:14:03.12345678Z", NULL },
		{ "yesterday", NULL },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(times); i++) {
		char to[CLOCK_TEXT_MAX];
		int r = filter_time(times[i].in, now, to);

		if ((r == 0) != (times[i].out != NULL) || (!r && strcmp(to, times[i].out)))
			fail_msg("%s: %d %s", times[i].in, r, r ? "" : to);
	}
}

static void test_window(void **state)
{
	struct json_line *l = json_line_new();
	struct filters f = { 0 };

	assert_int_equal(json_line_read(l, str_of(line_text)), 0);
	assert_int_equal(filter_time("2026-11-22T09:14:03.201118Z", 0, f.since), 0);
	assert_int_equal(filter_time("2026-11-22T09:14:03.201118Z", 0, f.until), 0);
	assert_true(filter_match(&f, l));
	assert_int_equal(filter_time("2026-11-22T09:14:04Z", 0, f.since), 0);
	assert_false(filter_match(&f, l));
	f.since[0] = 0;
	assert_int_equal(filter_time("2026-11-22T09:14:03Z", 0, f.until), 0);
	assert_false(filter_match(&f, l));
	f.until[0] = 0;
	f.after = 48212;
	assert_true(filter_match(&f, l));
	f.after = 48213;
	assert_false(filter_match(&f, l));
	json_line_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_window),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
