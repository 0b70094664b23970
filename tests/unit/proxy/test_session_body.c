/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies that can hold a placeholder: read whole, whatever their framing, and sent with a length of
 * their own; what cannot be looked through is refused with nothing sent. */
#include "session_rig.h"

#include "base/secret.h"

#define MARK "egret__gh__"

static const char policy_text[] =
	"{ \"name\": \"p\", \"rules\": [ "
	"{ \"id\": \"named\", \"allow\": \"POST,OPTIONS https://gh.test/named/**\", "
	"\"credential\": \"gh\" }, "
	"{ \"id\": \"free\", \"allow\": \"POST,OPTIONS,WEBSOCKET https://gh.test/free/**\" }, "
	"{ \"id\": \"get\", \"allow\": \"GET https://gh.test/named/**\", \"credential\": \"gh\" }, "
	"{ \"id\": \"other\", \"allow\": \"ANY https://other.test/**\" } ] }";
static const char credential_text[] =
	"{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", \"for\": \"any\", "
	"\"hosts\": [\"gh.test\"], "
	"\"inject\": [ { \"json\": \"/token\" }, { \"form\": \"token\" }, { \"query\": \"token\" "
	"}, { \"header\": \"x-token\" } ], "
	"\"placeholder\": { \"value\": \"" MARK "\" } }";

static int up(void **state)
{
	int r = rig_up_with(policy_text, credential_text);

	rig.px.limits.swap_bytes = 4096;
	return r;
}

static int down(void **state)
{
	return rig_down();
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
#define JSON "Content-Type: application/json\r\n"

static void assert_says(const char *got, const char *want)
{
	if (strstr(got, want))
		return;
	print_error("got:  %s\nwant: %s\n", got, want);
	fail();
}

/* What the origin hears of what the job says; then the origin answers, and the job has heard. */
static const char *through(const char *said)
{
	static char got[32768];
	unsigned n = rig.dialled;

	job_connects(true, "gh.test", 443);
	say(rig.client, said);
	if (rig.dialled == n)
		assert_says(hear(rig.client), "a request to the origin");
	snprintf(got, sizeof(got), "%s", hear(rig.origin[n]));
	say(rig.origin[n], "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	assert_says(hear(rig.client), "HTTP/1.1 200 OK\r\n");
	job_leaves();
	return got;
}

static void test_swapped(void **state)
{
	/* SECRET has nothing that JSON escapes, and what a form does. */
	assert_string_equal(through("POST /named/x HTTP/1.1\r\nHost: gh.test\r\n" JSON
				    "Content-Length: 23\r\n\r\n{\"token\":\"" MARK "\"}"),
			    "POST /named/x HTTP/1.1\r\nHost: gh.test\r\n" JSON
			    "accept-encoding: identity\r\n"
			    "Content-Length: 35\r\n\r\n{\"token\":\"" SECRET "\"}");
	assert_int_equal(rig.leases_asked, 1);
	/* Chunked, in pieces, with a trailer: it has a length now. Without a rule's word too. */
	assert_says(through("POST /free/x HTTP/1.1\r\nHost: gh.test\r\n" JSON
			    "Transfer-Encoding: chunked\r\n\r\n10\r\n{\"token\":\"egret_\r\n"
			    "7\r\n_gh__\"}\r\n0\r\nX: y\r\n\r\n"),
		    "Content-Length: 35\r\n\r\n{\"token\":\"" SECRET "\"}");
	assert_says(through("POST /free/x HTTP/1.1\r\nHost: gh.test\r\nContent-Type: "
			    "application/x-www-form-urlencoded\r\nDigest: x\r\nContent-Length: "
			    "17\r\n\r\ntoken=" MARK),
		    "\r\ntoken=s3cr3t%2Fvalue%2B0123456789");
	/* Elsewhere it stays, and the request takes no credential. */
	assert_says(through("POST /free/x HTTP/1.1\r\nHost: gh.test\r\n" JSON
			    "Content-Length: 21\r\n\r\n{\"tok\":\"" MARK "\"}"),
		    "Content-Length: 21\r\n\r\n{\"tok\":\"" MARK "\"}");
	assert_string_equal(rig.last_credential, "");
	assert_says(
		through("POST /free/x HTTP/1.1\r\nHost: gh.test\r\nContent-Type: "
			"multipart/form-data; boundary=x\r\nContent-Length: 17\r\n\r\ntoken=" MARK),
		"Content-Length: 17\r\n\r\ntoken=" MARK);
	assert_says(through("GET /named/x?a=1&token=" MARK " HTTP/1.1\r\nHost: gh.test\r\n\r\n"),
		    "GET /named/x?a=1&token=s3cr3t%2Fvalue%2B0123456789 HTTP/1.1\r\n");
	assert_null(strstr(rig.events, "deny"));
}

static void test_expect(void **state)
{
	job_connects(true, "gh.test", 443);
	say(rig.client, "POST /named/x HTTP/1.1\r\nHost: gh.test\r\n" JSON
			"Expect: 100-continue\r\nContent-Length: 23\r\n\r\n");
	assert_string_equal(hear(rig.client), "HTTP/1.1 100 \r\n\r\n");
	assert_int_equal(rig.dialled, 0);
	say(rig.client, "{\"token\":\"" MARK "\"}");
	assert_int_equal(rig.dialled, 1);
	assert_null(strstr(hear(rig.origin[0]), "xpect"));
}

/* Larger than what one turn writes, with the value at its end, and another request behind it. */
static void test_long(void **state)
{
	static char said[70000], got[120000];
	size_t n = 0, at, pad = 60000;

	rig.px.limits.swap_bytes = 65536;
	job_connects(true, "gh.test", 443);
	at = (size_t)snprintf(said, sizeof(said),
			      "POST /named/x HTTP/1.1\r\nHost: gh.test\r\n" JSON
			      "Content-Length: %zu\r\n\r\n{\"pad\":\"",
			      pad + 32);
	memset(said + at, 'x', pad);
	at += pad;
	at += (size_t)snprintf(said + at, sizeof(said) - at,
			       "\",\"token\":\"" MARK
			       "\"}POST /free/n HTTP/1.1\r\nHost: gh.test\r\n\r\n");
	for (size_t i = 0; i < at; i += 9000)
		put_bytes(rig.client, said + i, at - i < 9000 ? at - i : 9000);
	for (int i = 0; i < 20 && n + 8192 < sizeof(got); i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s", hear(rig.origin[0]));
	assert_non_null(strstr(got, "\",\"token\":\"" SECRET "\"}"));
	assert_null(strstr(got, "/free/n"));
	say(rig.origin[0], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	assert_says(hear(rig.client), "HTTP/1.1 200 OK");
	assert_says(hear(rig.origin[rig.dialled - 1]), "POST /free/n HTTP/1.1\r\n");
}

static void refused(const char *said, const char *words)
{
	unsigned n = rig.dialled;

	job_connects(true, "gh.test", 443);
	say(rig.client, said);
	assert_says(hear(rig.client), words);
	assert_int_equal(rig.dialled, n);
	job_leaves();
}

static void test_refused(void **state)
{
	char long_chunk[8192];
	size_t n;

	refused("POST /named/x HTTP/1.1\r\nHost: gh.test\r\n" JSON "Content-Length: 4097\r\n\r\n",
		"HTTP/1.1 413 egret refused the request: its body could hold a placeholder and is "
		"over 4096 bytes");
	n = (size_t)snprintf(long_chunk, sizeof(long_chunk),
			     "POST /free/x HTTP/1.1\r\nHost: gh.test\r\n" JSON
			     "Transfer-Encoding: chunked\r\n\r\n1100\r\n");
	memset(long_chunk + n, 'x', 0x1100);
	long_chunk[n + 0x1100] = 0;
	refused(long_chunk, "HTTP/1.1 413 ");
	refused("POST /named/x HTTP/1.1\r\nHost: gh.test\r\n" JSON
		"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 415 egret refused the request: its body could hold a placeholder and "
		"comes "
		"compressed");
	refused("POST /named/x HTTP/1.1\r\nHost: gh.test\r\n" JSON
		"Content-Length: 34\r\n\r\n{\"token\":\"" MARK "\",\"token\":\"\"}",
		"400 egret refused the request: its body holds the placeholder of credential gh "
		"and a "
		"key on the way");
	refused("POST /named/x HTTP/1.1\r\nHost: gh.test\r\n" JSON
		"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 400 ");
	assert_int_equal(rig.leases_asked, 0);
	/* To another host it is only text, of any size. */
	job_connects(true, "other.test", 443);
	say(rig.client, "POST /x HTTP/1.1\r\nHost: other.test\r\n" JSON
			"Content-Length: 9000\r\n\r\n{\"token\":\"" MARK "\"");
	assert_says(hear(rig.origin[0]), "Content-Length: 9000\r\n\r\n{\"token\":\"" MARK "\"");
}

/* A client that leaves within its body, and one that says nothing for too long. */
static void test_given_up(void **state)
{
	job_connects(true, "gh.test", 443);
	say(rig.client,
	    "POST /named/x HTTP/1.1\r\nHost: gh.test\r\n" JSON "Content-Length: 23\r\n\r\n{\"tok");
	close(rig.client);
	rig.client = -1;
	turn();
	assert_true(rig.over);
	rig.px.limits.header_ms = 100;
	job_connects(true, "gh.test", 443);
	say(rig.client,
	    "POST /named/x HTTP/1.1\r\nHost: gh.test\r\n" JSON "Content-Length: 23\r\n\r\n{\"tok");
	turn_ms(200);
	assert_says(hear(rig.client), "HTTP/1.1 408 egret refused the request: its body took too");
	assert_int_equal(rig.dialled, 0);
}

/* The one list of where a credential never goes. The rest of it: cleartext and TRACE by name in
 * test_session.c, an unverified certificate there too. */
static void test_never(void **state)
{
	const char *heard;

	refused("OPTIONS /named/x HTTP/1.1\r\nHost: gh.test\r\nX-Token: " MARK "\r\n\r\n",
		"403 Blocked by egret: credential gh never goes with OPTIONS");
	refused("TRACE /named/x HTTP/1.1\r\nHost: gh.test\r\nX-Token: " MARK "\r\n\r\n",
		"Blocked by egret: TRACE is never sent");
	refused("CONNECT gh.test:443 HTTP/1.1\r\nHost: gh.test\r\nX-Token: " MARK "\r\n\r\n",
		"400 egret refused the request: CONNECT inside TLS");
	/* Without a rule's word the placeholder stays what it is. */
	heard = through("OPTIONS /free/x HTTP/1.1\r\nHost: gh.test\r\nX-Token: " MARK "\r\n\r\n");
	assert_says(heard, "X-Token: " MARK "\r\n");
	job_connects(true, "gh.test", 443);
	say(rig.client, "GET /free/ws HTTP/1.1\r\nHost: gh.test\r\nConnection: Upgrade\r\nUpgrade: "
			"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
			"dGhlIHNhbXBsZSBub25jZQ==\r\nX-Token: " MARK "\r\n\r\n");
	assert_says(hear(rig.origin[rig.dialled - 1]), "X-Token: " MARK "\r\n");
	job_leaves();
	/* Another host, as after a redirect. */
	job_connects(true, "other.test", 443);
	say(rig.client,
	    "GET /x?token=" MARK " HTTP/1.1\r\nHost: other.test\r\nX-Token: " MARK "\r\n\r\n");
	heard = hear(rig.origin[rig.dialled - 1]);
	assert_says(heard, "GET /x?token=" MARK " ");
	assert_says(heard, "X-Token: " MARK "\r\n");
	job_leaves();
	/* In clear it is refused by policy already; where a name is not known there is no host. */
	assert_int_equal(rig.leases_asked, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_swapped), T(test_expect),   T(test_long),
		T(test_refused), T(test_given_up), T(test_never),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 18) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
