/* SPDX-License-Identifier: Apache-2.0 */
/* Many paths on one host: what the chains over their beginnings leave out could not have fitted,
 * and of those that fit the most specific is found first. The judge is a policy of one rule, which
 * has no chains. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/compile.h"

#define RULES 240
#define PATHS 3000

static unsigned seed = 7;

static unsigned roll(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % n;
}

static void open_policy(const char *text, struct compiled *c, struct policy *p)
{
	struct source s = { SOURCE_POLICY, STR("paths.json"), str_of(text) };

	if (policy_compile(&s, 1, 0, c) < 0)
		fail_msg("%.*s\n%.200s", STR_ARG(buf_str(&c->errors.text)), text);
	assert_int_equal(policy_open(c->policies[0], p), 0);
}

static void ask(const struct policy *p, const char *path, struct verdict *v)
{
	struct request_query q = { .scheme = SCHEME_HTTPS,
				   .port = 443,
				   .method = STR("GET"),
				   .host = STR("one.example"),
				   .path = str_of(path) };

	policy_request(p, &q, v);
}

static void make_path(char *to, size_t size, bool pattern)
{
	static const char *const words[] = { "a", "b", "ab", "c.d", "*", "a*", "**" };
	unsigned n = 1 + roll(8);
	size_t at = 0;

	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(to + at, size - at, "/%s", words[roll(pattern ? 7 : 4)]);
	if (roll(6) == 0)
		snprintf(to + at, size - at, "/");
}

static void denied_by_any(void **state)
{
	static char text[RULES * 120], one[300], patterns[RULES][100];
	static struct compiled big, single[RULES];
	static struct policy all, alone[RULES];
	unsigned denied = 0;
	size_t at;

	at = (size_t)snprintf(text, sizeof(text), "{ \"rules\": [ ");
	for (unsigned i = 0; i < RULES; i++) {
		/* Most begin with a word of their own, as repositories do; few with a star. */
		int n = roll(8) ? snprintf(patterns[i], sizeof(patterns[i]), "/%c%u", 'a' + i % 26,
					   i)
				: snprintf(patterns[i], sizeof(patterns[i]), "/%c",
					   "*a"[i % 8 != 0]);

		make_path(patterns[i] + n, sizeof(patterns[i]) - (size_t)n, true);
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "{ \"deny\": \"https://one.example%s\" },\n", patterns[i]);
		snprintf(one, sizeof(one),
			 "{ \"rules\": [ { \"deny\": \"https://one.example%s\" }, { \"allow\": "
			 "\"GET https://one.example/**\" } ] }",
			 patterns[i]);
		open_policy(one, &single[i], &alone[i]);
	}
	snprintf(text + at, sizeof(text) - at, "{ \"allow\": \"GET https://one.example/**\" } ] }");
	open_policy(text, &big, &all);
	for (unsigned k = 0; k < PATHS; k++) {
		struct verdict v, w;
		bool any = false;
		char path[120];
		int n = 0;

		if (roll(2)) {
			unsigned i = roll(RULES);

			n = snprintf(path, sizeof(path), "/%c%u", 'a' + i % 26, i);
		}
		make_path(path + n, sizeof(path) - (size_t)n, false);
		ask(&all, path, &v);
		for (unsigned i = 0; i < RULES && !any; i++) {
			ask(&alone[i], path, &w);
			any = w.verdict == VERDICT_DENY;
		}
		if (any != (v.verdict == VERDICT_DENY))
			fail_msg("%s: %s", path,
				 any ? "one rule denies it, all together do not"
				     : "no rule denies it");
		denied += any;
	}
	assert_in_range(denied, PATHS / 20, PATHS * 19 / 20);
	for (unsigned i = 0; i < RULES; i++)
		compiled_done(&single[i]);
	compiled_done(&big);
}

static void most_specific(void **state)
{
	char text[8192], path[256], want[16];
	struct compiled c;
	struct policy p;
	size_t at, n = 0;

	at = (size_t)snprintf(text, sizeof(text), "{ \"rules\": [ ");
	for (unsigned i = 0; i < 30; i++) {
		n += (size_t)snprintf(path + n, sizeof(path) - n, "/s%u", i);
		at += (size_t)snprintf(
			text + at, sizeof(text) - at,
			"{ \"id\": \"d%u\", \"allow\": \"GET https://one.example%s/**\" },\n", i,
			path);
	}
	snprintf(text + at, sizeof(text) - at,
		 "{ \"id\": \"last\", \"allow\": \"GET https://one.example/other\" } ] }");
	open_policy(text, &c, &p);
	n = 0;
	for (unsigned i = 0; i < 30; i++) {
		struct verdict v;

		n += (size_t)snprintf(path + n, sizeof(path) - n, "/s%u", i);
		snprintf(want, sizeof(want), "d%u", i);
		ask(&p, path, &v);
		assert_int_equal(v.verdict, VERDICT_ALLOW);
		assert_int_equal(v.rule.n, strlen(want));
		assert_memory_equal(v.rule.p, want, v.rule.n);
	}
	compiled_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(denied_by_any),
					    cmocka_unit_test(most_specific) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
