// SPDX-License-Identifier: Apache-2.0
/* The handshake of a WebSocket, both halves: what is one, what is none, and why. The key and its
 * answer are those of RFC 6455, 1.3. */
#include "proxy/websocket.h"

#include "http/h1.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define UP "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static const struct h1_limits limits = { 16384, 100, 4096, 100 };
static struct arena arena;

static struct head read_head(bool request, const char *text)
{
	struct h1 h;
	size_t used;

	h1_init(&h, request, &limits);
	assert_int_equal(h1_next(&h, &arena, text, strlen(text), false, &used), H1_HEAD);
	return h.head;
}

static struct head request(const char *line, const char *fields)
{
	char text[2048];

	snprintf(text, sizeof(text), "%s\r\nHost: a.test\r\n%s\r\n", line, fields);
	return read_head(true, text);
}

static void asked(void **state)
{
	static const struct {
		const char *line, *fields;
		enum upgrade want;
		const char *why; /* begins with */
	} rows[] = {
		{ "GET / HTTP/1.1", "", UPGRADE_NONE, NULL },
		{ "GET / HTTP/1.1", "Upgrade: h2c, TLS/1.2\r\n", UPGRADE_NONE, NULL },
		{ "GET / HTTP/1.1", "Upgrade: tcp\r\n", UPGRADE_OTHER, NULL },
		{ "GET / HTTP/1.1", UP KEY VERSION "Upgrade: spdy/3\r\n", UPGRADE_OTHER, NULL },
		{ "GET / HTTP/1.1", UP KEY VERSION, UPGRADE_WEBSOCKET, NULL },
		{ "GET / HTTP/1.1", UP KEY VERSION "Upgrade: h2c\r\n", UPGRADE_WEBSOCKET,
		  "Upgrade names" },
		{ "GET / HTTP/1.1",
		  "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n" KEY VERSION,
		  UPGRADE_WEBSOCKET, "Upgrade names" },
		{ "POST / HTTP/1.1", UP KEY VERSION, UPGRADE_WEBSOCKET,
		  "a WebSocket's handshake is a GET" },
		{ "GET / HTTP/1.0", UP KEY VERSION, UPGRADE_WEBSOCKET,
		  "a WebSocket's handshake is HTTP/1.1" },
		{ "GET / HTTP/1.1", UP KEY VERSION "Content-Length: 3\r\n", UPGRADE_WEBSOCKET,
		  "a WebSocket's handshake has no body" },
		{ "GET / HTTP/1.1", UP KEY VERSION "Transfer-Encoding: chunked\r\n",
		  UPGRADE_WEBSOCKET, "a WebSocket's handshake has no body" },
		{ "GET / HTTP/1.1", "Upgrade: websocket\r\n" KEY VERSION, UPGRADE_WEBSOCKET,
		  "Connection does not" },
		{ "GET / HTTP/1.1", UP KEY, UPGRADE_WEBSOCKET, "only version 13" },
		{ "GET / HTTP/1.1", UP KEY "Sec-WebSocket-Version: 8\r\n", UPGRADE_WEBSOCKET,
		  "only version 13" },
		{ "GET / HTTP/1.1", UP KEY VERSION VERSION, UPGRADE_WEBSOCKET, "only version 13" },
		{ "GET / HTTP/1.1", UP VERSION, UPGRADE_WEBSOCKET, "the WebSocket's key" },
		{ "GET / HTTP/1.1", UP KEY KEY VERSION, UPGRADE_WEBSOCKET, "the WebSocket's key" },
		{ "GET / HTTP/1.1", UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n",
		  UPGRADE_WEBSOCKET, "the WebSocket's key" },
		{ "GET / HTTP/1.1", UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=A\r\n",
		  UPGRADE_WEBSOCKET, "the WebSocket's key" },
		{ "GET / HTTP/1.1", UP VERSION "Sec-WebSocket-Key: dGhlIHNhb*BsZSBub25jZQ==\r\n",
		  UPGRADE_WEBSOCKET, "the WebSocket's key" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct head h = request(rows[i].line, rows[i].fields);
		const char *why = "unset";

		if (upgrade_asked(&h, &why) != rows[i].want)
			fail_msg("row %zu: another answer", i);
		if (!!why != !!rows[i].why ||
		    (why && strncmp(why, rows[i].why, strlen(rows[i].why)) != 0))
			fail_msg("row %zu: %s", i, why ? why : "no fault");
	}
}

static void agreed(void **state)
{
	static const struct {
		const char *answer, *why;
	} rows[] = {
		{ "HTTP/1.1 101 Switching Protocols\r\n" UP ACCEPT "\r\n", NULL },
		{ "HTTP/1.1 101 Switching Protocols\r\n" UP ACCEPT
		  "Sec-WebSocket-Protocol: chat\r\n\r\n",
		  NULL },
		{ "HTTP/1.1 101 Switching Protocols\r\n" UP ACCEPT
		  "Sec-WebSocket-Protocol: other\r\n\r\n",
		  "it chose a protocol" },
		{ "HTTP/1.1 101 Switching Protocols\r\n" UP "\r\n", "it did not read" },
		{ "HTTP/1.1 101 Switching Protocols\r\n" UP ACCEPT ACCEPT "\r\n",
		  "it did not read" },
		{ "HTTP/1.1 101 Switching Protocols\r\n" UP
		  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n\r\n",
		  "it did not read" },
		{ "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" ACCEPT "\r\n",
		  "it changes to something" },
		{ "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "
		  "tcp\r\n" ACCEPT "\r\n",
		  "it changes to something" },
		{ "HTTP/1.0 101 Switching Protocols\r\n" UP ACCEPT "\r\n", "it does not change" },
	};
	struct head q =
		request("GET / HTTP/1.1", UP KEY VERSION "Sec-WebSocket-Protocol: talk, chat\r\n");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct head h = read_head(false, rows[i].answer);
		const char *why = "unset";
		bool ok = websocket_agreed(&q, &h, &why);

		if (ok != !rows[i].why || !!why != !!rows[i].why ||
		    (why && strncmp(why, rows[i].why, strlen(rows[i].why)) != 0))
			fail_msg("row %zu: %s", i, why ? why : "agreed");
	}
}

static int setup(void **state)
{
	arena_init(&arena, 4u << 20);
	return 0;
}

static int teardown(void **state)
{
	arena_done(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(asked), cmocka_unit_test(agreed) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
