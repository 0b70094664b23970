/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole exchanges with HTTP/2 on either side: interim answers, Expect, trailers, what is asked a
 * second time and what never, a client that leaves while its refusal waits. Then the hostile list:
 * each row is sent by HTTP/1.1 and by HTTP/2, and must come to the same, both for the job and for
 * the origin. What a frame alone can break is in ../http/test_h2_must.c.
 */
#include "session_rig.h"

#include "base/secret.h"
#include "http/fields.h"

static const char policy_text[] =
	"{ \"version\": 1, \"name\": \"two\", \"mode\": \"enforce\", \"for\": [ { \"repo\": "
	"\"a/b\" } ], "
	"\"rules\": [ { \"id\": \"ok\", \"allow\": \"GET,HEAD,POST https://api.test/ok/**\" }, "
	"{ \"id\": \"any\", \"allow\": \"ANY https://api.test/any/**\" }, "
	"{ \"id\": \"no\", \"deny\": \"https://api.test/ok/no/**\" }, "
	"{ \"id\": \"own\", \"allow\": \"GET https://gh.test/**\", \"credential\": \"gh\" } ] }";
static const char credential_text[] =
	"{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", \"for\": \"any\", "
	"\"hosts\": [\"gh.test\"],\n"
	"\"inject\": [ { \"header\": \"Authorization\", \"format\": \"Bearer {token}\" } ] }";

static const struct h2_limits limits = { .header_bytes = 16384,
					 .header_count = 100,
					 .buffer_bytes = 16384,
					 .window = 65535,
					 .lanes = 100,
					 .idle_frames = 1000 };

/* The job's client and egret's server; egret's client (rig.h2) and the origin's server. */
static struct {
	struct h2 *job, *front, *origin;
	struct h2_lane *asked[16];
	unsigned n;
	unsigned over;
	unsigned refused;
} two;

static void on_kick(void *owner)
{
}

static void on_lane_over(void *owner)
{
	two.over++;
}

static void on_job_opened(void *owner, struct h2_lane *l)
{
	session_lane(&rig.px, l, true, &rig.where, on_lane_over, NULL);
}

static void on_origin_opened(void *owner, struct h2_lane *l)
{
	assert_true(two.n < ARRAY_SIZE(two.asked));
	two.asked[two.n++] = l;
}

static void on_refused(void *owner, const char *why)
{
	two.refused++;
}

static const struct h2_calls job_calls = { on_job_opened, on_refused, on_kick };
static const struct h2_calls origin_calls = { on_origin_opened, NULL, on_kick };

static bool pass(struct h2 *from, struct h2 *to)
{
	struct buf b;
	bool any;

	if (!from || !to)
		return false;
	buf_init(&b, 1 << 20);
	(void)h2_pull(from, &b);
	any = b.n > 0;
	if (any)
		(void)!h2_feed(to, b.p, b.n);
	buf_done(&b);
	return any;
}

static void spin(void)
{
	for (int quiet = 0; quiet < 3;) {
		bool any = pass(two.job, two.front);

		if (two.front)
			h2_run(two.front);
		any |= pass(rig.h2, two.origin);
		any |= pass(two.origin, rig.h2);
		if (rig.h2)
			h2_run(rig.h2);
		any |= pass(two.front, two.job);
		turn();
		quiet = any ? 0 : quiet + 1;
	}
}

static int up(void **state)
{
	memset(&two, 0, sizeof(two));
	return rig_up_with(policy_text, credential_text);
}

static void job_speaks_h2_of(const char *host)
{
	rig.where = (struct origin){ .synthetic = true, .port = 443, .name_n = strlen(host) };
	memcpy(rig.where.name, host, rig.where.name_n);
	two.front = h2_new(true, &limits, &job_calls, NULL);
	two.job = h2_new(false, &limits, &job_calls, NULL);
	spin();
}

static void job_speaks_h2(void)
{
	job_speaks_h2_of("api.test");
}

static void origin_speaks_h2(void)
{
	rig.h2 = h2_new(false, &limits, &origin_calls, NULL);
	two.origin = h2_new(true, &limits, &origin_calls, NULL);
	spin();
}

static void job_is_gone(void)
{
	if (two.front)
		h2_lose(two.front);
	two.front = h2_free(two.front);
	two.job = h2_free(two.job);
	spin();
}

static int down(void **state)
{
	job_is_gone();
	if (rig.served || rig.client >= 0)
		job_leaves();
	for (unsigned i = 0; i < two.n; i++)
		if (two.asked[i])
			h2_lane_close(two.asked[i]);
	h2_free(two.origin);
	if (rig.h2) {
		h2_lose(rig.h2);
		h2_free(rig.h2);
		rig.dialled = 0;
	}
	return rig_down();
}

static struct h2_lane *ask(const char *method, const char *host, const char *path,
			   struct field *fields, size_t n, bool ends)
{
	struct head h = { .is_request = true, .method = str_of(method), .fields = fields, .n = n };
	struct h2_lane *l = h2_open(two.job);

	assert_int_equal(
		h2_lane_request(l, &h, STR("https"), str_of(host), str_of(path), ends, false), 0);
	spin();
	return l;
}

static const char *field_of(const struct h1 *m, const char *name)
{
	static char text[1024];
	const struct field *f = head_find(&m->head, name);

	snprintf(text, sizeof(text), "%.*s", f ? (int)f->value.n : 1, f ? f->value.p : "-");
	return text;
}

static void answer(struct h2_lane *l, unsigned status, struct field *fields, size_t n, bool ends)
{
	struct head h = { .status = status, .fields = fields, .n = n };

	assert_int_equal(h2_lane_answer(l, &h, ends), 0);
	spin();
}

#define FIELD(name, value)                       \
	{                                        \
		STR(name), STR(value), STR(name) \
	}
#define POST_H1 "POST /ok/a HTTP/1.1\r\nHost: api.test\r\n"

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

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_expect_to_h2), T(test_expect_from_h2), T(test_trailers),
		T(test_written_back), T(test_again),	      T(test_left),
		T(test_hostile),      T(test_no_body),	      T(test_wants_h1),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 18) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
