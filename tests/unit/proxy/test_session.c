/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP sessions: what reaches the origin, what the job gets, what is recorded, in which order. */
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

static void test_allowed(void **state)
{
	job_connects(true, "api.test", 443);
	say(rig.client, "GET /repos/%61?x=secret HTTP/1.1\r\nHost: API.test:443\r\nX-Case: "
			"Kept\r\nConnection: X-Hop\r\n"
			"X-Hop: 1\r\n\r\n");
	assert_int_equal(rig.dialled, 1);
	/* The record is in the ring when the first byte is out. */
	assert_string_equal(rig.events, "http.request:allow:rule ");
	assert_string_equal(
		hear(rig.origin[0]),
		"GET /repos/a?x=secret HTTP/1.1\r\nHost: api.test:443\r\nX-Case: Kept\r\n\r\n");
	say(rig.origin[0],
	    "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nETag: \"x\"\r\nKeep-Alive: 5\r\n\r\nhello");
	assert_string_equal(hear(rig.client),
			    "HTTP/1.1 200 Fine\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\nhello");
	assert_string_equal(rig.events, "http.request:allow:rule http.response:: ");
	/* Keep-alive both ways. */
	say(rig.client, GET);
	assert_int_equal(rig.dialled, 1);
	assert_int_equal(rig.reused, 1);
	assert_says(hear(rig.origin[0]), "GET /repos/a HTTP/1.1\r\nHost: api.test\r\n\r\n");
}

static void test_denied(void **state)
{
	job_connects(true, "api.test", 443);
	say(rig.client, "POST /gists HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\nabc");
	assert_string_equal(hear(rig.client),
			    "HTTP/1.1 403 Blocked by egret: no rule allows POST api.test/gists "
			    "(event 48213)\r\n"
			    "Content-Type: text/plain; charset=utf-8\r\nContent-Length: "
			    "279\r\nCache-Control: no-store\r\n\r\n"
			    "Blocked by egret: no rule allows POST api.test/gists\n\n"
			    "  request:  POST https://api.test/gists\n"
			    "  why:      no rule allows it\n"
			    "  policy:   acme\n"
			    "  nearest:  post: allow POST https://api.test/repos/**\n"
			    "  to allow: { \"allow\": \"POST https://api.test/gists\" }\n"
			    "  more:     egret why 48213\n");
	assert_int_equal(rig.dialled, 0);
	/* The connection goes on, behind the body. */
	say(rig.client, "GET /repos/gists/1 HTTP/1.1\r\nHost: api.test\r\nAccept: "
			"application/vnd.x+json\r\n\r\n");
	assert_says(
		hear(rig.client),
		"403 Blocked by egret: rule gists denies GET api.test/repos/gists/1 (event 48214)");
	assert_int_equal(rig.dialled, 0);
	assert_string_equal(rig.events, "http.request:deny:no_rule http.request:deny:deny_rule ");
	say(rig.client, "HEAD /x HTTP/1.1\r\nHost: api.test\r\n\r\n");
	assert_null(strstr(hear(rig.client), "\r\n\r\nBlocked"));
	say(rig.client, GET);
	assert_int_equal(rig.dialled, 1);
}

/* Each of these must be refused without any upstream, or be exactly one request. */
static void test_hosts_and_targets(void **state)
{
	static const struct {
		const char *in, *status;
	} rows[] = {
		{ "GET /repos/a HTTP/1.1\r\n\r\n",
		  "400 egret refused the request: there is no Host" },
		{ "GET /repos/a HTTP/1.1\r\nHost:\r\n\r\n",
		  "400 egret refused the request: there is no Host" },
		{ "GET /repos/a HTTP/1.0\r\n\r\n",
		  "400 egret refused the request: there is no Host" },
		{ "GET /repos/a HTTP/1.1\r\nHost: api.test\r\nHost: api.test\r\n\r\n",
		  "400 egret refused the request: there are several Host fields" },
		{ "GET /repos/a HTTP/1.1\r\nHost: evil.test\r\n\r\n",
		  "421 Blocked by egret: Host is evil.test but the connection is to api.test" },
		{ "GET /repos/a HTTP/1.1\r\nHost: api.test.evil.test\r\n\r\n",
		  "421 Blocked by egret: Host is" },
		{ "GET /repos/a HTTP/1.1\r\nHost: api.test:8443\r\n\r\n",
		  "421 Blocked by egret: Host names port" },
		{ "GET /repos/a HTTP/1.1\r\nHost: api.test@evil.test\r\n\r\n",
		  "400 egret refused" },
		{ "GET /repos/a HTTP/1.1\r\nHost: evil.test, api.test\r\n\r\n",
		  "400 egret refused" },
		{ "GET /repos/a HTTP/1.1\r\nHost: 198.51.100.1\r\n\r\n", "421 Blocked by egret" },
		{ "GET https://evil.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
		  "400 egret refused" },
		{ "GET http://api.test/repos/a HTTP/1.1\r\nHost: api.test\r\n\r\n",
		  "400 egret refused" },
		{ "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n",
		  "400 egret refused" },
		{ "OPTIONS * HTTP/1.1\r\nHost: api.test\r\n\r\n", "400 egret refused" },
		{ "TRACE /repos/a HTTP/1.1\r\nHost: api.test\r\n\r\n",
		  "403 Blocked by egret: TRACE" },
		{ "GET /repos/../gists HTTP/1.1\r\nHost: api.test\r\n\r\n", "400 egret refused" },
		{ "GET /repos/%2e%2e/gists HTTP/1.1\r\nHost: api.test\r\n\r\n",
		  "400 egret refused" },
		{ "GET /repos%2fa HTTP/1.1\r\nHost: api.test\r\n\r\n", "400 egret refused" },
		{ "GET /repos/a HTTP/1.1\r\nHost: api.test\r\nConnection: authorization\r\n\r\n",
		  "400 egret refused the request: Connection names authorization" },
		{ "GET /repos/a HTTP/1.1\r\nHost: api.test\r\nConnection: upgrade\r\nUpgrade: "
		  "tunnel\r\n\r\n",
		  "403 Blocked by egret: no rule names an upgrade to tunnel" },
		{ "GET /repos/a HTTP/1.1\r\nHost: api.test\r\nConnection: upgrade\r\nUpgrade: "
		  "websocket\r\n\r\n",
		  "400 egret refused the request: only version 13" },
		{ "GET /repos/a HTTP/1.1\r\nHost: api.test\r\nConnection: upgrade\r\nUpgrade: "
		  "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
		  "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		  "403 Blocked by egret: no rule allows WEBSOCKET api.test/repos/a" },
		{ "GET /repos/a HTTP/1.1\nHost: api.test\n\n", "400 egret refused" },
		{ "GET /repos/a HTTP/2.0\r\nHost: api.test\r\n\r\n",
		  "505 egret refused the request: only" },
		{ "BREW /repos/a HTTP/1.1\r\nHost: api.test\r\n\r\n",
		  "501 egret refused the request: the method" },
		{ "POST /repos/a HTTP/1.1\r\nHost: api.test\r\nContent-Length: "
		  "1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		  "400 egret refused" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char want[256];
		const char *got;

		rig.events[0] = 0;
		job_connects(true, "api.test", 443);
		say(rig.client, rows[i].in);
		got = hear(rig.client);
		snprintf(want, sizeof(want), "HTTP/1.1 %s", rows[i].status);
		if (strncmp(got, want, strlen(want)) != 0)
			print_error("%s\n-> %s\nnot %s\n", rows[i].in, got, want);
		assert_int_equal(strncmp(got, want, strlen(want)), 0);
		assert_says(rig.events, "http.request:deny:");
		assert_null(strstr(rig.events, "allow"));
		assert_int_equal(rig.dialled, 0);
		job_leaves();
	}
}

static void test_pipeline(void **state)
{
	job_connects(true, "api.test", 443);
	say(rig.client, "GET /repos/1 HTTP/1.1\r\nHost: api.test\r\n\r\nGET /no HTTP/1.1\r\nHost: "
			"api.test\r\n\r\n"
			"GET /repos/3 HTTP/1.1\r\nHost: api.test\r\n\r\n");
	assert_says(hear(rig.origin[0]), "GET /repos/1 ");
	assert_string_equal(hear(rig.client), "");
	say(rig.origin[0], "HTTP/1.1 204 No\r\n\r\n");
	assert_says(hear(rig.origin[0]), "GET /repos/3 ");
	say(rig.origin[0], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	{
		const char *got = hear(rig.client), *a = strstr(got, "204 No"),
			   *b = strstr(got, "403 Blocked"), *c = strstr(got, "200 OK");

		assert_true(a && b && c && a < b && b < c);
	}
	assert_int_equal(rig.dialled, 1);
}

/* Thousands in one go neither recurse nor grow. */
static void test_pipeline_long(void **state)
{
	char *all = malloc(1 << 20), *p = all;
	size_t answers = 0;

	for (int i = 0; i < 3000; i++)
		p += print(p, "GET /%d HTTP/1.1\r\nHost:api.test\r\n\r\n", i);
	job_connects(true, "api.test", 443);
	for (char *q = all; q < p;) {
		ssize_t r = send(rig.client, q, (size_t)(p - q), MSG_NOSIGNAL);

		if (r > 0)
			q += r;
		for (const char *got = hear(rig.client); (got = strstr(got, "HTTP/1.1 403 "));
		     got++)
			answers++;
	}
	for (int i = 0; i < 3000 && answers < 3000; i++) {
		for (const char *got = hear(rig.client); (got = strstr(got, "HTTP/1.1 403 "));
		     got++)
			answers++;
	}
	assert_int_equal(answers, 3000);
	free(all);
}

static void test_chunked(void **state)
{
	job_connects(true, "api.test", 443);
	say(rig.client, "POST /repos/a HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: "
			"chunked\r\n\r\n3;x=y\r\nabc\r\n");
	assert_says(hear(rig.origin[0]), "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	say(rig.client, "2\r\nde\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n");
	assert_string_equal(hear(rig.origin[0]), "2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n");
	say(rig.origin[0], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n");
	assert_says(hear(rig.client), "Transfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n");
	say(rig.origin[0], "0\r\nE: f\r\n\r\n");
	assert_string_equal(hear(rig.client), "0\r\nE: f\r\n\r\n");
	say(rig.client, GET);
	assert_int_equal(rig.dialled, 1);
	/* An end by closing becomes chunks: the client's connection lives on. */
	hear(rig.origin[0]);
	say(rig.origin[0], "HTTP/1.1 200 OK\r\n\r\nuntil");
	shutdown(rig.origin[0], SHUT_WR);
	assert_says(hear(rig.client), "Transfer-Encoding: chunked\r\n\r\n5\r\nuntil\r\n0\r\n\r\n");
	say(rig.client, GET);
	assert_int_equal(rig.dialled, 2);
}

static void test_http10(void **state)
{
	job_connects(false, "plain.test", 80);
	say(rig.client, "GET / HTTP/1.0\r\nHost: plain.test\r\n\r\n");
	assert_string_equal(hear(rig.origin[0]), "GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n");
	say(rig.origin[0], "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 "
			   "OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			   "3\r\nabc\r\n0\r\n\r\n");
	assert_string_equal(hear(rig.client),
			    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc<end>");
	job_leaves();
	job_connects(false, "plain.test", 80);
	say(rig.client, "GET / HTTP/1.0\r\nHost: plain.test\r\nConnection: keep-alive\r\n\r\n");
	say(rig.origin[0], "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
	assert_string_equal(
		hear(rig.client),
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx");
}

static void test_bodiless(void **state)
{
	job_connects(true, "api.test", 443);
	say(rig.client, "HEAD /repos/a HTTP/1.1\r\nHost: api.test\r\n\r\n" GET);
	say(rig.origin[0], "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
	say(rig.origin[0], "HTTP/1.1 304 Same\r\nETag: x\r\n\r\n");
	assert_string_equal(hear(rig.client), "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
					      "HTTP/1.1 304 Same\r\nETag: x\r\n\r\n");
}

static void test_interim(void **state)
{
	job_connects(true, "api.test", 443);
	say(rig.client, "POST /repos/a HTTP/1.1\r\nHost: api.test\r\nExpect: "
			"100-continue\r\nContent-Length: 2\r\n\r\n");
	assert_says(hear(rig.origin[0]), "Expect: 100-continue");
	say(rig.origin[0], "HTTP/1.1 100 Continue\r\n\r\n");
	assert_string_equal(hear(rig.client), "HTTP/1.1 100 Continue\r\n\r\n");
	say(rig.client, "ab");
	assert_string_equal(hear(rig.origin[0]), "ab");
	for (int i = 0; i < 16; i++)
		say(rig.origin[0], "HTTP/1.1 103 Early\r\n\r\n");
	assert_says(hear(rig.client),
		    "502 egret refused the answer of api.test: too many interim answers");
	assert_says(rig.events, "http.response::limit");
	job_leaves();
	job_connects(true, "api.test", 443);
	say(rig.client, GET);
	say(rig.origin[1], "HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n");
	assert_says(hear(rig.client),
		    "502 egret refused the answer of api.test: it changes the protocol");
	/* Refused before the body: the connection ends, since the body may or may not come. */
	say(rig.client, "POST /no HTTP/1.1\r\nHost: api.test\r\nExpect: "
			"100-continue\r\nContent-Length: 2\r\n\r\n");
	assert_says(hear(rig.client), "Connection: close\r\n");
}

static void test_early_answer(void **state)
{
	job_connects(true, "api.test", 443);
	say(rig.client,
	    "POST /repos/a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000\r\n\r\nab");
	say(rig.origin[0],
	    "HTTP/1.1 413 Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
	assert_says(hear(rig.client), "HTTP/1.1 413 Large\r\nContent-Length: 2\r\nConnection: "
				      "close\r\n\r\nno<end>");
	assert_says(rig.events, "http.response:: ");
}

static void test_bad_answers(void **state)
{
	static const struct {
		const char *in, *want;
		bool end;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "502 egret could not read the answer of api.test: there are both", false },
		{ "HTTP/1.1 200 OK\nX: y\n\n", "502 egret could not read the answer", false },
		{ "SSH-2.0-x\r\n\r\n", "502 egret could not read the answer", false },
		{ "", "502 egret got no answer from api.test: it closed the connection", true },
		{ "HTTP/1.1 200", "502 egret got no answer from api.test: it closed", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		job_connects(true, "api.test", 443);
		say(rig.client, GET);
		put_bytes(rig.origin[i], rows[i].in, strlen(rows[i].in));
		if (rows[i].end)
			shutdown(rig.origin[i], SHUT_WR);
		assert_says(hear(rig.client), rows[i].want);
		job_leaves();
	}
	/* Cut off behind its head: no end is pretended. */
	job_connects(true, "api.test", 443);
	say(rig.client, GET);
	say(rig.origin[5], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	shutdown(rig.origin[5], SHUT_WR);
	assert_null(strstr(hear(rig.client), "\r\n0\r\n"));
	assert_true(rig.over);
	assert_says(rig.events, "http.response::upstream_lost");
}

static void test_split_answer(void **state)
{
	/* Bytes behind an answer are no answer to the next request. */
	job_connects(true, "api.test", 443);
	say(rig.client, GET);
	say(rig.origin[0], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 "
			   "Evil\r\nContent-Length: 0\r\n\r\n");
	say(rig.client, GET);
	assert_int_equal(rig.dialled, 2);
	assert_null(strstr(hear(rig.client), "Evil"));
}

static void test_retry(void **state)
{
	job_connects(true, "api.test", 443);
	say(rig.client, GET);
	say(rig.origin[0], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	hear(rig.client);
	shutdown(rig.origin[0], SHUT_RDWR);
	say(rig.client, GET);
	assert_int_equal(rig.dialled, 2);
	assert_says(hear(rig.origin[1]), GET);
	say(rig.origin[1], "HTTP/1.1 200 Again\r\nContent-Length: 0\r\n\r\n");
	assert_says(hear(rig.client), "200 Again");
	/* A POST that may have been done is not done twice. */
	say(rig.client, "POST /repos/a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1\r\n\r\nx");
	assert_int_equal(rig.dialled, 2);
	hear(rig.origin[1]);
	shutdown(rig.origin[1], SHUT_RDWR);
	assert_says(hear(rig.client), "502 egret got no answer");
	assert_int_equal(rig.dialled, 2);
}

static void test_dial_faults(void **state)
{
	static const struct {
		enum reason reason;
		const char *want;
	} rows[] = {
		{ REASON_CONNECT,
		  "502 egret could not reach api.test: connection refused (event " },
		{ REASON_TIMEOUT, "504 egret could not reach" },
		{ REASON_CERTIFICATE, "502 egret could not reach" },
		{ REASON_ADDRESS,
		  "403 Blocked by egret: api.test leads to an address that is never dialled" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rig.dial_fault = rows[i].reason;
		job_connects(true, "api.test", 443);
		say(rig.client, GET);
		assert_says(hear(rig.client), rows[i].want);
		job_leaves();
	}
	rig.dial_fault = 0;
	rig.unverified = true;
	job_connects(true, "api.test", 443);
	say(rig.client, GET);
	assert_says(hear(rig.client), "502 egret could not verify the certificate of api.test");
	assert_string_equal(hear(rig.origin[0]), "<end>");
}

#define SECRET_HEX "7333637233742f76616c75652b30313233343536373839"

static void test_credential(void **state)
{
	const char *heard;

	job_connects(true, "gh.test", 443);
	say(rig.client, "POST /releases HTTP/1.1\r\nHost: gh.test\r\nAuthorization: Bearer "
			"own\r\nContent-Length: 0\r\n"
			"Accept-Encoding: gzip\r\nRange: bytes=0-1\r\n\r\n");
	assert_int_equal(rig.leases_asked, 1);
	/* Dialled while the broker was asked. */
	assert_int_equal(rig.ahead, 1);
	assert_string_equal(rig.ahead_credential, "gh");
	assert_string_equal(rig.last_credential, "gh");
	assert_string_equal(hear(rig.origin[0]),
			    "POST /releases HTTP/1.1\r\nHost: gh.test\r\n"
			    "accept-encoding: identity\r\nauthorization: Bearer " SECRET
			    "\r\nContent-Length: 0\r\n\r\n");
	/* What comes back of it is overwritten, wherever it is cut. */
	say(rig.origin[0],
	    "HTTP/1.1 200 OK\r\nContent-Length: 31\r\nX-Echo: " SECRET "\r\nX-" SECRET_HEX ": 1\r\n"
	    "\r\nabc s3cr3t/val");
	heard = hear(rig.client);
	assert_says(heard, "X-Echo: ***********************\r\n");
	/* A name is as good a place as a value. */
	assert_null(strstr(heard, SECRET_HEX));
	assert_says(heard, "X-*");
	say(rig.origin[0], "ue+0123456789 end");
	assert_string_equal(hear(rig.client), "*********************** end");
	/* The lease itself is the broker's to record. */
	assert_says(rig.events, "http.request:allow:rule ");
	assert_null(strstr(rig.events, "credential."));
	/* A rule that names none gets none, but the answer is searched all the same. */
	say(rig.client, "GET /other/x HTTP/1.1\r\nHost: gh.test\r\nAuthorization: own\r\n\r\n");
	assert_null(strstr(hear(rig.origin[0]), "uthorization"));
	say(rig.origin[0],
	    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc");
	assert_says(hear(rig.client), "502 egret refused the answer of gh.test: it came encoded");
	assert_says(rig.events, "http.response::scrub");
	/* OPTIONS never carries it. */
	say(rig.client, "OPTIONS /other/x HTTP/1.1\r\nHost: gh.test\r\nAuthorization: x\r\n\r\n");
	assert_null(strstr(hear(rig.origin[1]), "uthorization"));
	say(rig.origin[1], "HTTP/1.1 204 No\r\n\r\n");
	hear(rig.client);
	say(rig.client, "OPTIONS /releases HTTP/1.1\r\nHost: gh.test\r\n\r\n");
	assert_says(hear(rig.client),
		    "403 Blocked by egret: credential gh never goes with OPTIONS");
	job_leaves();
	/* Cleartext: the same host, without, and without the job's own. */
	job_connects(false, "gh.test", 80);
	rig.dialled = rig.dialled;
	if (rig.idle)
		upstream_close(rig.idle);
	rig.idle = NULL;
	say(rig.client, "GET /other/x HTTP/1.1\r\nHost: gh.test\r\nAuthorization: own\r\n\r\n");
	assert_null(strstr(hear(rig.origin[rig.dialled - 1]), "uthorization"));
	job_leaves();
	/* Elsewhere the client's own passes. */
	if (rig.idle)
		upstream_close(rig.idle);
	rig.idle = NULL;
	job_connects(true, "api.test", 443);
	say(rig.client, "GET /repos/a HTTP/1.1\r\nHost: api.test\r\nAuthorization: own\r\n\r\n");
	assert_says(hear(rig.origin[rig.dialled - 1]), "Authorization: own");
}

static void test_credential_fails(void **state)
{
	rig.broker_refuses = true;
	job_connects(true, "gh.test", 443);
	say(rig.client, "POST /releases HTTP/1.1\r\nHost: gh.test\r\nContent-Length: 0\r\n\r\n");
	assert_says(
		hear(rig.client),
		"HTTP/1.1 502 egret could not get credential gh (there is no secret \"gh\"); the "
		"request was not sent (event 48213)\r\n");
	assert_int_equal(rig.dialled, 0);
	assert_string_equal(rig.events, "http.request:deny:credential ");
	job_leaves();
	/* The broker is dead: refused; with a lease out: served. */
	close(rig.broker);
	rig.broker = -1;
	job_connects(true, "gh.test", 443);
	say(rig.client, "POST /releases HTTP/1.1\r\nHost: gh.test\r\nContent-Length: 0\r\n\r\n");
	assert_says(hear(rig.client), "502 egret could not get credential gh (the broker");
	assert_int_equal(rig.dialled, 0);
}

/* A lease that ends while the upstream is dialled: the next one goes with the request. */
static void test_lease_gone(void **state)
{
	rig.secret = "first-value-0123456789";
	rig.expires = clock_wall_us() + 150000;
	rig.dial_ms = 250;
	job_connects(true, "gh.test", 443);
	say(rig.client, "POST /releases HTTP/1.1\r\nHost: gh.test\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(rig.leases_asked, 1);
	rig.secret = "second-value-0123456789";
	rig.expires = 0;
	turn_ms(600);
	assert_int_equal(rig.leases_asked, 2);
	assert_int_equal(rig.dialled, 1);
	assert_says(hear(rig.origin[0]), "Bearer second-value-0123456789\r\n");
	assert_string_equal(rig.events, "http.request:allow:rule ");
	say(rig.origin[0], "HTTP/1.1 204 No\r\n\r\n");
}

static void on_tunnel(struct proxy *px, int fd, const struct origin *o)
{
	char text[32] = "";

	rig.connects++;
	assert_string_equal(o->name, "api.test");
	assert_int_equal(o->port, 443);
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
	close(fd);
}

static void test_explicit_proxy(void **state)
{
	struct origin o = { .name = "proxy.test", .name_n = 10, .synthetic = true, .port = 3128 };

	session_on_connect(on_tunnel);
	for (int i = 0; i < 2; i++) {
		job_connects_as(false, &o);
		if (i == 0) {
			say(rig.client,
			    "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n");
			assert_string_equal(hear(rig.client),
					    "HTTP/1.1 200 Connection established\r\n\r\n<end>");
			assert_int_equal(rig.connects, 1);
		} else {
			say(rig.client,
			    "GET http://plain.test/x HTTP/1.1\r\nHost: plain.test\r\n\r\n");
			assert_string_equal(hear(rig.origin[0]),
					    "GET /x HTTP/1.1\r\nHost: plain.test\r\n\r\n");
			assert_string_equal(rig.last_host, "plain.test");
			assert_int_equal(rig.last_ask.port, 80);
		}
		job_leaves();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
		T(test_allowed),
		T(test_denied),
		T(test_hosts_and_targets),
		T(test_pipeline),
		T(test_pipeline_long),
		T(test_chunked),
		T(test_http10),
		T(test_bodiless),
		T(test_interim),
		T(test_early_answer),
		T(test_bad_answers),
		T(test_split_answer),
		T(test_retry),
		T(test_dial_faults),
		T(test_credential),
		T(test_credential_fails),
		T(test_lease_gone),
		T(test_explicit_proxy),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 20) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
