/* SPDX-License-Identifier: Apache-2.0 */
/* For test_load.c: a policy with its credential, and several credentials of one name. */
#ifndef TEST_POLICY_LOAD_NAMES_H
#define TEST_POLICY_LOAD_NAMES_H

#include "policy/compile.h"
#include <stdio.h>
#include <string.h>

static int both(const char *policy, const char *credential, const char *expect)
{
	struct source s[] = { { SOURCE_POLICY, STR("p"), str_of(policy) },
			      { SOURCE_CREDENTIAL, STR("c"), str_of(credential) } };
	struct compiled c;
	int r = policy_compile(s, 2, 0, &c);

	if (r < 0) {
		struct str e = buf_str(&c.errors.text);

		assert_non_null(memmem(e.p, e.n, expect, strlen(expect)));
	}
	compiled_done(&c);
	return r;
}

static void policy_and_credential(void **state)
{
	const char *cred = credentials[0].text;

	assert_int_equal(
		both(RULE("{ \"allow\": \"GET https://a.example.net\", \"credential\": \"c\" }"),
		     cred, ""),
		0);
	assert_int_equal(
		both(RULE("{ \"allow\": \"GET https://a.example.net\", \"credential\": \"d\" }"),
		     cred, "no credential is named \"d\""),
		-22);
	assert_int_equal(
		both(RULE("{ \"allow\": \"GET https://b.example.net\", \"credential\": \"c\" }"),
		     cred, "may not go to this rule's host"),
		-22);
	assert_int_equal(
		both(RULE("{ \"allow\": \"GET https://*.example.net\", \"credential\": \"c\" }"),
		     cred, "may not go to this rule's host"),
		-22);
}

/* One name for several jobs: which one a job gets must never be a matter of luck. */
static void credentials_of_one_name(void **state)
{
	static const struct {
		const char *a, *b;
		bool tie;
	} rows[] = {
		{ "\"any\"", "\"any\"", true },
		{ "\"any\"", "[ { \"repo\": \"acme/web\" } ]", false },
		{ "[ { \"environment\": \"dev\" } ]", "[ { \"environment\": \"production\" } ]",
		  false },
		{ "[ { \"environment\": \"prod*\" } ]", "[ { \"environment\": \"production\" } ]",
		  true },
		{ "[ { \"repo\": \"acme/*\" } ]", "[ { \"repo\": \"acme/*\" } ]", true },
		{ "[ { \"repo\": \"acme/*\" } ]",
		  "[ { \"repo\": \"acme/*\", \"ref\": \"refs/heads/main\" } ]", false },
		/* A job can be both; no job has to be. Seen when there is one. */
		{ "[ { \"repo\": \"acme/web\" } ]", "[ { \"environment\": \"dev\" } ]", false },
		{ "[ { \"repo\": [\"a/x\", \"a/y\"] } ]",
		  "[ { \"ref\": \"m\" }, { \"repo\": \"a/y\" } ]", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct source s[] = { { SOURCE_CREDENTIAL, STR("one.json"), { 0 } },
				      { SOURCE_CREDENTIAL, STR("two.json"), { 0 } } };
		char text[2][512];
		struct compiled c;
		int r;

		for (unsigned k = 0; k < 2; k++) {
			(void)snprintf(text[k], sizeof(text[k]),
				       CRED("\"for\": %s, \"hosts\": [\"a.example.net\"], " INJECT),
				       k ? rows[i].b : rows[i].a);
			s[k].text = str_of(text[k]);
		}
		r = policy_compile(s, 2, 0, &c);
		assert_int_equal(r, rows[i].tie ? -22 : 0);
		if (rows[i].tie)
			assert_non_null(
				strstr(c.errors.text.p,
				       "two.json:1:1: name: \"c\" is also the name of one.json"));
		else
			assert_int_equal(c.ncredentials, 2);
		compiled_done(&c);
	}
}

/* Several names, and a job has one variable of each name. */
static void variables_of_two(void **state)
{
	static const struct {
		const char *jobs, *env, *value;
		bool clash;
	} rows[] = {
		{ "\"any\"", "\"A\", \"GH_TOKEN\"", "egret__two__", true },
		{ "\"any\"", "\"A\"", "egret__two__", false },
		{ "\"any\"", "\"GH_TOKEN\"", "egret__one__", false },
		/* Seen when there is a job. */
		{ "[ { \"repo\": \"acme/web\" } ]", "\"GH_TOKEN\"", "egret__two__", false },
	};
	static const char form[] =
		"{ \"name\": \"%s\", \"provider\": \"store\", \"value\": \"s\", \"for\": %s, "
		"\"hosts\": [\"a.example.net\"], \"inject\": { \"header\": \"x-%s\" }, "
		"\"placeholder\": { \"env\": [%s], \"value\": \"%s\" } }";

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct source s[] = { { SOURCE_CREDENTIAL, STR("one.json"), { 0 } },
				      { SOURCE_CREDENTIAL, STR("two.json"), { 0 } } };
		char text[2][512];
		struct compiled c;

		(void)snprintf(text[0], sizeof(text[0]), form, "one", "\"any\"", "one",
			       "\"GH_TOKEN\"", "egret__one__");
		(void)snprintf(text[1], sizeof(text[1]), form, "two", rows[i].jobs, "two",
			       rows[i].env, rows[i].value);
		s[0].text = str_of(text[0]);
		s[1].text = str_of(text[1]);
		assert_int_equal(policy_compile(s, 2, 0, &c), rows[i].clash ? -22 : 0);
		if (rows[i].clash)
			assert_non_null(strstr(c.errors.text.p,
					       "two.json:1:1: placeholder: GH_TOKEN is filled by "
					       "one.json too"));
		compiled_done(&c);
	}
}

#endif
