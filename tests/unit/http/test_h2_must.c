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
	for (const char *p = b.p; p < b.p + b.n; p += 9 + n) {
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
		{ "3.4 the first frame is SETTINGS",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(PING, 0, 0, "12345678") } },
		{ "4.1 unknown types are ignored",
		  "PONG(12345678)",
		  { F(UNKNOWN, 0xff, 0, "x"), F(UNKNOWN, 1, 7, "x"), F(PING, 0, 0, "12345678") } },
		{ "4.1 unknown flags are ignored",
		  TOOK "END",
		  { F(HEADERS, EH | ES | 0xd2, 1, GET) } },
		{ "4.1 the reserved bit is ignored",
		  TOOK "END",
		  { F(HEADERS, EH | ES, 0x80000001, GET) } },
		{ "4.2 a frame larger than we take",
		  "GOAWAY(FRAME_SIZE) POST https / host=a.test",
		  { F(HEADERS, EH, 1, POST), LONG(DATA, 0, 1, 16385) } },
		{ "4.2 the same of a type we do not know",
		  "GOAWAY(FRAME_SIZE)",
		  { LONG(UNKNOWN, 0, 0, 16385) } },
		{ "4.3 fields that cannot be decoded",
		  "GOAWAY(COMPRESSION)",
		  { F(HEADERS, EH | ES, 1, "\xff\xff\xff\xff\xff\xff") } },
		{ "4.3 another frame between a head's",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(HEADERS, ES, 1, METHOD_GET), F(PING, 0, 0, "12345678") } },
		{ "5.5 nor one that nobody knows",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(HEADERS, ES, 1, METHOD_GET), F(UNKNOWN, 0, 1, "x") } },
		{ "4.3 nor another stream's",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(HEADERS, ES, 1, METHOD_GET), F(HEADERS, EH | ES, 3, GET) } },
		{ "5.1 idle: DATA", "GOAWAY(PROTOCOL_ERROR)", { F(DATA, 0, 1, "x") } },
		{ "5.1 idle: RST_STREAM",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(RST_STREAM, 0, 1, "\0\0\0\x08") } },
		{ "5.1 idle: WINDOW_UPDATE",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(WINDOW_UPDATE, 0, 1, "\0\0\0\x08") } },
		{ "5.1 idle: CONTINUATION",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(CONTINUATION, EH, 1, GET) } },
		{ "5.1 idle: PRIORITY is no fault",
		  TOOK "END",
		  { F(PRIORITY, 0, 3, "\0\0\0\0\x10"), F(HEADERS, EH | ES, 3, GET) } },
		{ "5.1 half-closed: DATA",
		  "GOAWAY(STREAM_CLOSED) " TOOK "END",
		  { F(HEADERS, EH | ES, 1, GET), F(DATA, ES, 1, "x") } },
		{ "5.1 half-closed: HEADERS",
		  "GOAWAY(STREAM_CLOSED) " TOOK "END",
		  { F(HEADERS, EH | ES, 1, GET), F(HEADERS, EH | ES, 1, X_A) } },
		{ "5.1 half-closed: WINDOW_UPDATE and RST_STREAM may come",
		  TOOK "END",
		  { F(HEADERS, EH | ES, 1, GET), F(WINDOW_UPDATE, 0, 1, "\0\0\0\x08"),
		    F(PRIORITY, 0, 1, "\0\0\0\0\x10") } },
		{ "5.1 closed: DATA",
		  TOOK "END ANSWERED(1) PONG(12345678)",
		  { F(HEADERS, EH | ES, 1, GET), F(ANSWER, 0, 0, ""), F(DATA, 0, 1, "x"),
		    F(PING, 0, 0, "12345678") } },
		{ "5.1 closed: HEADERS",
		  TOOK "END ANSWERED(1) PONG(12345678)",
		  { F(HEADERS, EH | ES, 1, GET), F(ANSWER, 0, 0, ""), F(HEADERS, EH | ES, 1, GET),
		    F(PING, 0, 0, "12345678") } },
		{ "5.1 closed: what was on its way is let go",
		  TOOK "END ANSWERED(1) PONG(12345678)",
		  { F(HEADERS, EH | ES, 1, GET), F(ANSWER, 0, 0, ""),
		    F(WINDOW_UPDATE, 0, 1, "\0\0\0\x08"), F(RST_STREAM, 0, 1, "\0\0\0\x08"),
		    F(PING, 0, 0, "12345678") } },
		{ "5.1 reset by the peer: more of it",
		  "POST https / host=a.test LOST",
		  { F(HEADERS, EH, 1, POST), F(RST_STREAM, 0, 1, "\0\0\0\x08"),
		    F(DATA, 0, 1, "x") } },
		{ "5.1 reset by us: what was on its way is let go",
		  "RST(1 PROTOCOL_ERROR) PONG(12345678)",
		  { F(HEADERS, EH, 1,
		      POST "\x10\x03"
			   "X-A"
			   "\x01"
			   "b"),
		    F(DATA, 0, 1, "x"), F(DATA, ES, 1, "x"), F(PING, 0, 0, "12345678") } },
		{ "5.1.1 a client's streams are odd",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 2, GET) } },
		{ "5.1.1 what goes back is no request",
		  TOOK "END",
		  { F(HEADERS, EH | ES, 5, GET), F(HEADERS, EH | ES, 3, GET) } },
		{ "5.1.1 nor is 0 one", "GOAWAY(PROTOCOL_ERROR)", { F(HEADERS, EH | ES, 0, GET) } },
		{ "5.1.2 more at once than we said, before that was heard",
		  "RST(5 REFUSED_STREAM) POST https / host=a.test POST https / host=a.test",
		  { F(HEADERS, EH, 1, POST), F(HEADERS, EH, 3, POST), F(HEADERS, EH, 5, POST) } },
		{ "5.1.2 and behind it",
		  "GOAWAY(PROTOCOL_ERROR) POST https / host=a.test POST https / host=a.test",
		  { F(SETTINGS, ACK, 0, ""), F(HEADERS, EH, 1, POST), F(HEADERS, EH, 3, POST),
		    F(HEADERS, EH, 5, POST) } },
		{ "6.1 DATA of stream 0", "GOAWAY(PROTOCOL_ERROR)", { F(DATA, 0, 0, "x") } },
		{ "6.1 padding is no body",
		  "POST https / host=a.test [1] END",
		  { F(HEADERS, EH, 1, POST), F(DATA, ES | PADDED, 1,
					       "\x03"
					       "x\0\0\0") } },
		{ "6.1 padding longer than its frame",
		  "GOAWAY(PROTOCOL_ERROR) POST https / host=a.test",
		  { F(HEADERS, EH, 1, POST), F(DATA, PADDED, 1,
					       "\x05"
					       "xxx") } },
		{ "6.1 padding and no byte for its length",
		  "GOAWAY(PROTOCOL_ERROR) POST https / host=a.test",
		  { F(HEADERS, EH, 1, POST), F(DATA, PADDED, 1, "") } },
		{ "6.2 padding and priority are no fields",
		  TOOK "END",
		  { F(HEADERS, EH | ES | PADDED | PRIO, 1,
		      "\x02"
		      "\0\0\0\0\x10" GET "\0\0") } },
		{ "6.2 padding longer than its frame",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES | PADDED, 1, "\x20" GET) } },
		{ "6.2 too short for its priority",
		  "GOAWAY(FRAME_SIZE)",
		  { F(HEADERS, EH | ES | PRIO, 1, "\0\0") } },
		{ "6.3 PRIORITY of stream 0",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(PRIORITY, 0, 0, "\0\0\0\0\x10") } },
		{ "6.3 PRIORITY of another length",
		  "GOAWAY(FRAME_SIZE)",
		  { F(PRIORITY, 0, 1, "\0\0\0\0") } },
		{ "6.4 RST_STREAM of stream 0",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(RST_STREAM, 0, 0, "\0\0\0\x08") } },
		{ "6.4 RST_STREAM of another length",
		  "GOAWAY(FRAME_SIZE) POST https / host=a.test",
		  { F(HEADERS, EH, 1, POST), F(RST_STREAM, 0, 1, "\0\0\x08") } },
		{ "6.4 what was not taken yet is lost with it",
		  "POST https / host=a.test [1] LOST",
		  { F(HEADERS, EH, 1, POST), F(DATA, 0, 1, "x"),
		    F(RST_STREAM, 0, 1, "\0\0\0\x08") } },
		{ "6.5 ACK that says something",
		  "GOAWAY(FRAME_SIZE)",
		  { F(SETTINGS, ACK, 0, "\0\x04\0\0\0\0") } },
		{ "6.5 SETTINGS of a stream", "GOAWAY(PROTOCOL_ERROR)", { F(SETTINGS, 0, 1, "") } },
		{ "6.5 SETTINGS of another length",
		  "GOAWAY(FRAME_SIZE)",
		  { F(SETTINGS, 0, 0, "\0\x04\0") } },
		{ "6.5.2 ENABLE_PUSH is 0 or 1",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(SETTINGS, 0, 0, "\0\x02\0\0\0\x02") } },
		{ "6.5.2 a window over 2^31-1",
		  "GOAWAY(FLOW_CONTROL)",
		  { F(SETTINGS, 0, 0, "\0\x04\x80\0\0\0") } },
		{ "6.5.2 frames under 2^14",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(SETTINGS, 0, 0, "\0\x05\0\0\x3f\xff") } },
		{ "6.5.2 frames over 2^24-1",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(SETTINGS, 0, 0, "\0\x05\1\0\0\0") } },
		{ "6.5.2 unknown settings are ignored",
		  "PONG(12345678)",
		  { F(SETTINGS, 0, 0, "\x77\x77\xff\xff\xff\xff"), F(PING, 0, 0, "12345678") } },
		{ "8441 3 CONNECT_PROTOCOL is 0 or 1",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(SETTINGS, 0, 0, "\0\x08\0\0\0\x02") } },
		{ "6.6, 8.4 a client does not push",
		  "GOAWAY(PROTOCOL_ERROR) POST https / host=a.test",
		  { F(HEADERS, EH, 1, POST), F(PUSH_PROMISE, EH, 1, "\0\0\0\x02" GET) } },
		{ "6.7 PING of a stream", "GOAWAY(PROTOCOL_ERROR)", { F(PING, 0, 1, "12345678") } },
		{ "6.7 PING of another length",
		  "GOAWAY(FRAME_SIZE)",
		  { F(PING, 0, 0, "1234567") } },
		{ "6.7 an ACK is not answered", "", { F(PING, ACK, 0, "12345678") } },
		{ "6.8 GOAWAY of a stream",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(GOAWAY, 0, 1, "\0\0\0\0\0\0\0\0") } },
		{ "6.8 GOAWAY of another length",
		  "GOAWAY(FRAME_SIZE)",
		  { F(GOAWAY, 0, 0, "\0\0\0\0\0\0\0") } },
		{ "6.9 WINDOW_UPDATE of another length",
		  "GOAWAY(FRAME_SIZE)",
		  { F(WINDOW_UPDATE, 0, 0, "\0\0\x01") } },
		{ "6.9 by 0, of the connection",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(WINDOW_UPDATE, 0, 0, "\0\0\0\0") } },
		{ "6.9 by 0, of a stream",
		  "GOAWAY(PROTOCOL_ERROR) POST https / host=a.test",
		  { F(HEADERS, EH, 1, POST), F(WINDOW_UPDATE, 0, 1, "\0\0\0\0") } },
		{ "6.9.1 over 2^31-1, of the connection",
		  "GOAWAY(FLOW_CONTROL)",
		  { F(WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff") } },
		{ "6.9.1 over 2^31-1, of a stream",
		  "RST(1 FLOW_CONTROL) POST https / host=a.test LOST",
		  { F(HEADERS, EH, 1, POST), F(WINDOW_UPDATE, 0, 1, "\x7f\xff\xff\xff") } },
		{ "6.9.2 over 2^31-1 by SETTINGS (nghttp2: the stream alone)",
		  "RST(1 FLOW_CONTROL) POST https / host=a.test LOST",
		  { F(HEADERS, EH, 1, POST), F(WINDOW_UPDATE, 0, 1, "\x7f\xff\0\0"),
		    F(SETTINGS, 0, 0, "\0\x04\x7f\xff\xff\xff") } },
		{ "6.9 more than its window, of a stream",
		  "RST(1 FLOW_CONTROL) POST https / host=a.test [16384] [16384] [16384] LOST",
		  { F(HEADERS, EH, 1, POST), LONG(DATA, 0, 1, 16384), LONG(DATA, 0, 1, 16384),
		    LONG(DATA, 0, 1, 16384), LONG(DATA, 0, 1, 16384) } },
		{ "6.10 CONTINUATION of stream 0",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(CONTINUATION, EH, 0, "") } },
		{ "6.10 CONTINUATION behind a whole head",
		  "GOAWAY(PROTOCOL_ERROR) POST https / host=a.test",
		  { F(HEADERS, EH, 1, POST), F(CONTINUATION, EH, 1, "") } },
		{ "6.10 a head in three frames is one",
		  TOOK "END",
		  { F(HEADERS, ES, 1, METHOD_GET), F(CONTINUATION, 0, 1, SCHEME PATH),
		    F(CONTINUATION, EH, 1, AUTHORITY) } },
		{ "7838 4 ALTSVC is a server's",
		  "PONG(12345678)",
		  { F(ALTSVC, 0, 0, "\0\0x"), F(PING, 0, 0, "12345678") } },
		{ "8336 2.1 ORIGIN is a server's",
		  "PONG(12345678)",
		  { F(ORIGIN, 0, 0,
		      "\0\x0e"
		      "https://a.test"),
		    F(PING, 0, 0, "12345678") } },
	};

	hold(rows, ARRAY_SIZE(rows), true);
}

static void test_fields(void **state)
{
	static const struct row rows[] = {
		{ "7541 2.3.3 index 0", "GOAWAY(COMPRESSION)", { F(HEADERS, EH | ES, 1, "\x80") } },
		{ "7541 2.3.3 an index that is not there",
		  "GOAWAY(COMPRESSION)",
		  { F(HEADERS, EH | ES, 1, GET "\xbe") } },
		{ "7541 4.2 a table larger than we said",
		  "GOAWAY(COMPRESSION)",
		  { F(HEADERS, EH | ES, 1, "\x3f\xe2\x1f" GET) } },
		{ "7541 4.2 a new size stands first",
		  "GOAWAY(COMPRESSION)",
		  { F(HEADERS, EH | ES, 1, GET "\x20") } },
		{ "7541 4.2 smaller is fine, and empties it",
		  "GOAWAY(COMPRESSION) GET https / x-a=b host=a.test END",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x40\x03"
			  "x-a"
			  "\x01"
			  "b"),
		    F(HEADERS, EH | ES, 3, "\x20" GET "\xbe") } },
		{ "7541 5.1 a number without end",
		  "GOAWAY(COMPRESSION)",
		  { F(HEADERS, EH | ES, 1, GET "\x1f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f") } },
		{ "7541 5.2 Huffman padding of more than 7 bits",
		  "GOAWAY(COMPRESSION)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x-a"
			  "\x82\x1f\xff") } },
		{ "7541 5.2 Huffman padding that is not EOS",
		  "GOAWAY(COMPRESSION)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x-a"
			  "\x81\x18") } },
		{ "7541 5.2 Huffman EOS",
		  "GOAWAY(COMPRESSION)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x-a"
			  "\x84\xff\xff\xff\xff") } },
		{ "7541 5.2 a text that its frame does not hold",
		  "GOAWAY(COMPRESSION)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x-a"
			  "\x30"
			  "b") } },
		{ "8.2.1 an uppercase name",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "X-A"
			  "\x01"
			  "b") } },
		{ "8.2.1 a name with a blank",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x a"
			  "\x01"
			  "b") } },
		{ "8.2.1 a name with a colon",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x:a"
			  "\x01"
			  "b") } },
		{ "8.2.1 a name with CR LF",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x05"
			  "x\r\na:"
			  "\x01"
			  "b") } },
		{ "8.2.1 a name of 8 bits",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x\xe4"
			  "a"
			  "\x01"
			  "b") } },
		{ "8.2.1 an empty name",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x00"
			  "\x01"
			  "b") } },
		{ "8.2.1 a value with NUL",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x-a"
			  "\x03"
			  "b\0c") } },
		{ "8.2.1 a value with LF",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x-a"
			  "\x03"
			  "b\nc") } },
		{ "8.2.1 a value with CR",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x-a"
			  "\x03"
			  "b\rc") } },
		{ "8.2.1 a value that begins with a blank",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x-a"
			  "\x02"
			  " b") } },
		{ "8.2.1 or ends with a tab",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x03"
			  "x-a"
			  "\x02"
			  "b\t") } },
		{ "8.2.2 transfer-encoding",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x11"
			  "transfer-encoding"
			  "\x07"
			  "chunked") } },
		{ "8.2.2 connection",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x0a"
			  "connection"
			  "\x03"
			  "x-a" X_A) } },
		{ "8.2.2 keep-alive",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x0a"
			  "keep-alive"
			  "\x01"
			  "5") } },
		{ "8.2.2 proxy-connection",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x10"
			  "proxy-connection"
			  "\x05"
			  "close") } },
		{ "8.2.2 upgrade",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x07"
			  "upgrade"
			  "\x03"
			  "h2c") } },
		{ "8.2.2 te: trailers may be said",
		  "GET https / te=trailers host=a.test END",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x02"
			  "te"
			  "\x08"
			  "trailers") } },
		{ "8.2.2 another te",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x02"
			  "te"
			  "\x0d"
			  "trailers;q=.5") } },
		{ "8.2.3 crumbs of a cookie are one field",
		  "GET https / cookie=a=1; b=2 host=a.test END",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x0f\x11\x03"
			  "a=1"
			  "\x0f\x11\x03"
			  "b=2") } },
		{ "8.3 a pseudo-header behind fields",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1, METHOD_GET SCHEME AUTHORITY X_A PATH) } },
		{ "8.3 an unknown one",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x10\x02"
			  ":x"
			  "\x01"
			  "b") } },
		{ "8.3 an answer's", "RST(1 PROTOCOL_ERROR)", { F(HEADERS, EH | ES, 1, GET OK) } },
		{ "8.3 one in trailers",
		  "RST(1 PROTOCOL_ERROR) POST https / host=a.test LOST",
		  { F(HEADERS, EH, 1, POST), F(HEADERS, EH | ES, 1, PATH) } },
		{ "8.3.1 twice :method",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1, GET METHOD_POST) } },
		{ "8.3.1 twice :path",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x04\x02"
			  "/b") } },
		{ "8.3.1 twice :scheme",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1, GET "\x86") } },
		{ "8.3.1 twice :authority",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1, GET AUTHORITY) } },
		{ "8.3.1 no :method",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1, SCHEME PATH AUTHORITY) } },
		{ "8.3.1 no :scheme",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1, METHOD_GET PATH AUTHORITY) } },
		{ "8.3.1 no :path",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1, METHOD_GET SCHEME AUTHORITY) } },
		{ "8.3.1 an empty :path",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1, METHOD_GET SCHEME AUTHORITY "\x04\x00") } },
		{ "8.3.1 an empty :method",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1, "\x02\x00" SCHEME PATH AUTHORITY) } },
		{ "8.3.1 a :method that is two words",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      "\x02\x05"
		      "GET /" SCHEME PATH AUTHORITY) } },
		{ "8.3.1 a :path that splits the line",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      METHOD_GET SCHEME AUTHORITY "\x04\x0f"
						  "/ HTTP/1.1\r\nA:b") } },
		{ "8.3.1 a :path with a blank",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      METHOD_GET SCHEME AUTHORITY "\x04\x04"
						  "/a b") } },
		{ "8.3.1 a :path with NUL",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      METHOD_GET SCHEME AUTHORITY "\x04\x04"
						  "/a\0b") } },
		{ "8.3.1 a :path that is no path",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      METHOD_GET SCHEME AUTHORITY "\x04\x01"
						  "a") } },
		{ "8.3.1 * is OPTIONS' alone",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      METHOD_GET SCHEME AUTHORITY "\x04\x01"
						  "*") } },
		{ "8.3.1 an absolute :path",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      METHOD_GET SCHEME AUTHORITY "\x04\x10"
						  "https://b.test/a") } },
		{ "8.3.1 :authority with a user: who judges it answers 400",
		  "GET https / host=u@a.test END",
		  { F(HEADERS, EH | ES, 1,
		      METHOD_GET SCHEME PATH "\x01\x08"
					     "u@a.test") } },
		{ "8.3.1 :authority that splits a line",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      METHOD_GET SCHEME PATH "\x01\x0b"
					     "a.test\r\nX:y") } },
		{ "8.3.1 :scheme that splits a line",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      METHOD_GET "\x06\x0c"
				 "https\r\nX: y:" PATH AUTHORITY) } },
		{ "8.3.1 Host that is another",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x0f\x17\x06"
			  "b.test") } },
		{ "8.3.1 Host that is the same",
		  "GET https / host=A.test END",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x0f\x17\x06"
			  "A.test") } },
		{ "8.3.1 two of it",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1,
		      GET "\x0f\x17\x06"
			  "a.test"
			  "\x0f\x17\x06"
			  "a.test") } },
		{ "8.3.1 neither",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1, METHOD_GET SCHEME PATH) } },
		{ "8.1 trailers end the request",
		  "RST(1 PROTOCOL_ERROR) POST https / host=a.test LOST",
		  { F(HEADERS, EH, 1, POST), F(HEADERS, EH, 1, X_A) } },
		{ "8.1 and are taken behind its body",
		  "POST https / host=a.test [1] x-a=b END",
		  { F(HEADERS, EH, 1, POST), F(DATA, 0, 1, "x"), F(HEADERS, EH | ES, 1, X_A) } },
		{ "8.1.1 less body than its length",
		  "RST(1 PROTOCOL_ERROR) POST https / content-length=5 host=a.test [3] LOST",
		  { F(HEADERS, EH, 1, POST LENGTH_5), F(DATA, ES, 1, "abc") } },
		{ "8.1.1 none",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 1, POST LENGTH_5) } },
		{ "8.1.1 less, and trailers",
		  "RST(1 PROTOCOL_ERROR) POST https / content-length=5 host=a.test [3] LOST",
		  { F(HEADERS, EH, 1, POST LENGTH_5), F(DATA, 0, 1, "abc"),
		    F(HEADERS, EH | ES, 1, X_A) } },
		{ "8.1.1 more body than its length",
		  "RST(1 PROTOCOL_ERROR) POST https / content-length=5 host=a.test LOST",
		  { F(HEADERS, EH, 1, POST LENGTH_5), F(DATA, 0, 1, "abcdef") } },
		{ "8.1.1 just so, padding not counted",
		  "POST https / content-length=5 host=a.test [5] END",
		  { F(HEADERS, EH, 1, POST LENGTH_5), F(DATA, ES | PADDED, 1,
							"\x02"
							"abcde\0\0") } },
		{ "8.1.1 two lengths",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH, 1, POST LENGTH_5 LENGTH_5) } },
		{ "8.1.1 a length that is a list",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH, 1,
		      POST "\x0f\x0d\x04"
			   "5, 5") } },
		{ "8.1.1 a length with a sign",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH, 1,
		      POST "\x0f\x0d\x02"
			   "+5") } },
		{ "8.1.1 a length past all numbers",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH, 1,
		      POST "\x0f\x0d\x14"
			   "99999999999999999999") } },
		{ "8.5 CONNECT has neither :scheme nor :path",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH, 1,
		      "\x02\x07"
		      "CONNECT" SCHEME PATH AUTHORITY) } },
		{ "8.5 nor goes without :authority",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH, 1,
		      "\x02\x07"
		      "CONNECT") } },
		{ "8441 4 :protocol, which we did not offer",
		  "RST(1 PROTOCOL_ERROR)",
		  { F(HEADERS, EH, 1,
		      "\x02\x07"
		      "CONNECT"
		      "\x10\x09"
		      ":protocol"
		      "\x09"
		      "websocket" SCHEME PATH AUTHORITY) } },
	};

	hold(rows, ARRAY_SIZE(rows), true);
}

static void test_answers(void **state)
{
	static const struct row rows[] = {
		{ "3.4 a server's first frame is SETTINGS",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(PING, 0, 0, "12345678") } },
		{ "5.1 idle: DATA", "GOAWAY(PROTOCOL_ERROR)", { F(DATA, 0, 3, "x") } },
		{ "5.1.1 HEADERS of a stream that we did not open",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 3, OK) } },
		{ "5.1.1 nor may a server",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(HEADERS, EH | ES, 2, OK) } },
		{ "6.5.2 a server that says ENABLE_PUSH 1",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(SETTINGS, 0, 0, "\0\x02\0\0\0\x01") } },
		{ "6.6, 8.4 PUSH_PROMISE, which we had switched off",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(SETTINGS, ACK, 0, ""), F(PUSH_PROMISE, EH, 1, "\0\0\0\x02" GET) } },
		{ "6.8 GOAWAY below the stream: not looked at",
		  "LOST",
		  { F(GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0") } },
		{ "6.8 GOAWAY at the stream: its answer is still to come",
		  "200 END",
		  { F(GOAWAY, 0, 0, "\0\0\0\x01\0\0\0\0"), F(HEADERS, EH | ES, 1, OK) } },
		{ "6.8 its number never grows",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(GOAWAY, 0, 0, "\0\0\0\x01\0\0\0\0"),
		    F(GOAWAY, 0, 0, "\0\0\0\x03\0\0\0\0") } },
		{ "6.10 an answer in two frames",
		  "200 x-a=b END",
		  { F(HEADERS, ES, 1, OK), F(CONTINUATION, EH, 1, X_A) } },
		{ "8.1 an answer, its body, its trailers",
		  "200 [3] x-a=b END",
		  { F(HEADERS, EH, 1, OK), F(DATA, 0, 1, "abc"), F(HEADERS, EH | ES, 1, X_A) } },
		{ "8.1 interim answers come before",
		  "103 x-a=b 200 END",
		  { F(HEADERS, EH, 1,
		      "\x08\x03"
		      "103" X_A),
		    F(HEADERS, EH | ES, 1, OK) } },
		{ "8.1 an interim answer ends nothing",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH | ES, 1,
		      "\x08\x03"
		      "103") } },
		{ "8.1 none behind the answer",
		  "RST(1 PROTOCOL_ERROR) 200 LOST",
		  { F(HEADERS, EH, 1, OK), F(HEADERS, EH, 1,
					     "\x08\x03"
					     "103") } },
		{ "8.1 DATA before the answer's head",
		  "GOAWAY(PROTOCOL_ERROR)",
		  { F(DATA, 0, 1, "x") } },
		{ "8.1 or behind an interim one",
		  "RST(1 PROTOCOL_ERROR) 103 LOST",
		  { F(HEADERS, EH, 1,
		      "\x08\x03"
		      "103"),
		    F(DATA, ES, 1, "x") } },
		{ "8.6 101 is not of HTTP/2",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH, 1,
		      "\x08\x03"
		      "101") } },
		{ "8.3.2 no :status",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH | ES, 1, X_A) } },
		{ "8.3.2 two of it",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH | ES, 1, OK OK) } },
		{ "8.3.2 not three digits",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH | ES, 1,
		      "\x08\x04"
		      "2000") } },
		{ "8.3.2 nor letters",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH | ES, 1,
		      "\x08\x03"
		      "2x0") } },
		{ "8.3.2 nor 099",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH | ES, 1,
		      "\x08\x03"
		      "099") } },
		{ "8.3.2 a request's pseudo-header",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH | ES, 1, OK PATH) } },
		{ "8.3 :status in trailers",
		  "RST(1 PROTOCOL_ERROR) 200 LOST",
		  { F(HEADERS, EH, 1, OK), F(HEADERS, EH | ES, 1, OK) } },
		{ "8.2.1 an uppercase name",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH | ES, 1,
		      OK "\x10\x03"
			 "X-A"
			 "\x01"
			 "b") } },
		{ "8.2.1 a value that splits the answer",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH | ES, 1,
		      OK "\x10\x03"
			 "x-a"
			 "\x0f"
			 "b\r\nset-cookie:c") } },
		{ "8.2.1 the same in trailers",
		  "RST(1 PROTOCOL_ERROR) 200 LOST",
		  { F(HEADERS, EH, 1, OK), F(HEADERS, EH | ES, 1,
					     "\x10\x03"
					     "x-a"
					     "\x03"
					     "b\nc") } },
		{ "8.2.2 transfer-encoding",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH, 1,
		      OK "\x10\x11"
			 "transfer-encoding"
			 "\x07"
			 "chunked") } },
		{ "8.2.2 connection",
		  "RST(1 PROTOCOL_ERROR) LOST",
		  { F(HEADERS, EH, 1,
		      OK "\x10\x0a"
			 "connection"
			 "\x05"
			 "close") } },
		{ "8.2.2 te, which is a request's, is read as any field",
		  "200 te=trailers END",
		  { F(HEADERS, EH | ES, 1,
		      OK "\x10\x02"
			 "te"
			 "\x08"
			 "trailers") } },
		{ "8.1.1 less body than its length",
		  "RST(1 PROTOCOL_ERROR) 200 content-length=5 [3] LOST",
		  { F(HEADERS, EH, 1, OK LENGTH_5), F(DATA, ES, 1, "abc") } },
		{ "8.1.1 more",
		  "RST(1 PROTOCOL_ERROR) 200 content-length=5 LOST",
		  { F(HEADERS, EH, 1, OK LENGTH_5), F(DATA, 0, 1, "abcdef") } },
		{ "8.1.1 HEAD's has its length and no body",
		  "200 content-length=5 END",
		  { F(HEADERS, EH | ES, 1, OK LENGTH_5) } },
		{ "8.1.1 HEAD's with a body",
		  "RST(1 PROTOCOL_ERROR) 200 content-length=5 LOST",
		  { F(HEADERS, EH, 1, OK LENGTH_5), F(DATA, ES, 1, "abcde") } },
		{ "8.1.1 304 has its length and no body",
		  "304 content-length=5 END",
		  { F(HEADERS, EH | ES, 1, "\x8b" LENGTH_5) } },
		{ "8.1.1 204 with a body",
		  "RST(1 PROTOCOL_ERROR) 204 LOST",
		  { F(HEADERS, EH, 1, "\x89"), F(DATA, ES, 1, "x") } },
		{ "7838 4 ALTSVC leads nowhere",
		  "200 END",
		  { F(ALTSVC, 0, 1, "\0\0h2=\"evil.test:443\""),
		    F(ALTSVC, 0, 0,
		      "\0\x0e"
		      "https://a.testh2=\"evil.test:443\""),
		    F(HEADERS, EH | ES, 1, OK) } },
		{ "8336 2.1 ORIGIN makes nobody another",
		  "200 END",
		  { F(ORIGIN, 0, 0,
		      "\0\x11"
		      "https://evil.test"),
		    F(HEADERS, EH | ES, 1, OK) } },
		{ "8.1 NO_ERROR behind an answer, before the body was taken",
		  "200 END",
		  { F(HEADERS, EH | ES, 1, OK), F(RST_STREAM, 0, 1, "\0\0\0\0") } },
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
		for (const char *p = b.p; p < b.p + b.n; p += 9 + n) {
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
