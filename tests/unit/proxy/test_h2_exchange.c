/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole exchanges with HTTP/2 on either side: interim answers, Expect, trailers, a client that
 * leaves while its refusal waits. What is asked again is in test_h2_again.c. Then the hostile list:
 * each row is sent by HTTP/1.1 and by HTTP/2, and must come to the same, both for the job and for
 * the origin. What a frame alone can break is in ../http/test_h2_must.c.
 */
#include "h2_rig.h"

#include "http/fields.h"

/* RFC 9110 10.1.1, 15.2: who waits for the word to send on gets the origin's, on any two wires. */
static void test_expect_to_h2(void **state)
{
	struct field hint = FIELD("link", "</a>");
	struct h1 m = { 0 };

	origin_speaks_h2();
	job_connects(true, "api.test", 443);
	say(rig.client, POST_H1 "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	spin();
	assert_int_equal(two.n, 1);
	assert_int_equal(h2_lane_next(two.asked[0], &m), H1_HEAD);
	assert_string_equal(field_of(&m, "expect"), "100-continue");
	assert_int_equal(h2_lane_next(two.asked[0], &m), H1_MORE);
	assert_string_equal(hear(rig.client), "");
	answer(two.asked[0], 100, NULL, 0, false);
	assert_string_equal(hear(rig.client), "HTTP/1.1 100 \r\n\r\n");
	say(rig.client, "abc");
	spin();
	assert_int_equal(h2_lane_next(two.asked[0], &m), H1_BODY);
	assert_int_equal(m.body.n, 3);
	assert_int_equal(h2_lane_next(two.asked[0], &m), H1_END);
	answer(two.asked[0], 103, &hint, 1, false);
	assert_string_equal(hear(rig.client), "HTTP/1.1 103 \r\nlink: </a>\r\n\r\n");
	answer(two.asked[0], 204, NULL, 0, true);
	assert_string_equal(hear(rig.client), "HTTP/1.1 204 \r\n\r\n");
	assert_string_equal(rig.events, "http.request:allow:rule http.response:: ");
}

static void test_expect_from_h2(void **state)
{
	struct field f[] = { FIELD("expect", "100-continue"), FIELD("content-length", "3") };
	struct h2_lane *l;
	struct h1 m = { 0 };

	job_speaks_h2();
	l = ask("POST", "api.test", "/ok/a", f, 2, false);
	assert_string_equal(hear(rig.origin[0]),
			    POST_H1 "expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	say(rig.origin[0], "HTTP/1.1 100 Continue\r\n\r\n");
	spin();
	assert_int_equal(h2_lane_next(l, &m), H1_HEAD);
	assert_int_equal(m.head.status, 100);
	assert_int_equal(h2_lane_write(l, STR("abc")), 0);
	assert_int_equal(h2_lane_end(l, NULL, 0), 0);
	spin();
	assert_string_equal(hear(rig.origin[0]), "abc");
	say(rig.origin[0], "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"
			   "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n");
	spin();
	assert_int_equal(h2_lane_next(l, &m), H1_HEAD);
	assert_int_equal(m.head.status, 103);
	assert_string_equal(field_of(&m, "link"), "</a>");
	assert_int_equal(h2_lane_next(l, &m), H1_HEAD);
	assert_int_equal(m.head.status, 200);
	assert_int_equal(h2_lane_next(l, &m), H1_BODY);
	assert_int_equal(h2_lane_next(l, &m), H1_END);
	assert_int_equal(m.ntrailers, 1);
	assert_true(str_is(m.trailers[0].name, "x-sum"));
	h2_lane_close(l);
}

/* RFC 9110 6.5.1: of a length and trailers behind it HTTP/1.1 can say one: the trailers to who asks
 * for them, the length to all others. */
static void test_trailers(void **state)
{
	static const struct {
		const char *asks, *got;
	} rows[] = {
		{ "", "HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nabc" },
		{ "TE: trailers\r\nConnection: TE\r\n",
		  "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: "
		  "7\r\n\r\n" },
		{ "TE: gzip\r\nConnection: TE\r\n",
		  "HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nabc" },
	};
	struct field length = FIELD("content-length", "3"), sum = FIELD("x-sum", "7");
	char text[512];
	struct h1 m = { 0 };

	origin_speaks_h2();
	job_connects(true, "api.test", 443);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		print(text, "GET /ok/a HTTP/1.1\r\nHost: api.test\r\n%s\r\n", rows[i].asks);
		say(rig.client, text);
		spin();
		assert_int_equal(h2_lane_next(two.asked[i], &m), H1_HEAD);
		assert_string_equal(field_of(&m, "te"), i == 1 ? "trailers" : "-");
		answer(two.asked[i], 200, &length, 1, false);
		assert_int_equal(h2_lane_write(two.asked[i], STR("abc")), 0);
		assert_int_equal(h2_lane_end(two.asked[i], &sum, 1), 0);
		spin();
		assert_string_equal(hear(rig.client), rows[i].got);
	}
}

#define HEX "7333637233742f76616c75652b30313233343536373839" /* of SECRET */

/* The origin writes a leased value back in interim answer, head, body and trailers, also as a name,
 * which HTTP/2 has in one spelling only: to a client of either wire. */
static void test_written_back(void **state)
{
	struct field hint = FIELD("link", SECRET),
		     head[] = { FIELD("x-echo", SECRET), FIELD("x-" HEX, "1") },
		     sum[] = { FIELD("x-sum", SECRET), FIELD("y-" HEX, "2") };
	struct h2_lane *l = NULL;
	char said[4096];
	struct h1 m = { 0 };

	origin_speaks_h2();
	for (unsigned h2 = 0; h2 < 2; h2++) {
		size_t n = 0;

		if (h2) {
			job_leaves();
			job_speaks_h2_of("gh.test");
			l = ask("GET", "gh.test", "/x", NULL, 0, true);
		} else {
			job_connects(true, "gh.test", 443);
			say(rig.client, "GET /x HTTP/1.1\r\nHost: gh.test\r\nTE: trailers\r\n"
					"Connection: TE\r\n\r\n");
			spin();
		}
		assert_int_equal(h2_lane_next(two.asked[h2], &m), H1_HEAD);
		assert_string_equal(field_of(&m, "authorization"), "Bearer " SECRET);
		answer(two.asked[h2], 103, &hint, 1, false);
		answer(two.asked[h2], 200, head, 2, false);
		assert_int_equal(h2_lane_write(two.asked[h2], STR("<" SECRET ">")), 0);
		assert_int_equal(h2_lane_end(two.asked[h2], sum, 2), 0);
		spin();
		if (!h2) {
			copy(said, hear(rig.client));
		} else {
			for (enum h1_event ev; (ev = h2_lane_next(l, &m)) != H1_MORE;) {
				const struct field *f = ev == H1_HEAD ? m.head.fields : m.trailers;
				size_t k = ev == H1_HEAD  ? m.head.n
					   : ev == H1_END ? m.ntrailers
							  : 0;

				for (; k; k--, f++)
					n += (size_t)snprintf(said + n, sizeof(said) - n,
							      "%.*s: %.*s\n", STR_ARG(f->name),
							      STR_ARG(f->value));
				if (ev == H1_BODY)
					n += (size_t)snprintf(said + n, sizeof(said) - n, "%.*s\n",
							      STR_ARG(m.body));
				if (ev == H1_END && m.head.status / 100 != 1)
					break;
			}
			h2_lane_close(l);
		}
		assert_non_null(strstr(said, "link: ***********************"));
		assert_non_null(strstr(said, "x-echo: ***********************"));
		assert_non_null(strstr(said, "<***********************>"));
		assert_non_null(strstr(said, "x-sum: ***********************"));
		assert_null(strstr(said, SECRET));
		assert_null(strstr(said, HEX));
	}
}

/* RFC 9110 8.6: that there is no body was said by a frame; HTTP/1.1 says it by a length, where the
 * method means one. */
static void test_no_body(void **state)
{
	static const struct {
		const char *method, *sent;
	} rows[] = {
		{ "POST", "POST /ok/a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n" },
		{ "GET", "GET /ok/a HTTP/1.1\r\nHost: api.test\r\n\r\n" },
	};

	job_speaks_h2();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct h2_lane *l = ask(rows[i].method, "api.test", "/ok/a", NULL, 0, true);

		assert_string_equal(hear(rig.origin[i]), rows[i].sent);
		h2_lane_close(l);
		spin();
	}
}

/* A client that takes its request back, or leaves, while the refusal waits for its record: the
 * record stays, nobody is called twice, and nothing is written to who is gone. */
static void test_left(void **state)
{
	for (int leaves = 0; leaves < 3; leaves++) {
		struct h2_lane *l;

		rig.events[0] = 0;
		two.over = 0;
		job_speaks_h2();
		rig.deaf = true;
		l = ask("POST", "api.test", "/other", NULL, 0, false);
		assert_int_equal(two.over, 0); /* it waits */
		assert_int_equal(h2_lane_state(l), -EAGAIN);
		if (leaves == 0) {
			h2_lane_close(l);
			spin();
			assert_int_equal(two.over, 1);
		} else {
			if (leaves == 1)
				job_is_gone();
			h2_lane_close(l);
		}
		rig.deaf = false;
		spin();
		assert_int_equal(two.over, 1);
		assert_string_equal(rig.events, "http.request:deny:no_rule ");
		assert_int_equal(rig.dialled, 0);
		job_is_gone();
		assert_int_equal(two.over, 1);
	}
}

/* ---- the hostile list ---- */

#define PLAIN "GET /ok/a HTTP/1.1\r\nHost: api.test\r\n"
#define SENT(path) "GET " path " HTTP/1.1\r\nHost: api.test\r\n\r\n"

static const struct hostile {
	const char *what, *method, *host, *path, *name, *value;
	unsigned status;  /* of egret's own answer; 0: it went out */
	const char *sent; /* as this */
	bool frames;	  /* HTTP/2's codec resets the stream before anybody judges it */
} hostile[] = {
#include "hostile.def"
};

/* The status of egret's answer, or 0: it went out, and sent is what the origin got; -1: the stream
 * was reset. */
static int by_h1(const struct hostile *r, char *sent)
{
	char text[1024];
	int status = 0;

	job_connects(true, "api.test", 443);
	print(text, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s\r\n", r->method, r->path, r->host,
	      r->name ? r->name : "", r->name ? ": " : "", r->name ? r->value : "",
	      r->name ? "\r\n" : "");
	say(rig.client, text);
	print(sent, "%s", rig.dialled ? hear(rig.origin[0]) : "");
	(void)sscanf(hear(rig.client), "HTTP/1.1 %d", &status);
	job_leaves();
	return status;
}

static int by_h2(const struct hostile *r, char *sent)
{
	struct field f = { .name = str_of(r->name ? r->name : ""),
			   .value = str_of(r->name ? r->value : "") };
	struct h1 m = { 0 };
	struct h2_lane *l;
	int status = 0;

	job_speaks_h2();
	l = ask(r->method, r->host, r->path, &f, r->name ? 1 : 0, true);
	print(sent, "%s", rig.dialled ? hear(rig.origin[0]) : "");
	if (h2_lane_next(l, &m) == H1_HEAD)
		status = (int)m.head.status;
	else if (h2_lane_state(l) == -ECONNRESET)
		status = -1;
	h2_lane_close(l);
	job_is_gone();
	return status;
}

static void test_hostile(void **state)
{
	bool bad = false;

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		const struct hostile *r = &hostile[i];

		for (int h2 = 0; h2 < 2; h2++) {
			char sent[4096] = "";
			int status, want = h2 && r->frames ? -1 : (int)r->status;

			/* Its own codec would leave those out; frames with them are
			 * test_h2_must.c's. */
			if (h2 && r->name && field_is_hop(str_of(r->name)) &&
			    strcmp(r->name, "content-length") != 0)
				continue;
			status = h2 ? by_h2(r, sent) : by_h1(r, sent);
			if (status != want || strcmp(sent, r->sent ? r->sent : "") != 0) {
				print_error("HTTP/%d, %s: want %d, got %d; the origin got: %s\n",
					    1 + h2, r->what, want, status, sent);
				bad = true;
			}
			for (unsigned k = 0; k < rig.dialled; k++)
				close(rig.origin[k]);
			rig.dialled = 0;
		}
	}
	assert_false(bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_expect_to_h2), T(test_expect_from_h2), T(test_trailers),
		T(test_written_back), T(test_left),	      T(test_hostile),
		T(test_no_body),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 18) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
