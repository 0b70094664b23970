/* SPDX-License-Identifier: Apache-2.0 */
/* A leased value in each part of an answer: interim heads, reason phrase, trailers, and a body that
 * comes in pieces with pauses between them. */
#include "session_rig.h"

#include "base/secret.h"

static const char policy_text[] =
	"{ \"name\": \"p\", \"rules\": [ { \"id\": \"get\", \"allow\": \"GET https://gh.test/x\", "
	"\"credential\": \"gh\" }, { \"id\": \"ws\", \"allow\": \"WEBSOCKET https://gh.test/ws\", "
	"\"credential\": \"gh\" }, { \"id\": \"none\", \"allow\": \"GET https://gh.test/none\" } ] "
	"}";
static const char credential_text[] =
	"{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", \"for\": \"any\", "
	"\"hosts\": [\"gh.test\"], "
	"\"inject\": { \"header\": \"Authorization\", \"format\": \"Bearer {token}\" } }";

#define STARS "***********************" /* of SECRET */
#define HEX "7333637233742f76616c75652b30313233343536373839"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static int up(void **state)
{
	return rig_up_with(policy_text, credential_text);
}

static int down(void **state)
{
	return rig_down();
}

static void asks(const char *more)
{
	char text[256];

	job_connects(true, "gh.test", 443);
	print(text, "GET /x HTTP/1.1\r\nHost: gh.test\r\n%s\r\n", more);
	say(rig.client, text);
	assert_non_null(strstr(hear(rig.origin[0]), SECRET));
}

static void test_parts(void **state)
{
	asks("");
	say(rig.origin[0], "HTTP/1.1 103 " SECRET "\r\nLink: <" SECRET ">\r\n\r\n");
	assert_string_equal(hear(rig.client),
			    "HTTP/1.1 103 " STARS "\r\nLink: <" STARS ">\r\n\r\n");
	say(rig.origin[0], "HTTP/1.1 200 " SECRET "\r\nTransfer-Encoding: chunked\r\n\r\n"
			   "1\r\na\r\n0\r\nX-Sum: " SECRET "\r\nX-" HEX ": 1\r\n\r\n");
	assert_string_equal(hear(rig.client), "HTTP/1.1 200 " STARS "\r\nTransfer-Encoding: "
					      "chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: " STARS
					      "\r\nX-" STARS STARS ": 1\r\n\r\n");
}

/* The last bytes of a message can be the first of the value: who waits for the message gets them,
 * and if it was the value, the rest of it not. */
static void test_pause(void **state)
{
	asks("");
	say(rig.origin[0], CHUNKED "8\r\nmessages\r\n");
	assert_string_equal(hear(rig.client), CHUNKED "7\r\nmessage\r\n");
	turn_ms(60);
	assert_string_equal(hear(rig.client), "1\r\ns\r\n");
	say(rig.origin[0], "2\r\nok\r\n");
	assert_string_equal(hear(rig.client), "2\r\nok\r\n");
	/* The value, with a pause in it. */
	say(rig.origin[0], "3\r\n.s3\r\n");
	turn_ms(60);
	(void)hear(rig.client);
	say(rig.origin[0], "18\r\ncr3t/value+0123456789 ok\r\n");
	assert_string_equal(hear(rig.client), "18\r\n********************* ok\r\n");
	/* More of it than says little waits for what follows. */
	say(rig.origin[0], "5\r\n.s3cr\r\n");
	turn_ms(60);
	assert_string_equal(hear(rig.client), "1\r\n.\r\n");
	say(rig.origin[0], "13\r\n3t/value+0123456789\r\n");
	assert_string_equal(hear(rig.client), "17\r\n" STARS "\r\n");
	/* A pause twice, and the end behind it. */
	say(rig.origin[0], "1\r\ns\r\n");
	turn_ms(60);
	say(rig.origin[0], "1\r\n3\r\n");
	turn_ms(60);
	assert_string_equal(hear(rig.client), "1\r\ns\r\n1\r\n3\r\n");
	say(rig.origin[0], "0\r\n\r\n");
	assert_string_equal(hear(rig.client), "0\r\n\r\n");
}

/* The job reads nothing meanwhile: what is let go does not go before what waits to be written. */
static void test_order(void **state)
{
	static char text[1 << 19], got[1 << 20];
	size_t n = 200000;

	asks("");
	memset(text, 'm', n);
	text[n - 1] = 's';
	text[n] = 0;
	say(rig.origin[0], "HTTP/1.1 200 OK\r\nContent-Length: 200001\r\n\r\n");
	for (size_t at = 0; at < n;) {
		ssize_t r = send(rig.origin[0], text + at, n - at < 16384 ? n - at : 16384,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		at += r > 0 ? (size_t)r : 0;
		turn_ms(25);
		if (r <= 0)
			(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s",
				       hear(rig.client));
	}
	turn_ms(60);
	(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s", hear(rig.client));
	say(rig.origin[0], ".");
	(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s", hear(rig.client));
	assert_non_null(strstr(got, "\r\n\r\n"));
	assert_int_equal(strlen(strstr(got, "\r\n\r\n") + 4), n + 1);
	assert_memory_equal(strstr(got, "\r\n\r\n") + 4, text, n);
}

/* A proxy that was started anew: the value that left the one before it is searched for, although
 * nobody has asked for it, and is not used without being asked for. */
static void test_started_anew(void **state)
{
	struct msg_out m;
	const char *heard;

	assert_int_equal(creds_listen(rig.px.creds), 0);
	msg_begin(&m, MSG_CRED, 0);
	msg_put_u64(&m, TAG_INDEX, 0);
	msg_put_str(&m, TAG_VALUE, STR("before-0123456789"));
	msg_put_str(&m, TAG_LEASE, STR("L1"));
	msg_put_u64(&m, TAG_EXPIRES, 0);
	msg_put_u64(&m, TAG_STATIC, 1);
	assert_int_equal(msg_send(rig.broker, &m), 0);
	turn();
	job_connects(true, "gh.test", 443);
	say(rig.client, "GET /none HTTP/1.1\r\nHost: gh.test\r\nAccept-Encoding: gzip\r\n\r\n");
	heard = hear(rig.origin[0]);
	assert_non_null(strstr(heard, "accept-encoding: identity\r\n"));
	assert_null(strstr(heard, "authorization"));
	say(rig.origin[0], "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\nbefore-0123456789");
	assert_non_null(strstr(hear(rig.client), "\r\n\r\n*****************"));
	assert_int_equal(rig.leases_asked, 0);
	say(rig.client, "GET /x HTTP/1.1\r\nHost: gh.test\r\n\r\n");
	assert_non_null(strstr(hear(rig.origin[0]), "authorization: Bearer " SECRET "\r\n"));
	assert_int_equal(rig.leases_asked, 1);
}

/* A WebSocket's handshake has the value, and is searched; what is said behind it is not. */
static void test_websocket(void **state)
{
	const char *heard;

	job_connects(true, "gh.test", 443);
	say(rig.client, "GET /ws HTTP/1.1\r\nHost: gh.test\r\nConnection: Upgrade\r\nUpgrade: "
			"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
			"dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: own\r\n\r\n");
	heard = hear(rig.origin[0]);
	assert_non_null(strstr(heard, "authorization: Bearer " SECRET "\r\n"));
	assert_null(strstr(heard, "own"));
	say(rig.origin[0], "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
			   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
			   "X-Echo: " SECRET "\r\nSet-Cookie: sid=cookie-0123456789\r\n\r\nhello");
	heard = hear(rig.client);
	assert_non_null(strstr(heard, "X-Echo: " STARS "\r\n"));
	assert_non_null(strstr(heard, "Set-Cookie: sid=egret_d_"));
	assert_null(strstr(heard, "cookie-0123456789"));
	assert_non_null(strstr(heard, "\r\n\r\nhello"));
	assert_non_null(strstr(rig.events, "http.request:allow:rule "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_parts, up, down),
		cmocka_unit_test_setup_teardown(test_pause, up, down),
		cmocka_unit_test_setup_teardown(test_order, up, down),
		cmocka_unit_test_setup_teardown(test_started_anew, up, down),
		cmocka_unit_test_setup_teardown(test_websocket, up, down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 18) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
