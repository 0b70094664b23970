/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec of HTTP/2, both sides against each other in memory: messages whole, windows held, one
 * slow lane beside others, what is refused and what is never indexed. Frames by hand where a codec
 * would not send them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/h2.h"

#include <errno.h>
#include <stdlib.h>

static const struct h2_limits limits = { .header_bytes = 4096,
					 .header_count = 20,
					 .buffer_bytes = 16384,
					 .window = 65535,
					 .lanes = 8,
					 .idle_frames = 100 };

static struct {
	struct h2 *job, *up; /* the server's side, the client's side */
	struct h2_lane *lanes[16];
	unsigned opened, refused;
	struct buf wire; /* what the client's side sent last */
} rig;

static void on_opened(void *owner, struct h2_lane *l)
{
	assert_true(rig.opened < ARRAY_SIZE(rig.lanes));
	rig.lanes[rig.opened++] = l;
}

static void on_refused(void *owner, const char *why)
{
	assert_true(strlen(why) > 10);
	rig.refused++;
}

static void on_kick(void *owner)
{
}

static const struct h2_calls calls = { on_opened, on_refused, on_kick };

/* Both ways until nobody has anything to say. */
static void carry(void)
{
	struct buf b;
	bool more;

	buf_init(&b, 1 << 20);
	do {
		rig.wire.n = 0;
		more = h2_pull(rig.up, &rig.wire);
		if (rig.wire.n)
			(void)!h2_feed(rig.job, rig.wire.p, rig.wire.n);
		b.n = 0;
		more |= h2_pull(rig.job, &b);
		if (b.n)
			(void)!h2_feed(rig.up, b.p, b.n);
		more |= rig.wire.n || b.n;
	} while (more);
	buf_done(&b);
}

static int setup(void **state)
{
	memset(&rig, 0, sizeof(rig));
	buf_init(&rig.wire, 1 << 20);
	rig.job = h2_new(true, &limits, &calls, NULL);
	rig.up = h2_new(false, &limits, &calls, NULL);
	carry();
	return 0;
}

static int teardown(void **state)
{
	h2_free(rig.job);
	h2_free(rig.up);
	buf_done(&rig.wire);
	return 0;
}

static struct h2_lane *asks(const char *method, struct field *fields, size_t n, bool ends,
			    bool secret)
{
	struct head h = { .is_request = true, .method = str_of(method), .fields = fields, .n = n };
	struct h2_lane *l = h2_open(rig.up);

	assert_int_equal(
		h2_lane_request(l, &h, STR("https"), STR("a.test"), STR("/x?y"), ends, secret), 0);
	return l;
}

static void test_message(void **state)
{
	struct field sum = { STR("x-sum"), STR("7"), { NULL, 0 } };
	struct field length = { STR("content-length"), STR("5"), { NULL, 0 } };
	struct head ok = { .status = 200 };
	struct h2_lane *l = asks("POST", &length, 1, false, false), *at;
	struct h1 m = { 0 };

	assert_int_equal(h2_lane_write(l, STR("hello")), 0);
	assert_int_equal(h2_lane_end(l, &sum, 1), 0);
	carry();
	assert_int_equal(rig.opened, 1);
	at = rig.lanes[0];
	assert_int_equal(h2_lane_next(at, &m), H1_HEAD);
	assert_true(str_is(m.head.method, "POST") && str_is(m.head.path, "/x?y"));
	assert_true(str_is(head_find(&m.head, "host")->value, "a.test"));
	assert_int_equal(m.head.body, BODY_LENGTH);
	assert_int_equal(m.head.length, 5);
	assert_int_equal(h2_lane_next(at, &m), H1_BODY);
	assert_true(str_is(m.body, "hello"));
	assert_int_equal(h2_lane_next(at, &m), H1_END);
	assert_int_equal(m.ntrailers, 1);
	assert_true(str_is(m.trailers[0].value, "7"));
	assert_int_equal(h2_lane_next(at, &m), H1_MORE);
	assert_int_equal(h2_lane_answer(at, &ok, true), 0);
	h2_lane_close(at);
	carry();
	assert_int_equal(h2_lane_next(l, &m), H1_HEAD);
	assert_int_equal(m.head.status, 200);
	assert_int_equal(m.head.body, BODY_NONE);
	assert_int_equal(h2_lane_next(l, &m), H1_END);
	h2_lane_close(l);
	assert_int_equal(h2_lanes(rig.job), 0);
	assert_int_equal(h2_lanes(rig.up), 0);
}

/* What nobody takes fills its own window and no other. */
static void test_slow_lane(void **state)
{
	static char bytes[16384];
	struct h2_lane *slow = asks("PUT", NULL, 0, false, false),
		       *quick = asks("PUT", NULL, 0, false, false);
	struct str b = { bytes, sizeof(bytes) };
	struct h1 m = { 0 };
	size_t got = 0;

	for (int i = 0; i < 3; i++)
		assert_int_equal(h2_lane_write(slow, b), 0);
	carry();
	for (int i = 0; i < 3; i++)
		assert_int_equal(h2_lane_write(slow, b), 0);
	carry();
	assert_true(h2_lane_queued(slow) >= 6 * sizeof(bytes) - limits.window);
	assert_int_equal(h2_lane_flush(slow), -EAGAIN);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(h2_lane_write(quick, b), 0);
		carry();
		while (h2_lane_next(rig.lanes[1], &m) != H1_MORE)
			got += m.body.n, m.body.n = 0;
		carry();
	}
	while (h2_lane_next(rig.lanes[1], &m) != H1_MORE)
		got += m.body.n, m.body.n = 0;
	assert_int_equal(got, 40 * sizeof(bytes));
	/* Taken: the rest comes. */
	got = 0;
	for (int i = 0; i < 20; i++, carry())
		while (h2_lane_next(rig.lanes[0], &m) != H1_MORE)
			got += m.body.n, m.body.n = 0;
	assert_int_equal(got, 6 * sizeof(bytes));
	h2_lane_close(slow);
	h2_lane_close(quick);
	carry();
	h2_lane_close(rig.lanes[0]);
	h2_lane_close(rig.lanes[1]);
}

static void test_never_indexed(void **state)
{
	static const char value[] = "Zq7Zq7Zq7Zq7Zq7Zq7";
	struct field f[] = { { STR("x-token"), STR(value), { NULL, 0 } },
			     { STR("x-other"), STR("plain"), STR("X-Other") } };
	size_t sizes[3];
	struct h2_lane *l;

	/* An indexed field is a byte or two the next time; one that never is comes whole. */
	for (int i = 0; i < 3; i++) {
		l = asks("GET", i ? f : f + 1, i ? 2 : 1, true, true);
		rig.wire.n = 0;
		while (h2_pull(rig.up, &rig.wire))
			;
		sizes[i] = rig.wire.n;
		assert_int_equal(h2_feed(rig.job, rig.wire.p, rig.wire.n), 0);
		h2_lane_close(l);
		carry();
	}
	assert_true(sizes[2] > strlen(value) / 2);
	assert_true(sizes[2] >= sizes[1] - 2);
	for (unsigned i = 0; i < rig.opened; i++)
		h2_lane_close(rig.lanes[i]);
}

static void test_large(void **state)
{
	static char bytes[3000];
	struct field f[] = { { STR("x-a"), { bytes, sizeof(bytes) }, { NULL, 0 } },
			     { STR("x-b"), { bytes, sizeof(bytes) }, { NULL, 0 } } };
	struct h2_lane *l;
	struct h1 m = { 0 };

	memset(bytes, 'v', sizeof(bytes));
	l = asks("GET", f, 2, true, false);
	carry();
	assert_int_equal(rig.opened, 1);
	assert_int_equal(h2_lane_next(rig.lanes[0], &m), H1_FAULT);
	assert_int_equal(m.fault, H1_HEAD_LARGE);
	h2_lane_close(rig.lanes[0]);
	h2_lane_close(l);
}

/* Answered before its body was whole: more of it may come for a while, then the peer is told to
 * stop.
 */
static void test_drain(void **state)
{
	static char bytes[16384];
	struct head ok = { .status = 200 };

	for (int i = 0; i < 2; i++) {
		struct h2_lane *l = asks("POST", NULL, 0, false, false);

		carry();
		assert_int_equal(h2_lane_answer(rig.lanes[i], &ok, true), 0);
		if (i)
			h2_lane_drain(rig.lanes[i], 200 * sizeof(bytes));
		h2_lane_close(rig.lanes[i]);
		for (int k = 0; k < 150; k++) {
			assert_int_equal(h2_lane_write(l, (struct str){ bytes, sizeof(bytes) }), 0);
			carry();
			if (h2_lane_state(l) == -ECONNRESET)
				break;
		}
		assert_int_equal(h2_lane_state(l), i ? -EAGAIN : -ECONNRESET);
		assert_int_equal(h2_lane_queued(l), 0);
		h2_lane_close(l);
		carry();
	}
}

/* RFC 9113 8.2.2: what belongs to a hop of HTTP/1.1 is not written on, in either direction. */
static void test_hop(void **state)
{
	struct field f[] = { { STR("connection"), STR("x-a"), { NULL, 0 } },
			     { STR("x-a"), STR("1"), STR("X-A") },
			     { STR("keep-alive"), STR("5"), { NULL, 0 } },
			     { STR("proxy-connection"), STR("close"), { NULL, 0 } },
			     { STR("transfer-encoding"), STR("chunked"), { NULL, 0 } },
			     { STR("upgrade"), STR("h2c"), { NULL, 0 } },
			     { STR("te"), STR("trailers"), { NULL, 0 } },
			     { STR("x-b"), STR("2"), STR("X-B") } };
	struct head answer = { .status = 200, .fields = f, .n = ARRAY_SIZE(f) };
	struct h2_lane *l = asks("GET", f, ARRAY_SIZE(f), true, false);
	struct h1 m = { 0 };

	carry();
	assert_int_equal(h2_lane_next(rig.lanes[0], &m), H1_HEAD);
	assert_int_equal(m.head.n, 3);
	assert_true(str_is(head_find(&m.head, "te")->value, "trailers"));
	assert_non_null(head_find(&m.head, "x-b"));
	assert_non_null(head_find(&m.head, "host"));
	assert_int_equal(h2_lane_answer(rig.lanes[0], &answer, true), 0);
	h2_lane_close(rig.lanes[0]);
	carry();
	assert_int_equal(h2_lane_next(l, &m), H1_HEAD);
	assert_int_equal(m.head.n, 1);
	assert_non_null(head_find(&m.head, "x-b"));
	h2_lane_close(l);
}

static void frame(uint8_t type, uint8_t flags, uint8_t id, const char *p, uint8_t n)
{
	char f[9 + 255] = { 0, 0, (char)n, (char)type, (char)flags, 0, 0, 0, (char)id };

	memcpy(f + 9, p, n);
	(void)!h2_feed(rig.job, f, 9u + n);
}

static void test_floods(void **state)
{
	const struct {
		uint8_t type, id;
		const char *p;
		uint8_t n;
	} rows[] = {
		{ 6, 0, "12345678", 8 }, { 4, 0, "", 0 }, { 0, 1, "", 0 }, { 2, 1, "\0\0\0\3\7", 5 }
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct h2_lane *l;

		teardown(NULL);
		setup(NULL);
		l = asks("PUT", NULL, 0, false, false);
		carry();
		for (int n = 0; n < 90; n++)
			frame(rows[i].type, 0, rows[i].id, rows[i].p, rows[i].n);
		assert_false(h2_flooded(rig.job));
		for (int n = 0; n < 20; n++)
			frame(rows[i].type, 0, rows[i].id, rows[i].p, rows[i].n);
		if (!h2_flooded(rig.job))
			print_error("frame type %d\n", rows[i].type);
		assert_true(h2_flooded(rig.job));
		h2_lane_close(rig.lanes[0]);
		h2_lane_close(l);
	}
}

static void test_refused(void **state)
{
	/* :method GET, :scheme https, :path /, and a field that HTTP/2 has not, or not so. */
	static const struct {
		const char *p;
		uint8_t n;
	} rows[] = {
#define ROW(s)                          \
	{ "\x82\x87\x84\x01\x06"        \
	  "a.test" s,                   \
	  sizeof("\x82\x87\x84\x01\x06" \
		 "a.test" s) -          \
		  1 }
		ROW("\x10\x11transfer-encoding\x07"
		    "chunked"),
		ROW("\x10\x0a"
		    "connection\x05"
		    "x-bad"),
		ROW("\x10\x03X-A\x01"
		    "b"),
		ROW("\x10\x03x-a\x06"
		    "b\r\nc:d"),
		ROW("\x10\x07:method\x04POST"),
		ROW("\x10\x09:protocol\x09websocket"),
		ROW("\x10\x04host\x06"
		    "b.test"),
		ROW("\x10\x0e"
		    "content-length\x01"
		    "5"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rig.refused = 0;
		frame(1, 5, (uint8_t)(2 * i + 1), rows[i].p, rows[i].n);
		/* Our client knows nothing of it, and is not told. */
		while (h2_pull(rig.job, &rig.wire))
			;
		rig.wire.n = 0;
		assert_int_equal(rig.opened, 0);
		if (!rig.refused)
			print_error("row %zu\n", i);
		assert_true(rig.refused);
	}
}

static void test_lost(void **state)
{
	struct h2_lane *l = asks("GET", NULL, 0, true, false);
	struct h1 m = { 0 };

	carry();
	h2_lose(rig.up);
	rig.up = h2_free(rig.up);
	assert_int_equal(h2_lane_next(l, &m), H1_MORE);
	assert_int_equal(h2_lane_state(l), -ECONNRESET);
	assert_int_equal(h2_lane_flush(l), -EPIPE);
	h2_lane_close(l);
	h2_lane_close(rig.lanes[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_message, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_lane, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_indexed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_floods, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
