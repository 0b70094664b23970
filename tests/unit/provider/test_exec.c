/* SPDX-License-Identifier: Apache-2.0 */
/* What a program printed, and times as providers write them. */
#include "unit/provider/asked.h"

#include "provider/exec.h"
#include "provider/http.h"
#include <errno.h>

struct row {
	const char *printed, *ttl;
	int r;
	const char *want; /* "VALUE EXPIRES-NOW", or the sentence */
};
static const struct row rows[] = {
	{ "{\"value\":\"tok\",\"expires_in\":60}\n", "ttl=0", 0, "tok 60000" },
	{ "{\"value\":\"tok\",\"expires\":\"2023-11-14T23:13:20Z\"}", "ttl=0", 0, "tok 3600000" },
	{ "{\"value\":\"tok\",\"expires\":\"2023-11-15T00:13:20.5+01:00\"}", "ttl=0", 0,
	  "tok 3600000" },
	{ "{\"value\":\"tok\",\"expires_in\":60}", "ttl=5000", 0, "tok 5000" },
	{ "{\"value\":\"tok\",\"expires_in\":4}", "ttl=5000", 0, "tok 4000" },
	{ "{\"value\":\"tok\"}", "ttl=5000", 0, "tok 5000" },
	{ "{\"value\":\"tok\"}", "ttl=0", -EBADMSG,
	  "exec: the program did not say when the value expires: print expires or expires_in, or "
	  "give the credential a ttl" },
	{ "{\"value\":\"tok\",\"expires\":\"2023-11-14T22:13:20Z\"}", "ttl=0", -EBADMSG,
	  "exec: the value has expired already (expires); is this host's clock right?" },
	{ "{\"value\":\"tok\",\"expires\":\"tomorrow\"}", "ttl=0", -EBADMSG,
	  "exec: expires is not a time like \"2026-11-22T23:00:00Z\"" },
	{ "{\"value\":\"tok\",\"expires\":1700003600}", "ttl=0", -EBADMSG,
	  "exec: expires is not a time like \"2026-11-22T23:00:00Z\"" },
	{ "{\"value\":\"tok\",\"expires_in\":0}", "ttl=0", -EBADMSG,
	  "exec: expires_in is not a number of seconds" },
	{ "{\"value\":\"tok\",\"expires_in\":\"60\"}", "ttl=0", -EBADMSG,
	  "exec: expires_in is not a number of seconds" },
	{ "{\"value\":\"tok\",\"expires_in\":60,\"expires\":\"2023-11-14T23:13:20Z\"}", "ttl=0",
	  -EBADMSG, "exec: the program printed expires and expires_in" },
	{ "{\"value\":\"tok\",\"expire\":60}", "ttl=9", -EBADMSG,
	  "exec: the program printed the key \"expire\": value, expires and expires_in are known" },
	{ "{\"value\":\"\",\"expires_in\":60}", "ttl=0", -EBADMSG,
	  "exec: the program printed no value: a text of one line, at most 32 KiB" },
	{ "{\"value\":\"a\\nb\",\"expires_in\":60}", "ttl=0", -EBADMSG,
	  "exec: the program printed no value: a text of one line, at most 32 KiB" },
	{ "{\"value\":7,\"expires_in\":60}", "ttl=0", -EBADMSG,
	  "exec: the program printed no value: a text of one line, at most 32 KiB" },
	{ "{\"value\":\"a\",\"value\":\"b\",\"expires_in\":60}", "ttl=0", -EBADMSG,
	  "exec: the program did not print one JSON object" },
	{ "{\"value\":\"a\",\"expires_in\":60} {}", "ttl=0", -EBADMSG,
	  "exec: the program did not print one JSON object" },
	{ "[\"a\"]", "ttl=9", -EBADMSG, "exec: the program did not print one JSON object" },
	{ "tok", "ttl=9", -EBADMSG, "exec: the program did not print one JSON object" },
	{ "", "ttl=9", -EBADMSG, "exec: the program did not print one JSON object" },
};

static void test_printed(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct answer a = { 0 };
		struct question q;
		char seen[1024];
		int r;

		ASKED(&q, MSG_PROVIDE, "exec", rows[i].ttl);
		r = exec_answer(&q, str_of(rows[i].printed), &a);
		snprintf(seen, sizeof(seen), "%s", q.why);
		if (r == 0)
			snprintf(seen, sizeof(seen), "%.*s %lld", STR_ARG(a.value),
				 (long long)(a.expires_ms - ASKED_NOW * 1000ll));
		if (r != rows[i].r || strcmp(seen, rows[i].want))
			fail_msg("%s\n  want %d %s\n  got  %d %s", rows[i].printed, rows[i].r,
				 rows[i].want, r, seen);
		question_done(&q);
	}
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t want; /* -1: none */
	} times[] = {
		/* RFC 3339 5.8 */
		{ "1985-04-12T23:20:50.52Z", 482196050 },
		{ "1996-12-19T16:39:57-08:00", 851042397 },
		{ "1990-12-31T23:59:60Z", 662687999 },
		{ "1990-12-31T15:59:60-08:00", 662687999 },
		{ "2026-11-22t23:00:00z", 1795388400 },
		{ "2026-11-22 23:00:00Z", 1795388400 },
		{ "2024-02-29T00:00:00Z", 1709164800 },
		{ "2023-02-29T00:00:00Z", -1 },
		{ "2026-13-01T00:00:00Z", -1 },
		{ "2026-00-01T00:00:00Z", -1 },
		{ "2026-11-22T24:00:00Z", -1 },
		{ "2026-11-22T23:60:00Z", -1 },
		{ "2026-11-22T23:00:00", -1 },
		{ "2026-11-22T23:00:00+0100", -1 },
		{ "2026-11-22T23:00:00+24:00", -1 },
		{ "2026-11-22T23:00:00.Z", -1 },
		{ "2026-11-22T23:00:00Z ", -1 },
		{ "2026-11-22", -1 },
		{ "-026-11-22T23:00:00Z", -1 },
		{ "1937-01-01T12:00:27.87+00:20", -1 }, /* before there were credentials */
		{ "", -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		int64_t t = -1;

		(void)!time_rfc3339(str_of(times[i].text), &t);
		if (t != times[i].want)
			fail_msg("%s: %lld", times[i].text, (long long)t);
	}
}

static void test_bodies(void **state)
{
	const struct pair pairs[] = { { "a b", STR("1&2=3") },
				      { "left out", { "", 0 } },
				      { "q", STR("\"\\\n\x01z\xc3\xa9") },
				      { NULL, { "", 0 } } };
	struct question q;

	ASKED(&q, MSG_PROVIDE, "exec", "ttl=0");
	assert_true(str_is(form_body(&q, pairs), "a%20b=1%262%3D3&q=%22%5C%0A%01z%C3%A9"));
	assert_true(str_is(json_body(&q, pairs),
			   "{\"a b\":\"1&2=3\",\"q\":\"\\\"\\\\\\u000a\\u0001z\xc3\xa9\"}"));
	/* RFC 4648 10 and 5 */
	assert_true(str_is(base64(&q, STR("")), ""));
	assert_true(str_is(base64(&q, STR("f")), "Zg=="));
	assert_true(str_is(base64(&q, STR("fo")), "Zm8="));
	assert_true(str_is(base64(&q, STR("foo")), "Zm9v"));
	assert_true(str_is(base64(&q, STR("foobar")), "Zm9vYmFy"));
	assert_true(str_is(base64url(&q, STR("\xfb\xff\xfe\xff")), "-__-_w"));
	question_done(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_printed),
					    cmocka_unit_test(test_times),
					    cmocka_unit_test(test_bodies) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
