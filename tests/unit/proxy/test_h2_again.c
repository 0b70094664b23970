/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of an upstream of HTTP/2 a second time, and what never: RFC 9113 8.7, and what RFC
 * 9110 9.2.2 lets be done twice.
 */
#include "h2_rig.h"

/* RFC 9113 8.7: what the origin says it has not looked at goes once more, and what can be done
 * twice; nothing else. */
static void test_again(void **state)
{
	static const struct {
		const char *method;
		uint32_t bytes;
		bool first, refuses, again;
	} rows[] = {
		{ "GET", 0, false, true, true },   { "GET", 0, false, false, true },
		{ "POST", 0, false, true, true },  { "POST", 0, false, false, false },
		{ "POST", 3, false, true, false }, { "POST", 0, true, true, true },
		{ "GET", 0, true, false, false },
	};
	char text[512];
	struct h1 m = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned before;

		origin_speaks_h2();
		rig.dialled = !rows[i].first; /* a first request's connection is no old one */
		job_connects(true, "api.test", 443);
		print(text, "%s /ok/a HTTP/1.1\r\nHost: api.test\r\nContent-Length: %u\r\n\r\n%s",
		      rows[i].method, rows[i].bytes, rows[i].bytes ? "abc" : "");
		say(rig.client, text);
		spin();
		before = two.n;
		assert_int_equal(h2_lane_next(two.asked[before - 1], &m), H1_HEAD);
		if (rows[i].refuses) {
			static const char rst[] = "\0\0\4\3\0\0\0\0\1\0\0\0\7";

			assert_int_equal(h2_feed(rig.h2, rst, sizeof(rst) - 1), 0);
		} else {
			two.asked[before - 1] = h2_lane_close(two.asked[before - 1]);
		}
		spin();
		if ((two.n > before) != rows[i].again)
			print_error("row %zu: %s\n", i, rows[i].method);
		assert_int_equal(two.n > before, rows[i].again);
		if (!rows[i].again)
			assert_non_null(
				strstr(hear(rig.client), "HTTP/1.1 502 egret got no answer"));
		job_leaves();
		for (unsigned k = 0; k < two.n; k++)
			if (two.asked[k])
				h2_lane_close(two.asked[k]);
		two.n = 0;
		two.origin = h2_free(two.origin);
		h2_lose(rig.h2);
		rig.h2 = h2_free(rig.h2);
		rig.dialled = 0;
	}
}

/* RFC 9113 7, HTTP_1_1_REQUIRED: the same request by HTTP/1.1, if none of it was taken. */
static void test_wants_h1(void **state)
{
	static const char rst[] = "\0\0\4\3\0\0\0\0\1\0\0\0\xd";
	struct h1 m = { 0 };

	for (int body = 0; body < 2; body++) {
		rig.dialled = 0;
		origin_speaks_h2();
		job_connects(true, "api.test", 443);
		say(rig.client, body ? POST_H1 "Content-Length: 3\r\n\r\nabc"
				     : POST_H1 "Content-Length: 0\r\n\r\n");
		spin();
		assert_int_equal(two.n, 1);
		assert_int_equal(h2_lane_next(two.asked[0], &m), H1_HEAD);
		assert_true(rig.last_ask.h2);
		assert_int_equal(h2_feed(rig.h2, rst, sizeof(rst) - 1), 0);
		spin();
		if (body) {
			assert_non_null(strstr(hear(rig.client), "it wants HTTP/1.1 for this"));
		} else {
			assert_false(rig.last_ask.h2);
			assert_string_equal(hear(rig.origin[1]),
					    POST_H1 "Content-Length: 0\r\n\r\n");
			say(rig.origin[1], "HTTP/1.1 204 No\r\n\r\n");
			assert_string_equal(hear(rig.client), "HTTP/1.1 204 No\r\n\r\n");
		}
		job_leaves();
		if (rig.idle)
			upstream_close(rig.idle);
		rig.idle = NULL;
		h2_lane_close(two.asked[0]);
		two.n = 0;
		two.origin = h2_free(two.origin);
		h2_lose(rig.h2);
		rig.h2 = h2_free(rig.h2);
	}
	rig.dialled = 0;
	close(rig.origin[1]);
}

static void origin_goes(struct h2_lane *l)
{
	h2_lane_close(l);
	two.n = 0;
	two.origin = h2_free(two.origin);
	h2_lose(rig.h2);
	rig.h2 = h2_free(rig.h2);
}

/* An origin that takes few streams at once says so behind the first ones: each is asked for until
 * it is taken, but not for ever. */
static void test_refused_often(void **state)
{
	static const char method[] = "POST";
	unsigned times[] = { 4, 1000 };
	struct h1 m = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		unsigned asked = 0;

		rig.dialled = 0;
		origin_speaks_h2();
		job_connects(true, "api.test", 443);
		say(rig.client, POST_H1 "Content-Length: 0\r\n\r\n");
		spin();
		while (two.n > asked && asked < times[i]) {
			char rst[] = "\0\0\4\3\0\0\0\0\1\0\0\0\7";

			rst[8] = (char)(2 * asked + 1);
			asked++;
			assert_int_equal(h2_lane_next(two.asked[two.n - 1], &m), H1_HEAD);
			assert_true(str_is(m.head.method, method));
			assert_int_equal(h2_feed(rig.h2, rst, sizeof(rst) - 1), 0);
			spin();
		}
		assert_int_equal(two.n, i ? 11 : 5);
		if (i) {
			assert_non_null(
				strstr(hear(rig.client), "HTTP/1.1 502 egret got no answer"));
		} else {
			answer(two.asked[4], 204, NULL, 0, true);
			assert_string_equal(hear(rig.client), "HTTP/1.1 204 \r\n\r\n");
		}
		job_leaves();
		for (unsigned k = 0; k + 1 < two.n; k++)
			h2_lane_close(two.asked[k]);
		origin_goes(two.asked[two.n - 1]);
	}
	rig.dialled = 0;
}

/* What was about to be sent when the origin said goodbye never was, and is asked elsewhere. */
static void test_goodbye(void **state)
{
	static const char goaway[] = "\0\0\x8\7\0\0\0\0\0\0\0\0\0\0\0\0\0";
	struct h2 *old;
	struct buf b;

	origin_speaks_h2();
	job_connects(true, "api.test", 443);
	say(rig.client, POST_H1 "Content-Length: 0\r\n\r\n");
	old = rig.h2;
	rig.h2 = NULL; /* the next is of HTTP/1.1 */
	assert_int_equal(h2_feed(old, goaway, sizeof(goaway) - 1), 0);
	buf_init(&b, 1 << 16);
	(void)h2_pull(old, &b);
	buf_done(&b);
	h2_run(old);
	spin();
	assert_int_equal(two.n, 0);
	assert_int_equal(rig.dialled, 2);
	assert_string_equal(hear(rig.origin[1]), POST_H1 "Content-Length: 0\r\n\r\n");
	say(rig.origin[1], "HTTP/1.1 204 No\r\n\r\n");
	assert_string_equal(hear(rig.client), "HTTP/1.1 204 No\r\n\r\n");
	job_leaves();
	h2_lose(old);
	h2_free(old);
	close(rig.origin[1]);
	rig.dialled = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_again),
		T(test_wants_h1),
		T(test_refused_often),
		T(test_goodbye),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 18) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
