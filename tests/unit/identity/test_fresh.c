/* SPDX-License-Identifier: Apache-2.0 */
/* What the server of a key set says of its age (RFC 9111), and what it may write in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "identity/fresh.h"

#define NONE UINT64_MAX

static const struct {
	const char *head;
	uint64_t ms;
} rows[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", NONE },
	{ "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\n\r\n", 3600000 },
	{ "HTTP/1.1 200 OK\r\ncache-control:public, max-age=21600, must-revalidate, "
	  "no-transform\r\nAge: 600\r\n\r\n",
	  21000000 },
	{ "Cache-Control: MAX-AGE = 60\r\n", 60000 },
	{ "Cache-Control: max-age=\"60\"\r\n", 60000 },
	{ "Cache-Control: public\r\nCache-Control: max-age=60\r\n", 60000 },
	/* The least of several. */
	{ "Cache-Control: max-age=60, max-age=30\r\n", 30000 },
	{ "Cache-Control: max-age=30\r\nCache-Control: max-age=60\r\n", 30000 },
	{ "Cache-Control: no-store, max-age=60\r\n", 0 },
	{ "Cache-Control: max-age=60, no-cache\r\n", 0 },
	{ "Cache-Control: no-cache=\"set-cookie\"\r\n", 0 },
	/* Older than it may be. */
	{ "Cache-Control: max-age=60\r\nAge: 61\r\n", 0 },
	{ "Age: 61\r\n", NONE },
	{ "Cache-Control: max-age=60\r\nAge: 10\r\nAge: 20\r\n", 40000 },
	{ "Cache-Control: max-age=60\r\nAge: -5\r\n", 60000 },
	/* Too large to be said, and no numbers. */
	{ "Cache-Control: max-age=99999999999999999999999999\r\n", 2147483648000ull },
	{ "Cache-Control: max-age=-1\r\n", NONE },
	{ "Cache-Control: max-age=1e9\r\n", NONE },
	{ "Cache-Control: max-age=\r\n", NONE },
	{ "Cache-Control: max-age\r\n", NONE },
	{ "Cache-Control: max-age=\"\r\n", NONE },
	{ "Cache-Control: max-age=0x10, max-age=5\r\n", 5000 },
	{ "Cache-Control: x-max-age=60, s-maxage=60, max-ages=60\r\n", NONE },
	{ "X-Cache-Control: max-age=60\r\n", NONE },
	{ "Cache-Control: ,,,=,max-age=7,", 7000 },
	{ "Cache-Control:", NONE },
	{ "", NONE },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t ms = NONE;

		if (fresh_ms(str_of(rows[i].head), &ms) != (rows[i].ms != NONE) || ms != rows[i].ms)
			fail_msg("%s: %llu", rows[i].head, (unsigned long long)ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
