/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 9110 and 9112 as a whole exchange shows them: every MUST that a proxy can break between two
 * connections, a row each. Reading and writing alone are in ../http/test_rfc9112.c. Where egret
 * keeps away from a MUST on purpose, the row says so, and docs/architecture.md why.
 */
#include "session_rig.h"

static const char policy_text[] = "{ \"version\": 1, \"name\": \"rfc\", \"mode\": \"enforce\", "
				  "\"for\": [ { \"repo\": \"a/b\" } ], "
				  "\"rules\": [ { \"id\": \"all\", \"allow\": \"ANY "
				  "https://api.test\" }, { \"id\": \"plain\", "
				  "\"allow\": \"ANY http://plain.test\" } ] }";
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

struct rule {
	const char *section, *in, *sent; /* what the origin got; NULL: nothing reached one */
	const char *answer, *got; /* got: a prefix, behind it nothing but what a refusal says */
};

/* The job's side, the origin's side and what each got; then all connections are new. */
static bool one(const struct rule *r, bool tls)
{
	char sent[8192] = "", got[8192];
	bool bad;

	rig.events[0] = 0;
	job_connects(tls, tls ? "api.test" : "plain.test", tls ? 443 : 80);
	say(rig.client, r->in);
	if (rig.dialled)
		snprintf(sent, sizeof(sent), "%s", hear(rig.origin[0]));
	if (r->answer && rig.dialled)
		say(rig.origin[0], r->answer);
	snprintf(got, sizeof(got), "%s", hear(rig.client));
	bad = (r->sent ? !rig.dialled || strcmp(sent, r->sent) != 0 : rig.dialled != 0) ||
	      strncmp(got, r->got, strlen(r->got)) != 0 ||
	      (r->sent && r->answer && strstr(got, "egret") == NULL && strcmp(got, r->got) != 0);
	if (bad)
		print_error("%s\n  in       %s\n  to the origin, want\n%s\n  got\n%s\n"
			    "  to the job, want\n%s\n  got\n%s\n",
			    r->section, r->in, r->sent ? r->sent : "(nothing)", sent, r->got, got);
	job_leaves();
	if (rig.idle)
		upstream_close(rig.idle);
	rig.idle = NULL;
	for (unsigned i = 0; i < rig.dialled; i++)
		close(rig.origin[i]);
	rig.dialled = 0;
	return bad;
}

static void hold(const struct rule *rules, size_t n, bool tls)
{
	bool bad = false;

	for (size_t i = 0; i < n; i++)
		bad = one(&rules[i], tls) || bad;
	assert_false(bad);
}

#define H "Host: api.test\r\n"
#define GET "GET / HTTP/1.1\r\n" H
#define POST "POST / HTTP/1.1\r\n" H
#define EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define LOST "HTTP/1.1 502 egret"

static void test_requests(void **state)
{
	static const struct rule rules[] = {
		{ "9112 3.2 no Host: 400", "GET / HTTP/1.1\r\n\r\n", NULL, NULL, "HTTP/1.1 400 " },
		{ "9112 3.2 more than one: 400", GET H "\r\n", NULL, NULL, "HTTP/1.1 400 " },
		{ "9112 3.2 not a name: 400", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", NULL, NULL,
		  "HTTP/1.1 400 " },
		{ "9112 3.2.2 absolute-form is taken; a Host of its own goes out",
		  "GET https://API.test/a HTTP/1.1\r\n" H "\r\n", "GET /a HTTP/1.1\r\n" H "\r\n",
		  EMPTY, EMPTY },
		{ "9112 3.2.2 (on purpose) a Host that is not the URL's is refused, not replaced",
		  "GET https://api.test/a HTTP/1.1\r\nHost: evil.test\r\n\r\n", NULL, NULL,
		  "HTTP/1.1 400 " },
		{ "9110 7.4 another origin's request: 421",
		  "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", NULL, NULL, "HTTP/1.1 421 " },
		{ "9112 6.1 both lengths: an error, and the connection ends",
		  POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET
		       "\r\n",
		  NULL, NULL, "HTTP/1.1 400 " },
		{ "9112 6.3 an invalid length: 400, and the connection ends",
		  POST "Content-Length: 3, 4\r\n\r\nabc" GET "\r\n", NULL, NULL, "HTTP/1.1 400 " },
		{ "9112 7.1 chunks are framed anew, extensions fall away",
		  POST "Transfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n02\r\nbc\r\n0\r\n\r\n",
		  POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", EMPTY,
		  EMPTY },
		{ "9110 6.5 trailers go on behind the body, never in the head",
		  POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\nHost: evil.test\r\n\r\n",
		  POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n", EMPTY, EMPTY },
		{ "9112 2.3 HTTP/1.0 comes out as our own version", "GET / HTTP/1.0\r\n" H "\r\n",
		  GET "\r\n", EMPTY,
		  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>" },
		{ "9112 9.3 keep-alive of an HTTP/1.0 client that speaks to us as a server",
		  "GET / HTTP/1.0\r\n" H "Connection: keep-alive\r\n\r\n", GET "\r\n", EMPTY,
		  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n" },
		{ "9112 9.3 never of one that speaks to a proxy",
		  "GET https://api.test/ HTTP/1.0\r\n" H "Connection: keep-alive\r\n\r\n",
		  GET "\r\n", EMPTY,
		  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>" },
		{ "9112 9.6 behind close nothing is a request",
		  GET "Connection: close\r\n\r\nGET /second HTTP/1.1\r\n" H "\r\n", GET "\r\n",
		  EMPTY, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>" },
		{ "9110 7.6.1 what Connection names ends here",
		  GET "Connection: x-a, close\r\nX-A: 1\r\nX-B: 2\r\n\r\n", GET "X-B: 2\r\n\r\n",
		  EMPTY, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>" },
		{ "9110 7.6.1 (on purpose) it cannot name what frames or authorises",
		  GET "Connection: authorization\r\nAuthorization: x\r\n\r\n", NULL, NULL,
		  "HTTP/1.1 400 " },
		{ "9110 7.6.2 Max-Forwards of OPTIONS is smaller when it goes on",
		  "OPTIONS / HTTP/1.1\r\n" H "Max-Forwards: 7\r\n\r\n",
		  "OPTIONS / HTTP/1.1\r\n" H "Max-Forwards: 0\r\n\r\n", EMPTY, EMPTY },
		{ "9110 7.6.2 at 0 it does not go on",
		  "OPTIONS / HTTP/1.1\r\n" H "Max-Forwards: 0\r\n\r\n", NULL, NULL,
		  "HTTP/1.1 400 " },
		{ "9110 7.6.2 of other methods it is ignored", GET "Max-Forwards: 0\r\n\r\n",
		  GET "Max-Forwards: 0\r\n\r\n", EMPTY, EMPTY },
		{ "9110 7.6.3 (on purpose) no Via is added; one that is there goes on",
		  GET "Via: 1.1 x\r\n\r\n", GET "Via: 1.1 x\r\n\r\n", EMPTY, EMPTY },
		{ "9110 7.7 (on purpose) the path goes on in one spelling, the query as it is",
		  "GET /%7ea%2d?b=%7E HTTP/1.1\r\n" H "\r\n",
		  "GET /~a-?b=%7E HTTP/1.1\r\n" H "\r\n", EMPTY, EMPTY },
		{ "9110 7.8 an upgrade that no rule names is not asked for",
		  GET "Connection: upgrade\r\nUpgrade: foo\r\n\r\n", NULL, NULL, "HTTP/1.1 403 " },
		{ "9110 7.8 h2c is an offer that may be left",
		  GET "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
		      "x\r\n\r\n",
		  GET "\r\n", EMPTY, EMPTY },
		{ "9110 7.8 unasked, a change of protocol is refused", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 101 x\r\nUpgrade: foo\r\n\r\n", LOST },
		{ "9110 9.3.8 TRACE would mirror what was added", "TRACE / HTTP/1.1\r\n" H "\r\n",
		  NULL, NULL, "HTTP/1.1 403 " },
		{ "9110 10.1.1 Expect goes on",
		  POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
		  POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
		  "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n" },
		{ "9110 10.1.1 who waits for the word is told that an answer instead ends it",
		  POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
		  POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
		  "HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n",
		  "HTTP/1.1 401 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>" },
		{ "9112 9.6 so is who is still sending to an origin that ends its own",
		  POST "Content-Length: 3\r\n\r\na", POST "Content-Length: 3\r\n\r\na",
		  "HTTP/1.1 413 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		  "HTTP/1.1 413 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>" },
		{ "9110 10.1.1 not of HTTP/1.0",
		  "POST / HTTP/1.0\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
		  POST "Content-Length: 3\r\n\r\nabc", EMPTY,
		  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>" },
		{ "9110 10.1.1 nor without a body", GET "Expect: 100-continue\r\n\r\n", GET "\r\n",
		  EMPTY, EMPTY },
		{ "9110 10.1.1 another expectation: 417",
		  POST "Expect: x\r\nContent-Length: 3\r\n\r\nabc", NULL, NULL, "HTTP/1.1 417 " },
		{ "9110 8.6 a length of 0 stays said", POST "Content-Length: 0\r\n\r\n",
		  POST "Content-Length: 0\r\n\r\n", EMPTY, EMPTY },
		{ "9110 11.6.2 Authorization goes on as it is, where no credential is ours",
		  GET "Authorization: Basic eDp5\r\n\r\n", GET "Authorization: Basic eDp5\r\n\r\n",
		  EMPTY, EMPTY },
		{ "8470 5.2 Early-Data is the sender's to say", GET "Early-Data: 1\r\n\r\n",
		  GET "Early-Data: 1\r\n\r\n",
		  "HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n",
		  "HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n" },
	};

	hold(rules, ARRAY_SIZE(rules), true);
}

static void test_answers(void **state)
{
	static const struct rule rules[] = {
		{ "9110 15.2 1xx go on", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" EMPTY,
		  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" EMPTY },
		{ "9110 15.2 but not to HTTP/1.0", "GET / HTTP/1.0\r\n" H "\r\n", GET "\r\n",
		  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" EMPTY,
		  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>" },
		{ "9112 6.1 no chunked to HTTP/1.0", "GET / HTTP/1.0\r\n" H "\r\n", GET "\r\n",
		  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: "
		  "y\r\n\r\n",
		  "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc<end>" },
		{ "9112 6.3 an invalid length: 502", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", LOST },
		{ "9112 6.3 both: refused", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n0\r\n\r\n",
		  LOST },
		{ "9112 6.3 what comes behind an answer is no answer", GET "\r\n", GET "\r\n",
		  EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", EMPTY },
		{ "9112 6.3 nor what comes behind HEAD's", "HEAD / HTTP/1.1\r\n" H "\r\n",
		  "HEAD / HTTP/1.1\r\n" H "\r\n",
		  "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		  "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" },
		{ "9112 6.3 nor behind 304", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 304 x\r\nContent-Length: 4\r\n\r\nevil",
		  "HTTP/1.1 304 x\r\nContent-Length: 4\r\n\r\n" },
		{ "9110 8.6 204 says no length", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 204 x\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 204 x\r\n\r\n" },
		{ "9112 7.1.2 trailers of an answer", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\nSet-Cookie: "
		  "a\r\nAlt-Svc: b\r\n\r\n",
		  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n" },
		{ "9110 7.6.1 what Connection names ends here", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 200 OK\r\nConnection: x-a\r\nX-A: 1\r\nKeep-Alive: "
		  "5\r\nContent-Length: 0\r\n\r\n",
		  EMPTY },
		{ "9110 7.7 what describes the content stays", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: a/b\r\nETag: "
		  "\"x\"\r\nLast-Modified: y\r\nContent-Location: /z\r\nServer: s\r\nExpires: "
		  "0\r\nAge: 3\r\nWarning: 199 - x\r\nContent-Length: 0\r\n\r\n",
		  "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: a/b\r\nETag: "
		  "\"x\"\r\nLast-Modified: y\r\nContent-Location: /z\r\nServer: s\r\nExpires: "
		  "0\r\nAge: 3\r\nWarning: 199 - x\r\nContent-Length: 0\r\n\r\n" },
		{ "9110 11.6.1 WWW-Authenticate as it is, in its order", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 401 x\r\nWWW-Authenticate: A\r\nX: y\r\nWWW-Authenticate: "
		  "B\r\nContent-Length: 0\r\n\r\n",
		  "HTTP/1.1 401 x\r\nWWW-Authenticate: A\r\nX: y\r\nWWW-Authenticate: "
		  "B\r\nContent-Length: 0\r\n\r\n" },
		{ "7838 3 (on purpose) Alt-Svc leads nowhere else", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 200 OK\r\nAlt-Svc: h3=\":443\"\r\nAlternate-Protocol: "
		  "443:quic\r\nalt-svc: h2=\"evil.test:443\"\r\nContent-Length: 0\r\n\r\n",
		  EMPTY },
		{ "9110 5.5 an answer is not split by a CR", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n", LOST },
		{ "9110 5.5 nor by a LF", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n", LOST },
		{ "9110 5.5 nor by folding", GET "\r\n", GET "\r\n",
		  "HTTP/1.1 200 OK\r\nX: a\r\n Set-Cookie: b\r\nContent-Length: 0\r\n\r\n", LOST },
		{ "9112 9.6 an origin that says close has its say, the job's connection goes on",
		  GET "\r\n", GET "\r\n",
		  "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", EMPTY },
	};

	hold(rules, ARRAY_SIZE(rules), true);
}

/* 9112 8: a message that was cut off never looks whole. */
static void test_incomplete(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		const char *got;

		job_connects(true, "api.test", 443);
		say(rig.client, GET "\r\n");
		say(rig.origin[i], answers[i]);
		close(rig.origin[i]);
		rig.origin[i] = -1;
		got = hear(rig.client);
		assert_non_null(strstr(got, "abc"));
		assert_null(strstr(got, "0\r\n\r\n"));
		job_leaves();
	}
}

/* 9112 9.3.1: once more only what may be done twice. 9112 9.6: not on a connection that was said to
 * close. 9112 6.3: nor on one that had more to say. */
static void test_connections(void **state)
{
	job_connects(true, "api.test", 443);
	say(rig.client, GET "\r\n");
	say(rig.origin[0], EMPTY);
	hear(rig.client);
	assert_non_null(rig.idle);
	/* The origin closes at the moment that the POST goes out. */
	say(rig.client, POST "Content-Length: 3\r\n\r\nabc");
	assert_int_equal(rig.reused, 1);
	hear(rig.origin[0]);
	close(rig.origin[0]);
	rig.origin[0] = -1;
	assert_int_equal(strncmp(hear(rig.client), LOST, strlen(LOST)), 0);
	assert_int_equal(rig.dialled, 1);

	say(rig.client, GET "\r\n");
	say(rig.origin[1], "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	hear(rig.client);
	assert_null(rig.idle);
	say(rig.client, GET "\r\n");
	say(rig.origin[2], EMPTY "HTTP/1.1 200 evil\r\n");
	hear(rig.client);
	assert_null(rig.idle);
}

/* 9110 6.6.1: an answer without a Date gets one, another keeps its own; refusals have one. */
static void test_date(void **state)
{
	static const char own[] = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
	char text[4096];
	ssize_t n;

	job_connects(true, "api.test", 443);
	say(rig.client, GET "\r\n");
	say(rig.origin[0], EMPTY);
	n = recv(rig.client, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = 0;
	assert_non_null(strstr(text, "\r\ndate: "));
	assert_int_equal(strspn(strstr(text, "\r\ndate: ") + 8,
				"MonTueWdhFriSatJbMApylugScNvDe0123456789:, G"),
			 29);
	say(rig.client, GET "\r\n");
	print(text, "HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n", own);
	say(rig.origin[0], text);
	n = recv(rig.client, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = 0;
	assert_non_null(strstr(text, own));
	assert_null(strstr(text, "\r\ndate: "));
	say(rig.client, "GET / HTTP/1.1\r\n\r\n");
	n = recv(rig.client, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = 0;
	assert_non_null(strstr(text, "\r\nDate: "));
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_requests),    T(test_answers), T(test_incomplete),
		T(test_connections), T(test_date),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
