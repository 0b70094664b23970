/* SPDX-License-Identifier: Apache-2.0 */
/* The matcher against its table (match_cases.h): each request goes the proxy's way, connection
 * first, then the request on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "cli/verb_policy.h"
#include "unit/policy/match_policies.h"
#include "unit/policy/match_cases.h"

static struct compiled compiled[P_COUNT];
static struct policy opened[P_COUNT];

static int setup(void **state)
{
	for (int i = 0; i < P_COUNT; i++) {
		struct source s = { SOURCE_POLICY, STR("table.json"), str_of(policies[i]) };

		if (policy_compile(&s, 1, 0, &compiled[i]) < 0) {
			print_error("%.*s", STR_ARG(buf_str(&compiled[i].errors.text)));
			return -1;
		}
		if (policy_open(compiled[i].policies[0], &opened[i]) < 0)
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < P_COUNT; i++)
		compiled_done(&compiled[i]);
	return 0;
}

static void outcome(const struct decision *d, char *to, size_t size)
{
	const char *mark = "";

	if (d->verdict.verdict == VERDICT_WOULD_DENY)
		snprintf(to, size, "w");
	else if (d->verdict.reason == REASON_BAD_TARGET)
		snprintf(to, size, "%%");
	else if (d->verdict.reason == REASON_BAD_NAME)
		snprintf(to, size, "@");
	else if (!d->verdict.rule.n)
		snprintf(to, size, "-");
	else {
		if (d->verdict.verdict == VERDICT_DENY)
			mark = "!";
		else if (d->passed_through)
			mark = "~";
		snprintf(to, size, "%s%.*s%s", mark, STR_ARG(d->verdict.rule),
			 d->verdict.refs && d->verdict.verdict == VERDICT_ALLOW ? "+" : "");
	}
}

static void table(void **state)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *why = "";
		struct decision d;
		char got[160];

		if (policy_decide(&opened[cases[i].policy], str_of(cases[i].request), &d, &why) < 0)
			snprintf(got, sizeof(got), "error: %s", why);
		else
			outcome(&d, got, sizeof(got));
		if (strcmp(got, cases[i].expect) == 0)
			continue;
		wrong++;
		print_error("policy %d, %s: expected %s, got %s\n", cases[i].policy,
			    cases[i].request, cases[i].expect, got);
	}
	print_message("# %zu cases\n", ARRAY_SIZE(cases));
	assert_int_equal(wrong, 0);
	assert_true(ARRAY_SIZE(cases) >= 300);
}

static void deny_names_nearest(void **state)
{
	struct decision d;
	const char *why;

	assert_int_equal(policy_decide(&opened[P_METHODS], STR("POST https://h.test.example/read"),
				       &d, &why),
			 0);
	assert_true(str_eq(d.verdict.nearest, STR("read: allow READ https://h.test.example/read")));
	assert_string_equal(d.suggest, "{ \"allow\": \"POST https://h.test.example/read\" }");
	assert_int_equal(
		policy_decide(&opened[P_HOSTS], STR("GET https://y.example.com/"), &d, &why), 0);
	assert_true(d.verdict.nearest.n > 0);
	assert_int_equal(policy_decide(&opened[P_EMPTY], STR("GET https://y.example.com:444/a\"b"),
				       &d, &why),
			 0);
	assert_int_equal(d.verdict.nearest.n, 0);
	assert_string_equal(d.suggest, "{ \"allow\": \"GET https://y.example.com:444/a%22b\" }");
}

/* What was suggested, written into the policy, allows the request. */
static void suggestion_works(void **state)
{
	unsigned tried = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct decision d;
		const char *why;
		char text[4096];
		struct compiled c;
		struct policy p;
		struct source s;

		if (strcmp(cases[i].expect, "-") != 0 ||
		    policy_decide(&opened[cases[i].policy], str_of(cases[i].request), &d, &why) <
			    0 ||
		    !d.suggest[0] || strchr(d.suggest, '*'))
			continue;
		snprintf(text, sizeof(text), "{ \"rules\": [ %s ] }", d.suggest);
		s = (struct source){ SOURCE_POLICY, STR("s.json"), str_of(text) };
		if (policy_compile(&s, 1, 0, &c) < 0)
			fail_msg("%s: %.*s", d.suggest, STR_ARG(buf_str(&c.errors.text)));
		assert_int_equal(policy_open(c.policies[0], &p), 0);
		assert_int_equal(policy_decide(&p, str_of(cases[i].request), &d, &why), 0);
		assert_int_equal(d.verdict.verdict, VERDICT_ALLOW);
		compiled_done(&c);
		tried++;
	}
	assert_true(tried > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(deny_names_nearest),
		cmocka_unit_test(suggestion_works),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
