/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 9113, and 7541 where it binds a reader: each MUST about bytes that come, a row each, as raw
 * frames against one side of the codec. A row says what is done about it: GOAWAY(code) ends the
 * connection, RST(stream code) the stream, anything else is what the lane was given. Nothing behind
 * a fault of the stream reaches who moves messages. What whole exchanges show is in
 * ../proxy/test_h2_exchange.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/h2.h"

#include <errno.h>
#include <stdio.h>

#define DATA 0
#define HEADERS 1
#define PRIORITY 2
#define RST_STREAM 3
#define SETTINGS 4
#define PUSH_PROMISE 5
#define PING 6
#define GOAWAY 7
#define WINDOW_UPDATE 8
#define CONTINUATION 9
#define ALTSVC 10
#define ORIGIN 12
#define UNKNOWN 0x42
#define ANSWER 0xff /* no frame: the lane is answered by 200 and given back */

#define ES 1
#define ACK 1
#define EH 4
#define PADDED 8
#define PRIO 0x20

struct row {
	const char *section, *want;
	struct {
		uint8_t type, flags;
		uint32_t id;
		const char *p;
		size_t n, zeros; /* zeros: so many more */
	} f[6];
};
#define F(type, flags, id, s)                              \
	{                                                  \
		type, flags, id, "" s "", sizeof(s) - 1, 0 \
	}
#define LONG(type, flags, id, zeros)          \
	{                                     \
		type, flags, id, "", 0, zeros \
	}

/* A request without its path or authority, and whole ones. Fields: literal, not indexed. */
#define METHOD_GET "\x82"
#define METHOD_POST "\x83"
#define SCHEME "\x87"
#define PATH "\x84"
#define AUTHORITY  \
	"\x01\x06" \
	"a.test"
#define GET METHOD_GET SCHEME PATH AUTHORITY
#define POST METHOD_POST SCHEME PATH AUTHORITY
#define HEAD       \
	"\x02\x04" \
	"HEAD" SCHEME PATH AUTHORITY
#define X_A        \
	"\x10\x03" \
	"x-a"      \
	"\x01"     \
	"b"
#define LENGTH_5       \
	"\x0f\x0d\x01" \
	"5"
#define OK "\x88"

static const struct h2_limits limits = { .header_bytes = 4096,
					 .header_count = 20,
					 .buffer_bytes = 16384,
					 .window = 65535,
					 .lanes = 2,
					 .idle_frames = 100 };

static struct {
	struct h2 *h;
	bool server;
	struct h2_lane *lanes[8];
	unsigned n;
	char said[4096];
} rig;

PRINTF_LIKE(1, 2) static void note(const char *fmt, ...)
{
	size_t n = strlen(rig.said);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rig.said + n, sizeof(rig.said) - n, fmt, ap);
	va_end(ap);
}

static void on_opened(void *owner, struct h2_lane *l)
{
	assert_true(rig.n < ARRAY_SIZE(rig.lanes));
	rig.lanes[rig.n++] = l;
}

static void on_kick(void *owner)
{
}

static const char *code_name(uint32_t code)
{
	static const char *const names[] = { "NO_ERROR",     "PROTOCOL_ERROR",	 "INTERNAL_ERROR",
					     "FLOW_CONTROL", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
					     "FRAME_SIZE",   "REFUSED_STREAM",	 "CANCEL",
					     "COMPRESSION",  "CONNECT_ERROR",	 "CALM",
					     "INADEQUATE",   "HTTP_1_1_REQUIRED" };

	return code < ARRAY_SIZE(names) ? names[code] : "?";
}

static uint32_t u32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

/* What the side says that its peer has to act on. */
static void listen_to(void)
{
	struct buf b;
	size_t n;

	buf_init(&b, 1 << 22);
	while (h2_pull(rig.h, &b))
		;
	for (const char *p = b.p, *end = b.n ? p + b.n : p; p < end; p += 9 + n) {
		unsigned type = (unsigned char)p[3];
		uint32_t id = u32(p + 5);

		if (!rig.server && p == b.p && b.n >= 24 && !memcmp(p, "PRI * HTTP", 10)) {
			n = 24 - 9;
			continue;
		}
		n = u32(p) >> 8;
		if (type == RST_STREAM)
			note("RST(%u %s) ", id, code_name(u32(p + 9)));
		else if (type == GOAWAY)
			note("GOAWAY(%s) ", code_name(u32(p + 13)));
		else if (type == PING)
			note("PONG(%.8s) ", p + 9);
		else if (type == HEADERS && rig.server)
			note("ANSWERED(%u) ", id);
		else if (type == PUSH_PROMISE || type >= CONTINUATION)
			note("FRAME(%u) ", type);
	}
	buf_done(&b);
}

static void say_head(const struct head *h, const struct h2_lane *l)
{
	if (h->is_request)
		note("%.*s %.*s %.*s", STR_ARG(h->method), STR_ARG(h->scheme), STR_ARG(h->path));
	else
		note("%u", h->status);
	for (size_t i = 0; i < h->n; i++)
		note(" %.*s=%.*s", STR_ARG(h->fields[i].name), STR_ARG(h->fields[i].value));
	note(" ");
}

/* Everything that who moves the message would be given. */
static void take(struct h2_lane *l)
{
	struct h1 m = { 0 };

	for (;;) {
		switch (h2_lane_next(l, &m)) {
		case H1_MORE:
			if (h2_lane_state(l) == -ECONNRESET && !h2_lane_heard(l))
				note("LOST ");
			return;
		case H1_HEAD:
			say_head(&m.head, l);
			break;
		case H1_BODY:
			note("[%zu] ", m.body.n);
			break;
		case H1_TRAILERS:
			break;
		case H1_END:
			for (size_t i = 0; i < m.ntrailers; i++)
				note("%.*s=%.*s ", STR_ARG(m.trailers[i].name),
				     STR_ARG(m.trailers[i].value));
			note("END ");
			return;
		case H1_FAULT:
			note("FAULT ");
			return;
		}
	}
}

static void feed(unsigned type, unsigned flags, uint32_t id, const char *p, size_t n, size_t zeros)
{
	static char f[1 << 16];
	size_t all = n + zeros;
	const char head[9] = { (char)(all >> 16), (char)(all >> 8), (char)all,
			       (char)type,	  (char)flags,	    (char)(id >> 24),
			       (char)(id >> 16),  (char)(id >> 8),  (char)id };

	memcpy(f, head, 9);
	memcpy(f + 9, p, n);
	memset(f + 9 + n, 0, zeros);
	(void)!h2_feed(rig.h, f, 9 + all);
}

static void start(bool server)
{
	static const struct h2_calls calls = { on_opened, NULL, on_kick };

	memset(&rig, 0, sizeof(rig));
	rig.server = server;
	rig.h = h2_new(server, &limits, &calls, NULL);
}

static void ask(const char *method, bool ends)
{
	struct head h = { .is_request = true, .method = str_of(method) };
	struct h2_lane *l = h2_open(rig.h);

	assert_int_equal(h2_lane_request(l, &h, STR("https"), STR("a.test"), STR("/"), ends, false),
			 0);
	rig.lanes[rig.n++] = l;
	listen_to();
}

static void finish(void)
{
	for (unsigned i = 0; i < rig.n; i++)
		if (rig.lanes[i])
			take(rig.lanes[i]);
	listen_to();
	for (unsigned i = 0; i < rig.n; i++)
		if (rig.lanes[i])
			h2_lane_close(rig.lanes[i]);
	h2_free(rig.h);
}

static void hold(const struct row *rows, size_t n, bool server)
{
	const struct head ok = { .status = 200 };
	bool bad = false;

	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];

		start(server);
		if (server)
			(void)!h2_feed(rig.h, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
		if (strncmp(r->section, "3.4", 3) != 0)
			feed(SETTINGS, 0, 0, "", 0, 0);
		listen_to();
		if (!server)
			ask(strstr(r->section, "HEAD's") ? "HEAD" : "GET",
			    !strstr(r->section, "body"));
		for (size_t k = 0; k < ARRAY_SIZE(r->f) && r->f[k].p; k++) {
			if (r->f[k].type == ANSWER) {
				take(rig.lanes[0]);
				assert_int_equal(h2_lane_answer(rig.lanes[0], &ok, true), 0);
				rig.lanes[0] = h2_lane_close(rig.lanes[0]);
			} else {
				feed(r->f[k].type, r->f[k].flags, r->f[k].id, r->f[k].p, r->f[k].n,
				     r->f[k].zeros);
			}
			listen_to();
		}
		finish();

		if (rig.said[0] && rig.said[strlen(rig.said) - 1] == ' ')
			rig.said[strlen(rig.said) - 1] = 0;
		if (strcmp(rig.said, r->want) != 0) {
			print_error("%s\n  want  %s\n  got   %s\n", r->section, r->want, rig.said);
			bad = true;
		}
	}
	assert_false(bad);
}

#define TOOK "GET https / host=a.test "

static void test_frames(void **state)
{
	static const struct row rows[] = {
#include "h2_frames.def"
	};

	hold(rows, ARRAY_SIZE(rows), true);
}

static void test_fields(void **state)
{
	static const struct row rows[] = {
#include "h2_fields.def"
	};

	hold(rows, ARRAY_SIZE(rows), true);
}

static void test_answers(void **state)
{
	static const struct row rows[] = {
#include "h2_answers.def"
	};

	hold(rows, ARRAY_SIZE(rows), false);
}

/* What we say keeps to what the peer said last, also while it is under way. */
static size_t body_bytes(void)
{
	struct buf b;
	size_t n, sum = 0;
	bool more;

	buf_init(&b, 1 << 20);
	do {
		b.n = 0;
		more = h2_pull(rig.h, &b);
		for (const char *p = b.p, *end = b.n ? p + b.n : p; p < end; p += 9 + n) {
			n = u32(p) >> 8;
			assert_true(n <= 16384);
			if (p[3] == DATA)
				sum += n;
		}
	} while (more);
	buf_done(&b);
	return sum;
}

static void opened(bool server)
{
	start(server);
	if (server)
		(void)!h2_feed(rig.h, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	feed(SETTINGS, 0, 0, "", 0, 0);
	listen_to();
}

static void test_windows(void **state)
{
	static char bytes[50000];
	const struct head ok = { .status = 200 };

	opened(true);
	feed(HEADERS, EH | ES, 1, GET, sizeof(GET) - 1, 0);
	assert_int_equal(h2_lane_answer(rig.lanes[0], &ok, false), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(h2_lane_write(rig.lanes[0], (struct str){ bytes, sizeof(bytes) }),
				 0);
	/* 6.9.1: never more than the window; 6.9.2: a smaller one makes it negative. */
	assert_int_equal(body_bytes(), 65535);
	feed(SETTINGS, 0, 0, "\0\x04\0\0\x27\x10", 6, 0); /* 10,000: now at -55,535 */
	feed(WINDOW_UPDATE, 0, 0, "\0\x0f\x42\x40", 4, 0);
	feed(WINDOW_UPDATE, 0, 1, "\0\0\xd8\xef", 4, 0); /* 55,535: at 0 */
	assert_int_equal(body_bytes(), 0);
	feed(WINDOW_UPDATE, 0, 1, "\0\0\0\x07", 4, 0);
	assert_int_equal(body_bytes(), 7);
	feed(SETTINGS, 0, 0, "\0\x04\0\0\x27\x1a", 6, 0); /* 10 more */
	assert_int_equal(body_bytes(), 10);
	feed(WINDOW_UPDATE, 0, 1, "\0\x0f\x42\x40", 4, 0);
	assert_int_equal(body_bytes(), 2 * sizeof(bytes) - 65535 - 17);
	finish();
}

/* 7541 4.2, 6.3: the peer's table became smaller: the next head says so first, and uses none. */
static void test_table(void **state)
{
	struct field f = { STR("x-a"), STR("some value"), { NULL, 0 } };
	struct head h = { .is_request = true, .method = STR("GET"), .fields = &f, .n = 1 };
	size_t sizes[3];
	struct buf b;

	opened(false);
	buf_init(&b, 1 << 16);
	for (int i = 0; i < 3; i++) {
		struct h2_lane *l = h2_open(rig.h);

		if (i == 2)
			feed(SETTINGS, 0, 0, "\0\x01\0\0\0\0", 6, 0);
		while (h2_pull(rig.h, &b)) /* its ACK */
			;
		b.n = 0;
		assert_int_equal(
			h2_lane_request(l, &h, STR("https"), STR("a.test"), STR("/"), true, false),
			0);
		while (h2_pull(rig.h, &b))
			;
		assert_int_equal(b.p[3], HEADERS);
		assert_int_equal((unsigned char)b.p[9] == 0x20, i == 2);
		sizes[i] = b.n;
		rig.lanes[rig.n++] = l;
	}
	assert_true(sizes[1] < sizes[0] && sizes[2] > sizes[1] + 8);
	buf_done(&b);
	finish();
}

/* 5.1.2: no more at once than the peer said, whenever it says so. 6.8: none behind its GOAWAY. */
static void test_room(void **state)
{
	bool going;

	opened(false);
	assert_true(h2_room(rig.h, &going));
	ask("GET", true);
	assert_true(h2_room(rig.h, &going));
	feed(SETTINGS, 0, 0, "\0\x03\0\0\0\x01", 6, 0);
	assert_false(h2_room(rig.h, &going));
	assert_false(going);
	feed(HEADERS, EH | ES, 1, OK, 1, 0);
	take(rig.lanes[0]);
	rig.lanes[0] = h2_lane_close(rig.lanes[0]);
	assert_true(h2_room(rig.h, &going));
	feed(SETTINGS, 0, 0, "\0\x03\0\0\0\0", 6, 0);
	assert_false(h2_room(rig.h, &going));
	feed(SETTINGS, 0, 0, "\0\x03\0\0\0\x02", 6, 0);
	ask("GET", true);
	ask("POST", false);
	feed(GOAWAY, 0, 0, "\0\0\0\x03\0\0\0\0", 8, 0);
	assert_false(h2_room(rig.h, &going));
	assert_true(going);
	/* 8.7: only what was surely not looked at may be sent again. */
	assert_int_equal(h2_lane_state(rig.lanes[1]), -EAGAIN);
	assert_int_equal(h2_lane_state(rig.lanes[2]), -ECONNRESET);
	assert_false(h2_lane_untouched(rig.lanes[1]));
	assert_true(h2_lane_untouched(rig.lanes[2]));
	feed(RST_STREAM, 0, 3, "\0\0\0\x07", 4, 0);
	assert_true(h2_lane_untouched(rig.lanes[1]));
	finish();
	opened(false);
	ask("GET", true);
	feed(RST_STREAM, 0, 1, "\0\0\0\x02", 4, 0);
	assert_int_equal(h2_lane_state(rig.lanes[0]), -ECONNRESET);
	assert_false(h2_lane_untouched(rig.lanes[0]));
	finish();
}

/* Heads of streams that are over are let go, and counted: each is unpacked. */
static void test_late(void **state)
{
	opened(true);
	feed(HEADERS, EH, 1, POST, sizeof(POST) - 1, 0);
	feed(RST_STREAM, 0, 1, "\0\0\0\x08", 4, 0);
	for (uint32_t k = 0; k < limits.idle_frames + 2; k++)
		feed(HEADERS, EH, 1, GET, sizeof(GET) - 1, 0);
	assert_true(h2_flooded(rig.h));
	assert_int_equal(rig.n, 1);
	finish();
}

static void test_preface(void **state)
{
	static const char *const bad[] = { "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
					   "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
					   "\x16\x03\x01\x02\x00" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		start(true);
		assert_true(h2_feed(rig.h, bad[i], strlen(bad[i])) < 0);
		finish();
		assert_int_equal(rig.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),	cmocka_unit_test(test_fields),
		cmocka_unit_test(test_answers), cmocka_unit_test(test_windows),
		cmocka_unit_test(test_table),	cmocka_unit_test(test_room),
		cmocka_unit_test(test_late),	cmocka_unit_test(test_preface),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
