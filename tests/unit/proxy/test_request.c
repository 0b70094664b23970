/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical once: each published trick with names, targets and fields is refused, or harmless: then
 * the row says what exactly goes out. A head goes the proxy's way (h1, request_read,
 * request_decide); whom the connection is to stands in the row.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "http/h1.h"
#include "policy/compile.h"
#include "proxy/onward.h"
#include "proxy/override.h"

static const char policy_text[] =
	"{ \"version\": 1, \"name\": \"canon\", \"mode\": \"enforce\", \"rules\": [\n"
	"{ \"id\": \"pub\", \"allow\": \"GET,POST,OPTIONS https://api.test/pub/**\" },\n"
	"{ \"id\": \"del\", \"allow\": \"DELETE https://api.test/pub/mine/**\" },\n"
	"{ \"id\": \"clear\", \"allow\": \"GET,OPTIONS http://api.test/pub/**\" },\n"
	"{ \"id\": \"lit\", \"allow\": \"GET http://198.51.100.7\" },\n"
	"{ \"id\": \"lit6\", \"allow\": \"GET http://[2001:db8::7]\" },\n"
	"{ \"id\": \"all\", \"allow\": \"ANY https://any.test\" },\n"
	"{ \"id\": \"not\", \"deny\": \"https://any.test/secret/**\" } ] }";

static const struct h1_limits limits = {
	.header_bytes = 4096, .header_count = 20, .target_bytes = 1024, .chunk_extension_bytes = 16
};

static struct proxy px;
static struct compiled compiled;

/* Whom the connection is to, as conn.c would have found out. */
enum to { TLS, NO_SNI, CLEAR, ADDRESS, ADDRESS6, TLS_ANY, INSIDE, ODD_PORT };

static struct origin origin_to(enum to to)
{
	static const char *const names[] = { "api.test", "",	     "api.test", "",
					     "",	 "any.test", "api.test", "api.test" };
	static const uint16_t ports[] = { 443, 443, 80, 80, 80, 443, 443, 8443 };
	static const uint8_t v4[16] = { [10] = 0xff, [11] = 0xff, [12] = 198, 51, 100, 7 },
			     v6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 7 };
	struct origin o = { .port = ports[to], .explicit_proxy = to == INSIDE };

	o.name_n = strlen(names[to]);
	memcpy(o.name, names[to], o.name_n);
	o.synthetic = o.name_n;
	if (to == ADDRESS || to == NO_SNI)
		o.addr = v4;
	else if (to == ADDRESS6)
		o.addr = v6;
	return o;
}

#define NUL "\x1e" /* stands for one: rows are strings */

/* "GET https://host/target" as it goes out, or "status reason: sentence". */
static void outcome(enum to to, const char *text, char *out, size_t size)
{
	struct origin o = origin_to(to);
	bool tls = o.port % 1000 == 443;
	struct request_fault f = { 0 };
	struct request r = { 0 };
	struct arena a;
	struct buf target;
	struct h1 h;
	size_t used, n = strlen(text);
	char *bytes = mem_dup(str_of(text));

	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == *NUL)
			bytes[i] = 0;
	}
	arena_init(&a, 1 << 20);
	buf_init(&target, 8192);
	h1_init(&h, true, &limits);
	switch (h1_next(&h, &a, bytes, n, true, &used)) {
	case H1_HEAD:
		if (!request_read(&o, tls, &h.head, &target, &r, &f))
			break;
		if (!request_decide(&px, &r, &h.head, &f) && !f.sentence[0])
			request_fault(&f, f.status, f.reason, "by policy");
		break;
	case H1_FAULT:
		request_fault(&f, 400, REASON_BAD_REQUEST, "%s", h.why);
		break;
	default:
		request_fault(&f, 408, REASON_TIMEOUT, "no head");
	}
	if (f.status)
		snprintf(out, size, "%u %s: %s", f.status, reason_word(f.reason), f.sentence);
	else
		snprintf(out, size, "%.*s %s://%.*s%.*s", STR_ARG(h.head.method),
			 tls ? "https" : "http", (int)r.host_n, r.host, STR_ARG(r.target.whole));
	buf_done(&target);
	arena_done(&a);
	free(bytes);
}

struct row {
	enum to to;
	const char *bytes, *want; /* want: a prefix */
};

static void check(const struct row *rows, size_t n)
{
	char out[2048];
	bool bad = false;

	for (size_t i = 0; i < n; i++) {
		outcome(rows[i].to, rows[i].bytes, out, sizeof(out));
		if (strncmp(out, rows[i].want, strlen(rows[i].want)) == 0)
			continue;
		print_error("row %zu: %s\n  want %s\n  got  %s\n", i, rows[i].bytes, rows[i].want,
			    out);
		bad = true;
	}
	assert_false(bad);
}

#define HOST "Host: api.test\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define NAMED(host) "GET /pub/a HTTP/1.1\r\nHost:" host "\r\n\r\n"
#define FIELD(f) "GET /pub/a HTTP/1.1\r\n" HOST f "\r\n\r\n"
#define POST(f) "POST /pub/a HTTP/1.1\r\n" HOST f "\r\n\r\n"
#define OK "GET https://api.test/pub/a"
#define HTTP_OK "GET http://api.test/pub/a"
#define CTL "400 bad_request: a header field's value holds a control byte"

/* Names: one name, whoever says it. */
static void test_names(void **state)
{
	static const struct row rows[] = {
		{ TLS, NAMED(" api.test"), OK },
		/* fronting: Host is another than SNI and record */
		{ TLS, NAMED(" evil.test"), "421 host_mismatch" },
		{ TLS, NAMED(" api.test.evil.test"), "421 host_mismatch" },
		{ TLS, NAMED(" evil.api.test"), "421 host_mismatch" },
		{ TLS, NAMED(" api.tes"), "421 host_mismatch" },
		{ CLEAR, NAMED(" evil.test"), "421 host_mismatch" },
		{ INSIDE, NAMED(" evil.test"), "421 host_mismatch" },
		/* no SNI, an address for a name */
		{ NO_SNI, NAMED(" api.test"), "421 host_mismatch" },
		{ NO_SNI, NAMED(" 198.51.100.7"), "403 no_rule" },
		{ TLS, NAMED(" 198.51.100.7"), "421 host_mismatch" },
		{ ADDRESS, NAMED(" 198.51.100.7"), "GET http://198.51.100.7/pub/a" },
		{ ADDRESS, NAMED(" 198.51.100.8"), "421 host_mismatch" },
		{ ADDRESS, NAMED(" [::ffff:198.51.100.7]"), "GET http://[::ffff:198.51.100.7]" },
		{ ADDRESS6, NAMED(" [2001:db8::7]"), "GET http://[2001:db8::7]/pub/a" },
		{ ADDRESS6, NAMED(" [2001:DB8:0::0007]"), "GET http://[2001:DB8:0::0007]/pub/a" },
		{ ADDRESS6, NAMED(" [2001:db8::8]"), "421 host_mismatch" },
		/* spellings of an address that some resolver takes */
		{ ADDRESS, NAMED(" 0xc6336407"), "400 bad_name" },
		{ ADDRESS, NAMED(" 0306.063.0144.07"), "400 bad_name" },
		{ ADDRESS, NAMED(" 3325256711"), "400 bad_name" },
		{ ADDRESS, NAMED(" 198.51.25607"), "400 bad_name" },
		{ ADDRESS, NAMED(" 198.51.100.7."), "400 bad_name" },
		{ ADDRESS, NAMED(" 198.51.100.007"), "400 bad_name" },
		{ ADDRESS6, NAMED(" [2001:db8::7%25eth0]"), "400 bad_name" },
		{ ADDRESS6, NAMED(" 2001:db8::7"), "400 bad_name" },
		{ ADDRESS6, NAMED(" [2001:db8::7"), "400 bad_name" },
		{ ADDRESS6, NAMED(" [2001:db8::7]x"), "400 bad_name" },
		/* case, dot, port */
		{ TLS, NAMED(" API.Test"), OK },
		{ TLS, NAMED(" api.test."), OK },
		{ TLS, NAMED(" api.test.."), "400 bad_name" },
		{ TLS, NAMED(" api.test:443"), "GET https://api.test:443/pub/a" },
		{ TLS, NAMED(" api.test:80"), "421 host_mismatch: Host names port 80" },
		{ TLS, NAMED(" api.test:0443"), "400 bad_name" },
		{ TLS, NAMED(" api.test:+443"), "400 bad_name" },
		{ TLS, NAMED(" api.test:65979"), "400 bad_name" },
		{ TLS, NAMED(" api.test:"), "400 bad_name" },
		{ TLS, NAMED(" api.test:443:80"), "400 bad_name" },
		{ ODD_PORT, NAMED(" api.test"), "403 no_rule" },
		/* other bytes in it */
		{ TLS, NAMED(" evil.test" NUL ".api.test"), CTL },
		{ TLS, NAMED(" api.test%00.evil.test"), "400 bad_name" },
		{ TLS, NAMED(" api%2etest"), "400 bad_name" },
		{ TLS, NAMED(" api.test@evil.test"), "400 bad_name" },
		{ TLS, NAMED(" evil.test@api.test"), "400 bad_name" },
		{ TLS, NAMED(" api.test/evil"), "400 bad_name" },
		{ TLS, NAMED(" api.test?"), "400 bad_name" },
		{ TLS, NAMED(" api.test#"), "400 bad_name" },
		{ TLS, NAMED(" api.test\\.evil.test"), "400 bad_name" },
		{ TLS, NAMED(" api.test,evil.test"), "400 bad_name" },
		{ TLS, NAMED(" api.test evil.test"), "400 bad_name" },
		{ TLS, NAMED(" api.test\tevil.test"), "400 bad_name" },
		{ TLS, NAMED(" \"api.test\""), "400 bad_name" },
		{ TLS, NAMED(" *.test"), "400 bad_name" },
		{ TLS, NAMED(" \xef\xbd\x81pi.test"), OK }, /* a fullwidth a: the same name */
		{ TLS, NAMED(" xn--api.test"), "400 bad_name" },
		/* none, several */
		{ TLS, NAMED(""), "400 bad_request: there is no Host" },
		{ TLS, "GET /pub/a HTTP/1.1\r\n\r\n", "400 bad_request: there is no Host" },
		{ TLS, "GET /pub/a HTTP/1.0\r\n\r\n", "400 bad_request: there is no Host" },
		{ TLS, FIELD("Host: api.test"), "400 bad_request: there are several Host" },
		{ TLS, FIELD("Host: evil.test"), "400 bad_request: there are several Host" },
		{ TLS, FIELD("HOST: evil.test"), "400 bad_request: there are several Host" },
		{ TLS, FIELD("Host : evil.test"), "400 bad_request: there is a blank before" },
		{ TLS, "GET /pub/a HTTP/1.1\r\nHost: api.test\r\n evil.test\r\n\r\n",
		  "400 bad_request: a header field is folded" },
		{ TLS, "GET /pub/a HTTP/1.1\r\n Host: evil.test\r\nHost: api.test\r\n\r\n",
		  "400 bad_request: a header field is folded" },
	};

	check(rows, ARRAY_SIZE(rows));
}

#define ABSOLUTE(url, host) "GET " url " HTTP/1.1\r\nHost: " host "\r\n\r\n"
#define AS_PROXY "400 bad_target: the target is an absolute URL of another host"

static void test_absolute(void **state)
{
	static const struct row rows[] = {
		/* the very host of the connection: no more than a path */
		{ TLS, ABSOLUTE("https://api.test/pub/a", "api.test"), OK },
		{ TLS, ABSOLUTE("HTTPS://API.test:443/pub/a", "api.test"), OK },
		{ INSIDE, ABSOLUTE("https://api.test/pub/a", "api.test"), OK },
		{ CLEAR, ABSOLUTE("http://api.test/pub/a", "api.test"), HTTP_OK },
		{ CLEAR, ABSOLUTE("http://api.test/pub/a", "api.test:80"),
		  "GET http://api.test:80/pub/a" },
		{ ADDRESS, ABSOLUTE("http://198.51.100.7/pub/a", "198.51.100.7"),
		  "GET http://198.51.100.7/pub/a" },
		/* inside TLS nothing else */
		{ TLS, ABSOLUTE("http://api.test/pub/a", "api.test"), AS_PROXY },
		{ TLS, ABSOLUTE("https://api.test:8443/pub/a", "api.test"), AS_PROXY },
		{ TLS, ABSOLUTE("https://evil.test/pub/a", "api.test"), AS_PROXY },
		{ TLS, ABSOLUTE("https://evil.test/pub/a", "evil.test"), AS_PROXY },
		{ TLS, ABSOLUTE("https://api.test/pub/a", "evil.test"), AS_PROXY },
		{ INSIDE, ABSOLUTE("http://api.test/pub/a", "api.test"), AS_PROXY },
		/* as a proxy: the URL speaks, Host must agree */
		{ CLEAR, ABSOLUTE("http://evil.test/pub/a", "evil.test"), "403 no_rule" },
		{ CLEAR, ABSOLUTE("http://api.test/pub/a", "evil.test"),
		  "421 host_mismatch: Host is not the target's" },
		{ CLEAR, ABSOLUTE("http://evil.test/pub/a", "api.test"),
		  "421 host_mismatch: Host is not the target's" },
		{ CLEAR, ABSOLUTE("http://api.test:8080/pub/a", "api.test"),
		  "421 host_mismatch: Host is not the target's" },
		{ CLEAR, ABSOLUTE("https://api.test/pub/a", "api.test"),
		  "400 bad_target: the target's scheme is not http" },
		{ CLEAR, ABSOLUTE("ftp://api.test/pub/a", "api.test"),
		  "400 bad_target: the target's scheme is not http" },
		{ CLEAR, ABSOLUTE("http://user:secret@api.test/pub/a", "api.test"),
		  "400 bad_name" },
		{ CLEAR, ABSOLUTE("http://api.test/../pub/a", "api.test"), "400 bad_target" },
		{ CLEAR, ABSOLUTE("http://api.test?x", "api.test"), "400 bad_request" },
		{ CLEAR, ABSOLUTE("http://api.test\\@evil.test/", "api.test"), "400 bad_request" },
		{ CLEAR, ABSOLUTE("//evil.test/pub/a", "api.test"),
		  "400 bad_target: an empty segment" },
		{ CLEAR, ABSOLUTE("api.test/pub/a", "api.test"), "400 bad_request" },
		{ CLEAR, ABSOLUTE("http:/pub/a", "api.test"), "400 bad_request" },
		/* RFC 9112 3.2.4: for the whole server */
		{ CLEAR, "OPTIONS http://api.test HTTP/1.1\r\n" HOST "\r\n",
		  "400 bad_target: the target is *" },
		{ TLS, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "400 bad_target: the target is *" },
		{ CLEAR, "OPTIONS http://api.test/pub/a HTTP/1.1\r\n" HOST "\r\n",
		  "OPTIONS http://api.test/pub/a" },
	};

	check(rows, ARRAY_SIZE(rows));
}

#define SLASH "400 bad_target: an encoded slash or backslash (%2F, %5C), which"
#define DOTS "400 bad_target: a dot segment (..)"
#define DOUBLE "400 bad_target: a double encoding"
#define SEMICOLON "400 bad_target: a semicolon"
#define CONTROL "400 bad_target: an encoded control character"
#define OVERLONG "400 bad_target: an overlong encoding"

static void test_targets(void **state)
{
	static const struct row rows[] = {
		{ TLS, GET("/pub/%61?b=%61"), "GET https://api.test/pub/a?b=%61" },
		{ TLS, GET("/pub/./a"), OK },
		{ TLS, GET("/%70ub/a"), OK },
		{ TLS, GET("/pub/%c3%a9"), "GET https://api.test/pub/%C3%A9" },
		{ TLS, GET("/pub/a|b<c>"), "GET https://api.test/pub/a%7Cb%3Cc%3E" },
		{ TLS, GET("/PUB/a"), "403 no_rule" },
		/* dots */
		{ TLS, GET("/pub/../admin"), DOTS },
		{ TLS, GET("/pub/.."), DOTS },
		{ TLS, GET("/pub/%2e%2e/admin"), DOTS },
		{ TLS, GET("/pub/.%2e/admin"), DOTS },
		{ TLS, GET("/pub/%2E./admin"), DOTS },
		{ TLS, GET("/pub/%2e/a"), "400 bad_target: a dot segment (.)" },
		{ TLS, GET("/pub/."), "400 bad_target: a dot segment (.)" },
		{ TLS, GET("/pub/.../a"), "GET https://api.test/pub/.../a" },
		/* slashes */
		{ TLS, GET("/pub//admin"), "400 bad_target: an empty segment (//)" },
		{ TLS, GET("//pub/a"), "400 bad_target: an empty segment (//)" },
		{ TLS, GET("/pub/.//admin"), "400 bad_target: an empty segment (//)" },
		{ TLS, GET("/pub%2fa"), SLASH },
		{ TLS, GET("/pub/..%2Fadmin"), SLASH },
		{ TLS, GET("/pub%5c..%5cadmin"), SLASH },
		{ TLS, GET("/pub\\..\\admin"), "400 bad_target: a backslash" },
		/* twice encoded */
		{ TLS, GET("/pub/%252e%252e/admin"), DOUBLE },
		{ TLS, GET("/pub/%25%32%65%25%32%65/admin"), DOUBLE },
		{ TLS, GET("/pub/%25252e/admin"), DOUBLE },
		{ TLS, GET("/pub%252fadmin"), DOUBLE },
		{ TLS, GET("/pub/100%25"), "GET https://api.test/pub/100%25" },
		{ TLS, GET("/pub/%2%35e"), "400 bad_target: a % without" },
		/* overlong UTF-8, IIS's own escapes */
		{ TLS, GET("/pub/%c0%ae%c0%ae/admin"), OVERLONG },
		{ TLS, GET("/pub/..%c0%afadmin"), OVERLONG },
		{ TLS, GET("/pub/%c1%9cadmin"), OVERLONG },
		{ TLS, GET("/pub/%e0%80%afadmin"), OVERLONG },
		{ TLS, GET("/pub/%f0%80%80%afadmin"), OVERLONG },
		{ TLS, GET("/pub/%e0%a4%85"), "GET https://api.test/pub/%E0%A4%85" },
		{ TLS, GET("/pub/%u002e%u002e/admin"), "400 bad_target: a % without" },
		/* parameters */
		{ TLS, GET("/pub;/../admin"), SEMICOLON },
		{ TLS, GET("/pub/..;/admin"), SEMICOLON },
		{ TLS, GET("/pub/a;jsessionid=1"), SEMICOLON },
		{ TLS, GET("/pub/a%3b/b"), "400 bad_target: an encoded semicolon" },
		/* ends of strings */
		{ TLS, GET("/pub/a%00.html"), CONTROL },
		{ TLS, GET("/pub/a%0d%0aX:%20y"), CONTROL },
		{ TLS, GET("/pub/a%7f"), CONTROL },
		{ TLS, GET("/pub/a?x=%00"), "400 bad_target: an encoded NUL in the query" },
		{ TLS, GET("/pub/a#/admin"), "400 bad_target: a fragment" },
		{ TLS, GET("/pub/a?x#y"), "400 bad_target: a fragment" },
		{ TLS, GET("/pub/a%"), "400 bad_target: a % without" },
		{ TLS, GET("/pub/a%4"), "400 bad_target: a % without" },
		{ TLS, GET("/pub/\xc3\xa9"), "400 bad_request: the target holds a byte" },
		{ TLS, GET("/pub/a" NUL "b"), "400 bad_request: the target holds a byte" },
		{ TLS, GET("/pub/a b"), "400 bad_request: the first line" },
		{ TLS, GET("/pub/a\tb"), "400 bad_request: the target holds a byte" },
	};

	check(rows, ARRAY_SIZE(rows));
}

#define OVERRIDE(what) "403 override: " what

static void test_overrides(void **state)
{
	static const struct row rows[] = {
		{ TLS, POST("X-HTTP-Method-Override: DELETE"),
		  OVERRIDE("x-http-method-override asks the origin for DELETE /pub/a, which no "
			   "rule allows: leave the field out") },
		{ TLS, POST("X-HTTP-Method: PUT"), OVERRIDE("x-http-method asks") },
		{ TLS, POST("X-Method-Override: delete"), OVERRIDE("x-method-override asks") },
		{ TLS, POST("X_HTTP_Method_Override: DELETE"), OVERRIDE("x-http-method-override") },
		{ TLS, POST("X-HTTP-Method-Override: GET\r\nX-HTTP-Method-Override: DELETE"),
		  OVERRIDE("x-http-method-override asks the origin for DELETE") },
		{ TLS, FIELD("X-HTTP-Method-Override: DELETE"), OVERRIDE("") },
		{ TLS, POST("X-HTTP-Method-Override: nonsense, DELETE"), OVERRIDE("") },
		{ TLS, "POST /pub/a?x=1&_method=DELETE HTTP/1.1\r\n" HOST "\r\n",
		  OVERRIDE("_method asks the origin for DELETE") },
		{ TLS, "POST /pub/a?%5fmethod=%44ELETE HTTP/1.1\r\n" HOST "\r\n",
		  OVERRIDE("_method asks the origin for DELETE") },
		{ TLS, "POST /pub/a?x;_method=DELETE HTTP/1.1\r\n" HOST "\r\n",
		  OVERRIDE("_method asks the origin for DELETE") },
		{ TLS, FIELD("X-Original-URL: /admin"),
		  OVERRIDE("x-original-url asks the origin for GET /admin") },
		{ TLS, FIELD("X-Rewrite-URL: /admin"), OVERRIDE("x-rewrite-url asks") },
		{ TLS, FIELD("X_Original_Url: /admin"), OVERRIDE("x-original-url asks") },
		{ TLS, FIELD("X-Original-URL: /pub/../admin"),
		  "400 override: x-original-url cannot be judged: a dot segment" },
		{ TLS, FIELD("X-Original-URL: http://api.test/admin"),
		  "400 override: x-original-url cannot be judged: it does not begin" },
		{ TLS, FIELD("X-Original-URL:"), "400 override" },
		/* each alone would do, both together would not */
		{ TLS, POST("X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /pub/mine/1"),
		  OVERRIDE("x-http-method-override asks the origin for DELETE /pub/a") },
		{ TLS,
		  "POST /pub/mine/1 HTTP/1.1\r\n" HOST
		  "X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /pub/a\r\n\r\n",
		  OVERRIDE("x-http-method-override asks the origin for DELETE /pub/a") },
		/* allowed, as the rules allow the other request too */
		{ TLS,
		  "POST /pub/mine/1 HTTP/1.1\r\n" HOST "X-HTTP-Method-Override: DELETE\r\n\r\n",
		  "POST https://api.test/pub/mine/1" },
		{ TLS, POST("X-HTTP-Method-Override: post"), "POST https://api.test/pub/a" },
		{ TLS, POST("X-HTTP-Method-Override: GET"), "POST https://api.test/pub/a" },
		{ TLS, FIELD("X-Original-URL: /pub/%61"), OK },
		{ TLS, FIELD("X-Original-URL: /pub/b?c"), OK },
		{ TLS, "GET /pub/a?_method=DELETE HTTP/1.1\r\n" HOST "\r\n", OK },
		{ TLS_ANY,
		  "POST / HTTP/1.1\r\nHost: any.test\r\nX-HTTP-Method-Override: BREW\r\n\r\n",
		  "POST https://any.test/" },
		{ TLS_ANY, "GET / HTTP/1.1\r\nHost: any.test\r\nX-Original-URL: /secret/x\r\n\r\n",
		  OVERRIDE("x-original-url asks the origin for GET /secret/x, which is denied by "
			   "rule not") },
		/* bounded */
		{ TLS,
		  POST("X-HTTP-Method: GET\r\nX-HTTP-Method: OPTIONS\r\nX-HTTP-Method: "
		       "GET\r\nX-HTTP-Method: GET"),
		  "400 override: too many fields" },
		/* where policy says no anyway, that is what is said */
		{ TLS, "DELETE /pub/a HTTP/1.1\r\n" HOST "X-HTTP-Method-Override: GET\r\n\r\n",
		  "403 no_rule: by policy" },
	};

	check(rows, ARRAY_SIZE(rows));
}

#define LENGTH "Content-Length: 3"

static void test_fields(void **state)
{
	static const struct row rows[] = {
		{ TLS, FIELD("Connection: close, X-A"), OK },
		{ TLS, FIELD("Connection: Authorization"),
		  "400 bad_request: Connection names Authorization" },
		{ TLS, FIELD("Connection: host"), "400 bad_request: Connection names host" },
		{ TLS, FIELD("Connection: close\r\nConnection: x,, cookie"),
		  "400 bad_request: Connection names cookie" },
		{ TLS, POST("Connection: content-length\r\n" LENGTH),
		  "400 bad_request: Connection names content-length" },
		{ TLS, FIELD("Content_Length: 3"), "400 bad_request: a field frames the body" },
		{ TLS, FIELD("Transfer_Encoding: chunked"),
		  "400 bad_request: a field frames the body" },
		{ TLS, FIELD("X_Other: chunked"), OK },
		{ TLS, POST("Expect: 100-continue\r\n" LENGTH), "POST https" },
		{ TLS, POST("Expect: 100-Continue\r\n" LENGTH), "POST https" },
		{ TLS, POST("Expect: y 100-continue\r\n" LENGTH), "417 bad_request: Expect" },
		{ TLS, POST("Expect: 100-continue, x\r\n" LENGTH), "417 bad_request: Expect" },
		{ TLS, POST("Expect:\r\n" LENGTH), "417 bad_request: Expect" },
		{ TLS, POST("Expect: 100-continue\r\nExpect: 100-continue\r\n" LENGTH),
		  "417 bad_request: Expect" },
		{ TLS, "TRACE /pub/a HTTP/1.1\r\n" HOST "\r\n", "403 bad_request: TRACE" },
		{ TLS, FIELD("Connection: upgrade\r\nUpgrade: foo"), "403 upgrade" },
		{ TLS, FIELD("Upgrade: h2c, foo"), "403 upgrade" },
		{ TLS, FIELD("Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c"), OK },
		{ TLS, FIELD("Early-Data: 1"), OK },
		{ TLS, "OPTIONS /pub/a HTTP/1.1\r\n" HOST "Max-Forwards: 0\r\n\r\n",
		  "400 bad_request: Max-Forwards: 0" },
		{ TLS, "OPTIONS /pub/a HTTP/1.1\r\n" HOST "Max-Forwards: x\r\n\r\n",
		  "400 bad_request: Max-Forwards is" },
		{ TLS, FIELD("Max-Forwards: 0"), OK },
	};

	check(rows, ARRAY_SIZE(rows));
}

/* Every refusal of a target says what to do, not only what is wrong. */
static void test_advice(void **state)
{
	static const char *const targets[] = {
		"/a%2fb", "/a%5cb",  "/a;b",   "/a%3bb", "/a\\b",
		"/a//b",  "/a/../b", "/%252e", "/a#b",	 "/%c0%af",
	};
	const char *why;
	struct target t;
	struct buf to;

	buf_init(&to, 1024);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		assert_int_equal(target_canonical(str_of(targets[i]), &to, &t, &why), -EINVAL);
		assert_true(strlen(why) < 200);
		if (!strstr(why, ": "))
			fail_msg("%s: %s", targets[i], why);
	}
	buf_done(&to);
}

static int setup(void **state)
{
	struct source s = { SOURCE_POLICY, STR("p.json"), str_of(policy_text) };

	limits_init(&px.limits);
	if (policy_compile(&s, 1, 0, &compiled) < 0) {
		print_error("%.*s\n", STR_ARG(buf_str(&compiled.errors.text)));
		return -1;
	}
	px.npolicies = 1;
	return policy_open(compiled.policies[0], &px.policies[0]);
}

static int teardown(void **state)
{
	compiled_done(&compiled);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	cmocka_unit_test(test_absolute),
		cmocka_unit_test(test_targets), cmocka_unit_test(test_overrides),
		cmocka_unit_test(test_fields),	cmocka_unit_test(test_advice),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
