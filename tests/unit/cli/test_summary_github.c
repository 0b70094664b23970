// SPDX-License-Identifier: Apache-2.0
/* Refusals as workflow commands: one line each, at most ten, and nothing that a job wrote begins or
 * ends a command. */
#include "cli/summary_github.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void add(struct tally *t, struct json_line *l, unsigned seq, const char *verdict,
		const char *reason, const char *url)
{
	char line[1024];

	snprintf(line, sizeof(line),
		 "{\"seq\":%u,\"time\":\"2026-11-22T09:14:03Z\",\"kind\":\"http.request\","
		 "\"verdict\":\"%s\",\"reason\":\"%s\","
		 "\"suggest\":\"{ \\\"allow\\\": \\\"GET https://evil.test/100%%25\\\" "
		 "}\",\"dest\":{\"host\":\"evil.test\",\"port\":443},"
		 "\"http\":{\"method\":\"GET\",\"url\":\"%s\"}}",
		 seq, verdict, reason, url);
	assert_int_equal(json_line_read(l, str_of(line)), 0);
	tally_add(t, l);
}

static void test_lines(void **state)
{
	struct json_line *l = json_line_new();
	struct tally t = { 0 };
	struct buf out;
	char url[64];
	unsigned lines = 0, errors = 0;

	for (unsigned i = 0; i < 14; i++) {
		snprintf(url, sizeof(url), "https://evil.test/%u", i);
		add(&t, l, i + 2, "deny", "no_rule", url);
	}
	add(&t, l, 16, "deny", "no_rule", "https://evil.test/0");
	add(&t, l, 17, "deny", "no_rule", "https://evil.test/0");
	add(&t, l, 18, "allow", "rule", "https://good.test/");
	tally_sort(&t);
	buf_init(&out, 1u << 20);
	assert_int_equal(summary_github(&out, &t), 0);
	assert_int_equal(buf_add(&out, "", 1), 0);
	assert_ptr_equal(strstr(out.p, "::error title=egret::GET https://evil.test/0 was refused 3 "
				       "times: no rule allows it; to allow it, add"),
			 out.p);
	assert_non_null(
		strstr(out.p, "{ \"allow\": \"GET https://evil.test/100%2525\" } (egret why 2)\n"));
	for (const char *at = out.p; (at = strchr(at, '\n')); at++)
		lines++;
	for (const char *at = out.p; (at = strstr(at, "::error ")); at++)
		errors++;
	assert_int_equal(errors, 10);
	assert_int_equal(lines, 11);
	assert_non_null(strstr(out.p, "\negret: and 4 others; the step summary"));
	assert_null(strstr(out.p, "good.test"));
	buf_done(&out);
	tally_done(&t);
	json_line_free(l);
}

static void test_hostile(void **state)
{
	struct json_line *l = json_line_new();
	struct tally t = { 0 };
	struct buf out;
	unsigned lines = 0;

	add(&t, l, 2, "deny", "no_rule",
	    "https://evil.test/\\n::set-env name=X::y\\r\\n::stop-commands::z%0A::error::w");
	tally_sort(&t);
	buf_init(&out, 1u << 20);
	assert_int_equal(summary_github(&out, &t), 0);
	assert_int_equal(buf_add(&out, "", 1), 0);
	for (const char *at = out.p; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 1);
	assert_null(strchr(out.p, '\r'));
	/* What the runner reads back as a line's end was never one: its percent sign is data. */
	assert_null(strstr(out.p, "z%0A"));
	assert_non_null(strstr(out.p, "z%250A"));
	buf_done(&out);
	tally_done(&t);
	json_line_free(l);
}

static void test_nothing(void **state)
{
	struct tally t = { 0 };
	struct buf out;

	buf_init(&out, 1024);
	assert_int_equal(summary_github(&out, &t), 0);
	assert_int_equal(out.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines),
					    cmocka_unit_test(test_hostile),
					    cmocka_unit_test(test_nothing) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
