/* SPDX-License-Identifier: Apache-2.0 */
/* What policy check warns of without refusing it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/compile.h"
#include <stdio.h>

/* TLS that is passed through to what many share, and values that nobody revokes. */
static void test_warned(void **state)
{
	static const struct {
		const char *rule, *said;
	} cases[] = {
		{ "tls://d111111abcdef8.cloudfront.net", "cloudfront.net, which many share" },
		{ "tls://**.fastly.net", "fastly.net, which many share" },
		{ "tls://github.io:8443", "github.io, which many share" },
		{ "tls://notfastly.net", NULL },
		{ "tls://db.acme.test:5432", NULL },
		{ "GET https://d111111abcdef8.cloudfront.net/**", NULL },
	};
	struct source s = { SOURCE_POLICY, STR("p.json"), { NULL, 0 } };
	const struct source mtls[] = {
		{ SOURCE_CREDENTIAL, STR("k.json"),
		  STR("{ \"name\": \"k\", \"provider\": \"store\", \"value\": \"store:k\", "
		      "\"for\": \"any\", \"hosts\": [ \"a.example.net\" ], \"inject\": { "
		      "\"header\": \"Authorization\", \"format\": \"{token}\" } }") },
	};
	struct compiled c;
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text),
			 "{ \"name\": \"p\", \"rules\": [ { \"id\": \"r\", \"allow\": \"%s\" } ] }",
			 cases[i].rule);
		s.text = str_of(text);
		assert_int_equal(policy_compile(&s, 1, 0, &c), 0);
		assert_int_equal(c.warnings.count, cases[i].said ? 1 : 0);
		if (cases[i].said)
			assert_non_null(strstr(c.warnings.text.p, cases[i].said));
		compiled_done(&c);
	}
	assert_int_equal(policy_compile(mtls, 1, 0, &c), 0);
	assert_non_null(strstr(c.warnings.text.p, "holds a static value"));
	compiled_done(&c);
}

/* A GitHub App's token that is as wide as the App. */
static void test_wide(void **state)
{
	static const struct {
		const char *keys;
		unsigned warnings;
		const char *said[2];
	} cases[] = {
		{ "",
		  2,
		  { "k.json:1:1: permissions: is not there: the token may do all that the App may",
		    "k.json:1:1: repositories: is not there: the token is good for each repository "
		    "of the installation" } },
		{ "\"permissions\": { \"contents\": \"read\" },",
		  1,
		  { "repositories: is not there" } },
		{ "\"repositories\": [ \"web\" ],", 1, { "permissions: is not there" } },
		{ "\"repositories\": [ \"web\" ], \"permissions\": { \"contents\": \"read\" },",
		  0,
		  { NULL } },
	};
	char text[1024];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct source s = { SOURCE_CREDENTIAL, STR("k.json"), { NULL, 0 } };
		struct compiled c;

		snprintf(text, sizeof(text),
			 "{ \"name\": \"k\", \"provider\": \"github-app\", \"app_id\": 1, \"key\": "
			 "\"store:k\", \"installation\": \"acme\", %s \"for\": \"any\", \"hosts\": "
			 "[ "
			 "\"api.github.com\" ], \"inject\": { \"header\": \"Authorization\", "
			 "\"format\": \"Bearer {token}\" } }",
			 cases[i].keys);
		s.text = str_of(text);
		assert_int_equal(policy_compile(&s, 1, 0, &c), 0);
		if (c.warnings.count != cases[i].warnings)
			fail_msg("%s: %.*s", cases[i].keys, STR_ARG(buf_str(&c.warnings.text)));
		for (size_t k = 0; k < 2 && cases[i].said[k]; k++)
			assert_non_null(memmem(c.warnings.text.p, c.warnings.text.n,
					       cases[i].said[k], strlen(cases[i].said[k])));
		compiled_done(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_warned),
		cmocka_unit_test(test_wide),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
