/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions under pressure: slow and stuck peers, bodies larger than every buffer, a full ring,
 * bytes cut anywhere, clients that leave. */
#include "session_rig.h"

static const char policy_text[] =
	"{ \"version\": 1, \"name\": \"acme\", \"mode\": \"enforce\", \"for\": [ { \"repo\": "
	"\"a/b\" } ], \"rules\": [\n"
	"{ \"id\": \"read\", \"allow\": \"READ https://api.test/repos/**\" },\n"
	"{ \"id\": \"post\", \"allow\": \"POST https://api.test/repos/**\" },\n"
	"{ \"id\": \"release\", \"allow\": \"POST,OPTIONS https://gh.test/releases\", "
	"\"credential\": \"gh\" },\n"
	"{ \"id\": \"other\", \"allow\": \"ANY https://gh.test/other/**\" },\n"
	"{ \"id\": \"clear\", \"allow\": \"ANY http://gh.test/other/**\" },\n"
	"{ \"id\": \"plain\", \"allow\": \"ANY http://plain.test\" },\n"
	"{ \"id\": \"gists\", \"deny\": \"https://api.test/repos/gists/**\" } ] }";
static const char credential_text[] =
	"{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", \"for\": \"any\", "
	"\"hosts\": [\"gh.test\"],\n"
	"\"inject\": [ { \"header\": \"Authorization\", \"format\": \"Bearer {token}\" } ] }";

static int up(void **state)
{
	return rig_up_with(policy_text, credential_text);
}

static int down(void **state)
{
	return rig_down();
}

#define assert_says(text, part)                                            \
	do {                                                               \
		const char *t_ = (text);                                   \
		if (!strstr(t_, part))                                     \
			print_error("got: %s\nnot in it: %s\n", t_, part); \
		assert_non_null(strstr(t_, part));                         \
	} while (0)

#define GET "GET /repos/a HTTP/1.1\r\nHost: api.test\r\n\r\n"

/* A client that sends a refused body to its end before it reads: its connection stays until it had
 * the time to, however much it sends. */
static void test_refused_upload(void **state)
{
	static char part[100000];
	size_t sent = 0, full = 0;
	ssize_t r;

	job_connects(true, "api.test", 443);
	say(rig.client,
	    "PUT /repos/a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 20000000\r\n\r\n");
	while (full < 50) {
		r = send(rig.client, part, sizeof(part), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (r < 0)
			assert_int_equal(errno, EAGAIN);
		else
			sent += (size_t)r;
		full = r < 0 ? full + 1 : 0;
		turn();
	}
	assert_in_range(sent, 1 << 20, 19000000);
	assert_says(hear(rig.client), "HTTP/1.1 403 ");
}

/* Bodies larger than every buffer, and a slow reader: memory stays bounded, every byte arrives. */
static void test_streaming(void **state)
{
	enum { TOTAL = 3 << 20 };
	static char part[100000];
	size_t sent = 0, got = 0, stalled = 0;
	char head[200];
	ssize_t r;

	memset(part, 'z', sizeof(part));
	job_connects(true, "api.test", 443);
	say(rig.client, GET);
	hear(rig.origin[0]);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", TOTAL);
	say(rig.origin[0], head);
	/* Nobody reads: the origin gets stuck well before all is sent. */
	for (int i = 0; i < 200; i++) {
		r = send(rig.origin[0], part,
			 sizeof(part) < TOTAL - sent ? sizeof(part) : TOTAL - sent, MSG_NOSIGNAL);
		if (r > 0)
			sent += (size_t)r;
		turn();
	}
	stalled = sent;
	assert_true(stalled < 2 << 20);
	while (got < TOTAL) {
		r = recv(rig.client, part, sizeof(part), 0);
		if (r > 0) {
			got += (size_t)r;
			if (!stalled)
				continue;
			if (stalled == sent) { /* the first read has the head */
				char *body = strstr(part, "\r\n\r\n");

				assert_non_null(body);
				got -= (size_t)(body + 4 - part);
				stalled = 0;
				memset(part, 'z', sizeof(part));
			}
		}
		if (sent < TOTAL) {
			memset(part, 'z', sizeof(part));
			r = send(rig.origin[0], part,
				 sizeof(part) < TOTAL - sent ? sizeof(part) : TOTAL - sent,
				 MSG_NOSIGNAL);
			if (r > 0)
				sent += (size_t)r;
		}
		turn();
	}
	assert_int_equal(got, TOTAL);
	assert_says(rig.events, "http.response:: ");
}

#define POST_HALF "POST /repos/a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n\r\nab"
#define POST_WAITS                                                                  \
	"POST /repos/a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\nExpect: " \
	"100-continue\r\n\r\n"

static void test_timeouts(void **state)
{
	rig.px.limits.header_ms = 50;
	rig.px.limits.keepalive_ms = 50;
	rig.px.limits.response_ms = 50;
	rig.px.limits.idle_ms = 50;
	job_connects(true, "api.test", 443);
	say(rig.client, "GET /re");
	turn_ms(120);
	assert_says(hear(rig.client), "408 egret refused the request: its head took too long");
	job_leaves();
	job_connects(true, "api.test", 443);
	say(rig.client, GET);
	turn_ms(150);
	assert_says(hear(rig.client), "504 egret got no answer from api.test: it took too long");
	turn_ms(120); /* and then, idle, it is closed without a word */
	assert_string_equal(hear(rig.client), "<end>");
	assert_true(rig.over);
	job_leaves();
	/* Whose turn it was: the client's, until it waits for the word to send on. */
	for (int waits = 0; waits < 2; waits++) {
		job_connects(true, "api.test", 443);
		say(rig.client, waits ? POST_WAITS : POST_HALF);
		turn_ms(150);
		assert_says(hear(rig.client),
			    waits ? "504 egret got no answer from api.test: it took too long"
				  : "408 egret refused the request: its body took too long");
		job_leaves();
	}
}

/* Who reset its connection is not asked for any longer, whatever is waited for; who has only
 * nothing more to say still reads. */
static void test_gone(void **state)
{
	/* The broker's answer, an origin's, and more of it. */
	for (unsigned i = 0; i < 3; i++) {
		rig.events[0] = 0;
		job_connects(true, i ? "api.test" : "gh.test", 443);
		if (i) {
			say(rig.client, GET);
		} else {
			static const char post[] =
				"POST /releases HTTP/1.1\r\nHost: gh.test\r\n\r\n";

			assert_int_equal(send(rig.client, post, sizeof(post) - 1, 0),
					 sizeof(post) - 1);
			for (int k = 0; k < 4; k++)
				assert_true(loop_turn(rig.px.loop, 0) >= 0);
			assert_int_equal(rig.ahead, 1);
		}
		if (i == 2) {
			say(rig.origin[1], "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
			hear(rig.client);
		}
		close(rig.client);
		rig.client = -1;
		for (int k = 0; k < 4; k++)
			assert_true(loop_turn(rig.px.loop, 0) >= 0);
		if (!rig.over)
			print_error("%u is still waited for\n", i);
		assert_true(rig.over);
		turn();
		assert_int_equal(rig.dialled, i);
		assert_string_equal(rig.events,
				    i ? "http.request:allow:rule http.response::client_lost " : "");
		if (i)
			assert_says(hear(rig.origin[i - 1]), "<end>");
	}
	job_connects(true, "api.test", 443);
	say(rig.client, GET);
	shutdown(rig.client, SHUT_WR);
	turn();
	assert_false(rig.over);
	say(rig.origin[2], "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
	assert_says(hear(rig.client), "Content-Length: 3\r\n\r\nabc<end>");
	/* The next request behind it is no sign of an end. */
	job_leaves();
	job_connects(true, "api.test", 443);
	say(rig.client, GET GET);
	say(rig.origin[2], "HTTP/1.1 204 No\r\n\r\n");
	assert_says(hear(rig.client), "HTTP/1.1 204 No\r\n\r\n");
	assert_says(hear(rig.origin[2]), GET);
}

/* An answer that ends at any of its bytes but the last is none, or is seen to be cut off; with its
 * last it is whole. */
static void test_cut(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: "
		 "1\r\n\r\n"),
		("HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
		 "2\r\n\r\nhi"),
	};
	static const char *const whole[] = { "\r\n\r\nhello", "\r\n0\r\nX-Sum: 1\r\n\r\n",
					     "\r\n\r\nhi" };

	/* In order, and by a reset, which is what closing with the request unread is. */
	for (size_t i = 0; i < 2 * ARRAY_SIZE(answers); i++) {
		const char *answer = answers[i / 2];

		for (size_t n = 0, all = strlen(answer); n <= all; n++) {
			const char *got;
			bool refused, done;

			rig.events[0] = 0;
			job_connects(true, "api.test", 443);
			say(rig.client, GET);
			if (i % 2)
				hear(rig.origin[0]);
			put_bytes(rig.origin[0], answer, n);
			close(rig.origin[0]);
			got = hear(rig.client);
			refused = strstr(got, "HTTP/1.1 502 egret ") != NULL;
			done = strstr(got, whole[i / 2]) != NULL;
			if (done != (n == all) || (!done && !refused && !rig.over))
				fail_msg("%zu, %zu of %zu bytes: %s", i, n, all, got);
			if (!done && !strstr(rig.events, "http.response::upstream_lost"))
				fail_msg("%zu, %zu of %zu bytes: %s", i, n, all, rig.events);
			job_leaves();
			if (rig.idle)
				upstream_close(rig.idle);
			rig.idle = NULL;
			rig.dialled = 0;
		}
	}
}

/* However the bytes come in, the same request goes out, once. */
static void test_any_split(void **state)
{
	static const char in[] =
		"POST /repos/a HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n0\r\n\r\n";

	for (size_t cut = 1; cut < sizeof(in) - 1; cut++) {
		job_connects(true, "api.test", 443);
		put_bytes(rig.client, in, cut);
		put_bytes(rig.client, in + cut, sizeof(in) - 1 - cut);
		assert_int_equal(rig.dialled, 1);
		assert_says(hear(rig.origin[0]), "0\r\n\r\n");
		say(rig.origin[0], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		assert_says(hear(rig.client), "200 OK");
		job_leaves();
	}
}

/* P7: nothing leaves while the ring is full; 503 when it stays so. */
static void test_audit_full(void **state)
{
	struct event e;
	uint64_t n;

	rig.px.limits.ring_wait_ms = 60;
	rig.deaf = true;
	event_begin(&e, EVENT_ALERT, VERDICT_NONE, REASON_NONE);
	while (record_write(&rig.px, &e, &n) == 0)
		;
	job_connects(true, "api.test", 443);
	say(rig.client, GET);
	assert_int_equal(rig.dialled, 1);
	assert_string_equal(hear(rig.origin[0]), "");
	turn_ms(100);
	assert_says(hear(rig.client), "503 egret could not record the request\r\n");
	assert_string_equal(hear(rig.origin[0]), "");
	/* Read again: the next one waits only until then. */
	rig.px.limits.ring_wait_ms = 5000;
	say(rig.client, GET);
	assert_string_equal(hear(rig.origin[0]), "");
	rig.deaf = false;
	turn();
	assert_says(hear(rig.origin[0]), GET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
		T(test_refused_upload), T(test_streaming), T(test_timeouts),
		T(test_gone),		T(test_cut),	   T(test_any_split),
		T(test_audit_full),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 20) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
