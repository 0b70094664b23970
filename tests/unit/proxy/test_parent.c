// SPDX-License-Identifier: Apache-2.0
/* A parent proxy: which words of the configuration are one, and which names it is asked for. The
 * asking itself is tests/e2e/parent.sh's. */
#include "proxy/parent.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_words(void **state)
{
	static const struct {
		const char *url, *host;
		uint16_t port; /* 0: refused */
	} rows[] = {
		{ "http://10.0.0.1:3128", "", 3128 },
		{ "http://10.0.0.1:3128/", "", 3128 },
		{ "http://[2001:db8::1]:8080", "", 8080 },
		{ "http://Parent.Corp:80", "parent.corp", 80 },
		{ "http://10.0.0.1", NULL, 0 },
		{ "http://10.0.0.1:0", NULL, 0 },
		{ "http://10.0.0.1:65536", NULL, 0 },
		{ "http://2001:db8::1:80", NULL, 0 },
		{ "http://[2001:db8::1:80", NULL, 0 },
		{ "http://me@parent.corp:80", NULL, 0 },
		{ "http://parent.corp:80/path", NULL, 0 },
		{ "https://parent.corp:443", NULL, 0 },
		{ "http://:80", NULL, 0 },
		{ "", NULL, 0 },
	};
	struct parent *p;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		p = NULL;
		assert_int_equal(parent_new(str_of(rows[i].url), NULL, 0, &p),
				 rows[i].port ? 0 : -EINVAL);
		if (!rows[i].port)
			continue;
		assert_int_equal(p->port, rows[i].port);
		assert_string_equal(p->host, rows[i].host);
		assert_int_equal(p->host_n, strlen(rows[i].host));
		parent_free(p);
	}
}

static void test_takes(void **state)
{
	static const struct {
		const char *word, *name;
		uint16_t port;
		bool takes;
	} rows[] = {
		{ "corp.test", "corp.test", 443, false },
		{ "Corp.Test", "a.corp.test", 443, false },
		{ "corp.test", "xcorp.test", 443, true },
		{ "corp.test", "test", 443, true },
		{ ".corp.test", "a.corp.test", 443, false },
		{ ".corp.test", "corp.test", 443, true },
		{ "*.corp.test", "a.b.corp.test", 443, false },
		{ "*.corp.test", "corp.test", 443, true },
		{ "corp.test:8443", "corp.test", 8443, false },
		{ "corp.test:8443", "corp.test", 443, true },
		{ "*", "any.test", 1, false },
		{ "10.0.0.0/8", "any.test", 443, true },
		{ "2001:db8::1", "any.test", 443, true },
		{ ".", "any.test", 443, true },
		{ "", "any.test", 443, true },
	};
	struct parent *p;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str word = str_of(rows[i].word);

		assert_int_equal(parent_new(STR("http://10.0.0.1:3128"), &word, 1, &p), 0);
		if (parent_takes(p, str_of(rows[i].name), rows[i].port) != rows[i].takes)
			fail_msg("%s, %s:%u", rows[i].word, rows[i].name, rows[i].port);
		assert_false(parent_takes(p, STR(""), 443)); /* an address */
		parent_free(p);
	}
	assert_false(parent_takes(NULL, STR("any.test"), 443));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_takes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
