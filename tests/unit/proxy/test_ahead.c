/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lease that ends while its job goes on, by a clock of the test's: the next value is asked for
 * beside requests that go out with the one there is, none waits, and none has a value past its end.
 */
#include "session_rig.h"

#define LIFE_US 3600000000u

static const char policy[] = "{ \"version\": 1, \"name\": \"acme\", \"rules\": [ { \"id\": \"r\", "
			     "\"allow\": \"GET https://gh.test\", \"credential\": \"gh\" } ] }";
static const char credential[] =
	"{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", \"for\": \"any\", "
	"\"hosts\": [\"gh.test\"], \"inject\": { \"header\": \"Authorization\", \"format\": "
	"\"{token}\" } }";

static uint64_t now_us = 1800000000000000u;

/* In place of base/clock.c. */
uint64_t clock_now(void)
{
	return now_us / 1000;
}

uint64_t clock_now_us(void)
{
	return now_us;
}

uint64_t clock_wall_us(void)
{
	return now_us;
}

uint64_t clock_boot_us(void)
{
	return now_us;
}

void clock_text(uint64_t wall_us, char *to)
{
	print(to, "%llu", (unsigned long long)wall_us);
}

static int up(void **state)
{
	return rig_up_with(policy, credential);
}

static int down(void **state)
{
	return rig_down();
}

/* The broker's next answers. */
static void broker_has(const char *value, uint64_t expires)
{
	rig.secret = value;
	rig.expires = expires;
}

/* A request, and the value that it went out with: true. */
static bool goes_with(const char *value)
{
	char want[128];
	bool r;

	say(rig.client, "GET /x HTTP/1.1\r\nHost: gh.test\r\n\r\n");
	print(want, "authorization: %s\r\n", value);
	r = strstr(hear(rig.origin[rig.dialled - 1]), want);
	say(rig.origin[rig.dialled - 1], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_non_null(strstr(hear(rig.client), "200 OK"));
	return r;
}

/* Not without the broker's word, whom nobody hears from meanwhile. */
static bool goes_without_broker(const char *value)
{
	int broker = rig.broker;
	bool r;

	rig.broker = -1;
	r = goes_with(value);
	rig.broker = broker;
	turn();
	return r;
}

static void test_ahead(void **state)
{
	uint64_t end = now_us + LIFE_US;

	broker_has("first-0123456789abcdef", end);
	job_connects(true, "gh.test", 443);
	assert_true(goes_with("first-0123456789abcdef"));
	now_us += LIFE_US / 2;
	assert_true(goes_with("first-0123456789abcdef"));
	assert_int_equal(rig.leases_asked, 1);
	/* Two thirds are over: it goes out at once with the first, and the second is asked for. */
	now_us += LIFE_US / 5;
	broker_has("second-0123456789abcde", end + LIFE_US);
	assert_true(goes_without_broker("first-0123456789abcdef"));
	assert_int_equal(rig.leases_asked, 2);
	assert_true(goes_without_broker("second-0123456789abcde"));
	assert_int_equal(rig.leases_asked, 2);
	now_us = end + 1;
	assert_true(goes_without_broker("second-0123456789abcde"));
}

/* The broker has no other yet, or refuses: asked again at two thirds of what is left, and what has
 * ended is not sent. */
static void test_no_other(void **state)
{
	uint64_t end = now_us + LIFE_US;

	broker_has("first-0123456789abcdef", end);
	job_connects(true, "gh.test", 443);
	assert_true(goes_with("first-0123456789abcdef"));
	now_us += LIFE_US / 10 * 7;
	assert_true(goes_with("first-0123456789abcdef"));
	assert_int_equal(rig.leases_asked, 2);
	assert_true(goes_with("first-0123456789abcdef"));
	assert_int_equal(rig.leases_asked, 2);
	now_us += LIFE_US / 10 * 2;
	rig.broker_refuses = true;
	assert_true(goes_with("first-0123456789abcdef"));
	assert_int_equal(rig.leases_asked, 3);
	now_us = end - 1000;
	assert_true(goes_with("first-0123456789abcdef"));
	assert_int_equal(rig.leases_asked, 4);
	assert_true(goes_with("first-0123456789abcdef"));
	assert_int_equal(rig.leases_asked, 4); /* so near its end it is asked for no more */
	now_us = end;
	say(rig.client, "GET /x HTTP/1.1\r\nHost: gh.test\r\n\r\n");
	assert_non_null(
		strstr(hear(rig.client), "could not get credential gh (there is no secret"));
	assert_string_equal(hear(rig.origin[0]), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ahead, up, down),
		cmocka_unit_test_setup_teardown(test_no_other, up, down),
	};

	if (secret_arena_init(1 << 20) < 0)
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ahead", tests, NULL, NULL);
}
