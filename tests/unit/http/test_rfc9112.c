/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 9112 (HTTP/1.1 on the wire) and what of RFC 9110 is the codec's: every MUST that a proxy can
 * break by reading or by writing, a row each. What takes a whole exchange is in
 * ../proxy/test_rfc9110.c. Where egret is stricter than it must be, the row says "refused".
 */
#include "unit/http/h1_text.h"

#include "http/fields.h"
#include "http/h1_write.h"

struct rule {
	const char *section, *bytes, *want;
};

static void hold(bool request, bool head_request, const struct rule *rules, size_t n)
{
	static char whole[65536], bytewise[65536];
	bool bad = false;

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(rules[i].bytes);

		read_all(request, head_request, rules[i].bytes, len, len, whole);
		read_all(request, head_request, rules[i].bytes, len, 1, bytewise);
		if (strcmp(whole, bytewise) == 0 && strcmp(whole, rules[i].want) == 0)
			continue;
		print_error("%s\n  bytes    %s\n  want     %s\n  whole    %s\n  bytewise %s\n",
			    rules[i].section, rules[i].bytes, rules[i].want, whole, bytewise);
		bad = true;
	}
	assert_false(bad);
}

#define H "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" H
#define POST "POST / HTTP/1.1\r\n" H
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_SEEN "POST /{host=a,transfer-encoding=chunked}"
#define BOTH "!there are both Content-Length and Transfer-Encoding"
#define LENGTH "!Content-Length is not one number"
#define CODING "!Transfer-Encoding is not chunked alone"
#define BLANK "!there is a blank before a header field's colon"
#define FOLDED "!a header field is folded over lines"
#define CONTROL "!a header field's value holds a control byte"
#define TARGET "!the target holds a byte that is not printable ASCII"

static void test_requests(void **state)
{
	static const struct rule rules[] = {
		{ "9112 2.2 parsed as octets, whatever the character set",
		  GET "X: \xc3\xa9\xff\x80\r\n\r\n", "GET /{host=a,x=\xc3\xa9\xff\x80}." },
		{ "9112 2.2 a bare CR is invalid", GET "X: a\rb\r\n\r\n", CONTROL },
		{ "9112 2.2 a bare CR in the first line is invalid",
		  "GET /\ra HTTP/1.1\r\n" H "\r\n", TARGET },
		{ "9112 2.2 blanks between first line and first field: refused",
		  "GET / HTTP/1.1\r\n \r\n" H "\r\n", FOLDED },
		{ "9112 2.2 an empty line before a request is ignored", "\r\n" GET "\r\n",
		  "GET /{host=a}." },
		{ "9112 2.2 what is no HTTP is a 400", "\x16\x03\x01 / HTTP/1.1\r\n\r\n",
		  "!the method is not a token" },
		{ "9112 2.3 the version is case-sensitive", "GET / Http/1.1\r\n" H "\r\n",
		  "!the first line is not HTTP's" },
		{ "9112 3 lenient blanks in the first line: refused",
		  "GET /  HTTP/1.1\r\n" H "\r\n", "!the first line is not HTTP's" },
		{ "9112 3.2 no blank within the target", "GET /a b HTTP/1.1\r\n" H "\r\n",
		  "!the first line is not HTTP's" },
		{ "9112 3.2.2 absolute-form is taken", "GET http://a/b HTTP/1.1\r\n" H "\r\n",
		  "GET /b{host=a}." },
		{ "9112 3.2.2 an empty path is /", "GET http://a HTTP/1.1\r\n" H "\r\n",
		  "GET /{host=a}." },
		{ "9112 3.2.3 authority-form is CONNECT's alone", "GET a:443 HTTP/1.1\r\n" H "\r\n",
		  "!the target is neither a path nor an absolute URL" },
		{ "9112 3.2.4 asterisk-form is OPTIONS' alone", "GET * HTTP/1.1\r\n" H "\r\n",
		  "!the target is neither a path nor an absolute URL" },
		{ "9112 3.2.4 OPTIONS of a URL without path is for *",
		  "OPTIONS http://a HTTP/1.1\r\n" H "\r\n", "OPTIONS *{host=a}." },
		{ "9112 5 OWS around a value is no part of it", GET "X:\t a b \t\r\n\r\n",
		  "GET /{host=a,x=a b}." },
		{ "9112 5.1 a blank between name and colon is a 400", GET "X : y\r\n\r\n", BLANK },
		{ "9112 5.1 a tab there too", GET "X\t: y\r\n\r\n", BLANK },
		{ "9112 5.2 obs-fold is a 400", GET "X: a\r\n b\r\n\r\n", FOLDED },
		{ "9112 6 a body is announced by its fields, not by the method",
		  GET "Content-Length: 3\r\n\r\nabc", "GET /{host=a,content-length=3}abc." },
		{ "9112 6.1 the last coding is not chunked: 400",
		  POST "Transfer-Encoding: chunked, gzip\r\n\r\n", CODING },
		{ "9112 6.1 chunked more than once: refused",
		  POST "Transfer-Encoding: chunked, chunked\r\n\r\n", CODING },
		{ "9112 6.1 an unknown coding: refused", POST "Transfer-Encoding: x\r\n\r\n",
		  CODING },
		{ "9112 6.1 the coding's name has no case",
		  POST "Transfer-Encoding: CHUNKED\r\n\r\n"
		       "0\r\n\r\n",
		  "POST /{host=a,transfer-encoding=CHUNKED}." },
		{ "9112 6.1 both are an attack: refused",
		  POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BOTH },
		{ "9112 6.1 in HTTP/1.0 the framing is faulty",
		  "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		  "!there is Transfer-Encoding in HTTP/1.0" },
		{ "9112 6.2 no overflow of a length",
		  POST "Content-Length: 18446744073709551616\r\n\r\n", LENGTH },
		{ "9112 6.2 nor one byte below it",
		  POST "Content-Length: 18446744073709551615\r\n\r\n", LENGTH },
		{ "9112 6.3 an invalid length is a 400", POST "Content-Length: 3a\r\n\r\nabc",
		  LENGTH },
		{ "9112 6.3 lengths that differ are a 400",
		  POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", LENGTH },
		{ "9112 6.3 the same length as a list: refused",
		  POST "Content-Length: 3, 3\r\n\r\nabc", LENGTH },
		{ "9112 6.3 neither field: no body", POST "\r\n" GET "\r\n",
		  "POST /{host=a}.GET /{host=a}." },
		{ "9112 7.1 chunked is decoded, sizes in either case",
		  CHUNKED "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
		  CHUNKED_SEEN "01234567890123456789." },
		{ "9112 7.1 no overflow of a size", CHUNKED "10000000000000000\r\n",
		  CHUNKED_SEEN "!a chunk is too large" },
		{ "9112 7.1 a size is hexadecimal digits alone", CHUNKED "0x1\r\na\r\n",
		  CHUNKED_SEEN "!a chunk's size is not a number" },
		{ "9112 7.1.1 unknown extensions are ignored",
		  CHUNKED "1;a;b=c;d=\"e\"\r\na\r\n0\r\n\r\n", CHUNKED_SEEN "a." },
		{ "9112 7.1.1 and bounded", CHUNKED "1;aaaaaaaaaaaaaaaaaaaaa\r\na\r\n",
		  CHUNKED_SEEN "!a chunk's extension is too long" },
		{ "9112 7.1.2 trailers stay apart from the head",
		  CHUNKED "0\r\nX: y\r\nContent-Length: 5\r\n\r\n",
		  CHUNKED_SEEN "[x=y,content-length=5]." },
		{ "9112 8 an incomplete request is no request", POST "Content-Length: 5\r\n\r\nabc",
		  "POST /{host=a,content-length=5}abc!it ends inside its body" },
		{ "9112 8 nor without the last chunk", CHUNKED "3\r\nabc\r\n",
		  CHUNKED_SEEN "abc!it ends inside its body" },
		{ "9110 5.5 NUL, CR and LF in a value", GET "X: a\x01\r\n\r\n", CONTROL },
		{ "9110 5.6.2 a name is a token", GET "X[]: a\r\n\r\n",
		  "!a header field's name is not a token" },
		{ "9110 9.1 methods have case", "Get / HTTP/1.1\r\n" H "\r\n",
		  "!the method is not known" },
		{ "9110 10.1.1 HTTP/1.0 expects nothing",
		  "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
		  "POST /{content-length=1}a." },
	};

	hold(true, false, rules, ARRAY_SIZE(rules));
}

#define OK "HTTP/1.1 200 OK\r\n"

static void test_answers(void **state)
{
	static const struct rule rules[] = {
		{ "9112 4 the phrase may be empty", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
		  "200{content-length=0}." },
		{ "9112 4 and says nothing about the status",
		  "HTTP/1.1 200 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		  "200{content-length=0}." },
		{ "9112 5.1 a blank before the colon: refused, so never passed on",
		  OK "Content-Length : 0\r\n\r\n", BLANK },
		{ "9112 5.2 obs-fold: 502", OK "X: a\r\n b\r\n\r\n", FOLDED },
		{ "9112 6.1 HTTP/1.0 with a coding is faulty",
		  "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		  "!there is Transfer-Encoding in HTTP/1.0" },
		{ "9112 6.3 1xx, 204 and 304 have no body, whatever they say",
		  "HTTP/1.1 103 x\r\nContent-Length: 3\r\n\r\nHTTP/1.1 204 x\r\nContent-Length: "
		  "3\r\n\r\nHTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "103{content-length=3}.204{content-length=3}.304{transfer-encoding=chunked}." },
		{ "9112 6.3 both: refused",
		  OK "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"
		     "\r\n0\r\n\r\n",
		  BOTH },
		{ "9112 6.3 an invalid length: 502", OK "Content-Length: x\r\n\r\n", LENGTH },
		{ "9112 6.3 lengths that differ: 502",
		  OK "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", LENGTH },
		{ "9112 6.3 neither: until the end", OK "\r\nabc\r\n\r\n", "200{}abc\r\n\r\n." },
		{ "9112 6.3 a coding that does not end in chunked: refused",
		  OK "Transfer-Encoding: gzip\r\n\r\nabc", CODING },
		{ "9112 8 less than the length is incomplete", OK "Content-Length: 5\r\n\r\nabc",
		  "200{content-length=5}abc!it ends inside its body" },
		{ "9112 8 no last chunk is incomplete",
		  OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		  "200{transfer-encoding=chunked}abc!it ends inside its body" },
		{ "9110 5.5 a CR splits no answer", OK "X: a\rSet-Cookie: b\r\n\r\n", CONTROL },
		{ "9110 5.5 nor does a LF", OK "X: a\nSet-Cookie: b\r\n\r\n",
		  "!a line ends without CR LF" },
		{ "9110 15 a status has three digits, 100 to 599", "HTTP/1.1 999 x\r\n\r\n",
		  "!the status is out of range" },
	};
	static const struct rule head[] = {
		{ "9112 6.3 HEAD has no body",
		  OK "Content-Length: 3\r\n\r\n" OK "Transfer-Encoding: chunked\r\n\r\n",
		  "200{content-length=3}.200{transfer-encoding=chunked}." },
	};

	hold(false, false, rules, ARRAY_SIZE(rules));
	hold(false, true, head, ARRAY_SIZE(head));
}

/* No byte beside, before or behind a name, a colon or a value makes a second reading: the field is
 * what we know (and then framed by it), another name, or a fault. */
static void test_every_byte(void **state)
{
	static const char *const shapes[] = {
		"*Transfer-Encoding: chunked", "Transfer*-Encoding: chunked",
		"Transfer-Encoding*: chunked", "Transfer-Encoding:*chunked",
		"Transfer-Encoding: chun*ked", "Transfer-Encoding: chunked*",
		"*Content-Length: 9",	       "Content-Length*: 9",
		"Content-Length:*9",	       "Content-Length: 9*",
		"X: y*Content-Length: 9",      "X: y\r\n*Content-Length: 9",
	};
	char in[256], out[4096];

	for (size_t s = 0; s < ARRAY_SIZE(shapes); s++) {
		for (unsigned c = 0; c < 256; c++) {
			size_t n = (size_t)print(in, POST "%s\r\n\r\n0\r\n\r\nTAIL", shapes[s]);
			bool framed, other;

			*strchr(in, '*') = (char)c;
			read_all(true, false, in, n, n, out);
			framed = strstr(out, ",transfer-encoding=chunked}") ||
				 strstr(out, "9}0\r\n\r\nTAIL.");
			/* A name or value that is nobody's: what follows is no body of it. A
			 * longer number is a longer body. */
			other = strstr(out, "}.!") || strstr(out, "!it ends inside its body");
			if (!framed && !other && out[0] != '!')
				fail_msg("%s with %#x: %s", shapes[s], c, out);
			/* Blanks, and a zero before a number, are all that may stand there
			 * unnoticed. */
			if (framed && c != ' ' && c != '\t' && !(s == 8 && c == '0'))
				fail_msg("%s with %#x is read as framing: %s", shapes[s], c, out);
		}
	}
}

/* ---- writing ---- */

struct written {
	const char *section, *in;
	struct h1_out out;
	const char *want;
};

static void written(bool request, const struct written *rules, size_t n)
{
	bool bad = false;

	for (size_t i = 0; i < n; i++) {
		struct arena a;
		struct buf b;
		struct h1 h;
		size_t used;

		arena_init(&a, 1 << 20);
		buf_init(&b, 65536);
		h1_init(&h, request, &limits);
		assert_int_equal(h1_next(&h, &a, rules[i].in, strlen(rules[i].in), false, &used),
				 H1_HEAD);
		if (request)
			assert_int_equal(
				h1_write_request(&b, &h.head, STR("/t"), STR("n"), &rules[i].out),
				0);
		else
			assert_int_equal(h1_write_response(&b, &h.head, &rules[i].out), 0);
		if (!str_is(buf_str(&b), rules[i].want)) {
			print_error("%s\n  want %s\n  got  %.*s\n", rules[i].section, rules[i].want,
				    STR_ARG(buf_str(&b)));
			bad = true;
		}
		buf_done(&b);
		arena_done(&a);
	}
	assert_false(bad);
}

static void test_write(void **state)
{
	static const struct written requests[] = {
		{ "9112 2.3 our own version goes out, 9112 3.2 Host first and anew",
		  "GET /x HTTP/1.0\r\nX: y\r\nHost: old\r\n\r\n",
		  { .body = BODY_NONE },
		  "GET /t HTTP/1.1\r\nHost: n\r\nX: y\r\n\r\n" },
		{ "9110 5.1 unknown fields go on, 5.3 in their order",
		  "GET / HTTP/1.1\r\nX-B: 1\r\nX-a: 2\r\nX-B: 3\r\nProxy-Status: z\r\n\r\n",
		  { .body = BODY_NONE },
		  "GET /t HTTP/1.1\r\nHost: n\r\nX-B: 1\r\nX-a: 2\r\nX-B: 3\r\n"
		  "Proxy-Status: z\r\n\r\n" },
		{ "9110 7.6.1 what Connection names ends here, empty elements do not count",
		  "GET / HTTP/1.1\r\nConnection: , x-a ,,X-B\r\nX-A: 1\r\nx-b: 2\r\nX-C: "
		  "3\r\nConnection: X-C\r\n\r\n",
		  { .body = BODY_NONE },
		  "GET /t HTTP/1.1\r\nHost: n\r\n\r\n" },
		{ "9110 7.6.1 of any length",
		  "GET / HTTP/1.1\r\nConnection: "
		  "x-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
		  "x-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: "
		  "1\r\n\r\n",
		  { .body = BODY_NONE },
		  "GET /t HTTP/1.1\r\nHost: n\r\n\r\n" },
		{ "9110 7.6.1 the hop's own fields end here unnamed",
		  "GET / HTTP/1.1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: "
		  "trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
		  { .body = BODY_NONE },
		  "GET /t HTTP/1.1\r\nHost: n\r\n\r\n" },
		{ "9110 11.7.1 Proxy-Authorization is for the first proxy",
		  "GET / HTTP/1.1\r\nProxy-Authorization: x\r\n\r\n",
		  { .body = BODY_NONE },
		  "GET /t HTTP/1.1\r\nHost: n\r\n\r\n" },
		{ "9112 6.2 never both",
		  "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
		  { .body = BODY_CHUNKED },
		  "POST /t HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n" },
		{ "9112 6.1 chunked once",
		  "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		  { .body = BODY_CHUNKED },
		  "POST /t HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n" },
		{ "9110 8.6 the length is the one that follows",
		  "POST / HTTP/1.1\r\nContent-Length: 05\r\n\r\n",
		  { .body = BODY_LENGTH, .length = 5 },
		  "POST /t HTTP/1.1\r\nHost: n\r\nContent-Length: 5\r\n\r\n" },
		{ "9110 7.6.1 Connection is our own",
		  "GET / HTTP/1.1\r\nConnection: x\r\n\r\n",
		  { .body = BODY_NONE, .close = true },
		  "GET /t HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n" },
	};
	static const struct written answers[] = {
		{ "9112 4 the blank behind the status stays without a phrase",
		  "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
		  { .body = BODY_LENGTH },
		  "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n" },
		{ "9112 2.3 our own version",
		  "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		  { .body = BODY_LENGTH },
		  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
		{ "9112 6.1, 9110 8.6 1xx and 204 have neither length nor coding",
		  "HTTP/1.1 204 x\r\nContent-Length: 3\r\n\r\n",
		  { .body = BODY_NONE },
		  "HTTP/1.1 204 x\r\n\r\n" },
		{ "9112 6.1 nor that",
		  "HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n",
		  { .body = BODY_NONE },
		  "HTTP/1.1 103 x\r\n\r\n" },
		{ "9110 8.6 304 says the length that it came with",
		  "HTTP/1.1 304 x\r\nContent-Length: 3\r\n\r\n",
		  { .body = BODY_NONE, .keep_length = true },
		  "HTTP/1.1 304 x\r\nContent-Length: 3\r\n\r\n" },
		{ "9110 5.3 the order of one name's fields, Set-Cookie above all",
		  "HTTP/1.1 200 x\r\nSet-Cookie: a\r\nX: y\r\nSet-Cookie: b\r\n\r\n",
		  { .body = BODY_EOF },
		  "HTTP/1.1 200 x\r\nSet-Cookie: a\r\nX: y\r\n"
		  "Set-Cookie: b\r\n\r\n" },
		{ "9110 7.6.1 in answers too",
		  "HTTP/1.1 200 x\r\nConnection: X-A, close\r\nX-A: 1\r\n\r\n",
		  { .body = BODY_EOF },
		  "HTTP/1.1 200 x\r\n\r\n" },
	};

	written(true, requests, ARRAY_SIZE(requests));
	written(false, answers, ARRAY_SIZE(answers));
}

/* 9110 6.5.1: not what frames, routes, authorises or changes the message. */
static void test_trailers(void **state)
{
	static const char *const never[] = {
		"content-length",
		"transfer-encoding",
		"host",
		"cache-control",
		"max-forwards",
		"te",
		"authorization",
		"cookie",
		"set-cookie",
		"content-encoding",
		"content-type",
		"content-range",
		"range",
		"if-match",
		"trailer",
		"proxy-authorization",
		"www-authenticate",
		"expect",
		"connection",
		"location",
		"age",
		"date",
		"vary",
		"expires",
		"retry-after",
		"upgrade",
		"x-original-url",
	};
	struct field f[ARRAY_SIZE(never) + 1];
	struct buf b;

	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		f[i] = (struct field){ .name = str_of(never[i]), .value = STR("1") };
	f[ARRAY_SIZE(never)] = (struct field){ .name = STR("x-sum"), .value = STR("1") };
	buf_init(&b, 4096);
	assert_int_equal(h1_write_end(&b, f, ARRAY_SIZE(f)), 0);
	assert_true(str_is(buf_str(&b), "0\r\nx-sum: 1\r\n\r\n"));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),   cmocka_unit_test(test_answers),
		cmocka_unit_test(test_every_byte), cmocka_unit_test(test_write),
		cmocka_unit_test(test_trailers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
