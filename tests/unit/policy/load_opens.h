/* SPDX-License-Identifier: Apache-2.0 */
/* For test_load.c: which policies let a job meet no certificate but its own CA's. */
#ifndef TEST_POLICY_LOAD_OPENS_H
#define TEST_POLICY_LOAD_OPENS_H

#include "policy/compile.h"
#include <stdio.h>

static bool opens_tls(const char *more)
{
	char text[512];
	struct source s = { SOURCE_POLICY, STR("p.json"), { text, 0 } };
	struct compiled c;
	struct policy p;
	bool is;

	s.text.n = (size_t)snprintf(text, sizeof(text), "{ %s", more);
	assert_int_equal(policy_compile(&s, 1, 0, &c), 0);
	assert_int_equal(policy_open(c.policies[0], &p), 0);
	is = policy_opens_tls(&p);
	compiled_done(&c);
	return is;
}

static void opens_all_tls(void **state)
{
	(void)state;
	assert_true(opens_tls("\"rules\": [] }"));
#define RULES(text) \
	"\"rules\": [ { \"allow\": \"READ https://a.example.net:443,8443\" }, " text " ] }"
	assert_true(opens_tls(RULES("{ \"allow\": \"GET http://b.example.net\" }")));
	assert_true(opens_tls(RULES("{ \"allow\": \"tcp://git.example.net:22\" }")));
	assert_true(opens_tls(RULES("{ \"deny\": \"tls://b.example.net\" }")));
	assert_true(opens_tls(RULES("{ \"deny\": \"tcp://b.example.net:25\" }")));
	assert_false(opens_tls(RULES("{ \"allow\": \"tls://b.example.net\" }")));
	assert_false(opens_tls(
		RULES("{ \"allow\": \"tls://b.example.net\", \"until\": \"2020-01-01\" }")));
	assert_false(opens_tls(RULES("{ \"allow\": \"tcp://b.example.net:5432\" }")));
	assert_false(opens_tls(RULES("{ \"allow\": \"tcp://b.example.net:22,443\" }")));
	assert_false(opens_tls(RULES("{ \"direct\": \"198.51.100.7:5432\" }")));
	assert_false(opens_tls(RULES("{ \"direct\": \"198.51.100.7:443/udp\" }")));
	assert_false(opens_tls(RULES("{ \"allow\": \"services\" }")));
	assert_false(opens_tls("\"mode\": \"audit\", \"rules\": [] }"));
#undef RULES
}

#endif
