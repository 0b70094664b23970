/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of HTTP/1: what is one message, what is refused, and that both are so wherever the
 * bytes are cut. Each case is fed whole and byte by byte; the two must say the same.
 */
#include "unit/http/h1_text.h"

#include "http/fields.h"
#include "http/h1_write.h"

#define H "Host: a\r\n"
#define BARE "!a line ends without CR LF"
#define NAME "!a header field's name is not a token"
#define FOLD "!a header field is folded over lines"
#define CTL "!a header field's value holds a control byte"
#define CL "!Content-Length is not one number"
#define TE "!Transfer-Encoding is not chunked alone"
#define FIRST "!the first line is not a request's"
#define VERSION "!only HTTP/1.0 and HTTP/1.1 are spoken"
#define SIZE "!a chunk's size is not a number"
#define CHUNKED "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_SEEN "POST /{host=a,transfer-encoding=chunked}"

static void test_requests(void **state)
{
	static const struct row rows[] = {
		{ "GET /a HTTP/1.1\r\n" H "\r\n", "GET /a{host=a}." },
		{ "\r\nGET /a HTTP/1.1\r\n" H "\r\n", "GET /a{host=a}." },
		{ "GET /a HTTP/1.1\r\nHOST:  a \t\r\nX-Empty:\r\n\r\n",
		  "GET /a{host=a,x-empty=}." },
		{ "GET / HTTP/1.0\r\n\r\n", "GET /{}." },
		{ "GET / HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
		  "GET /{host=a}.GET /2{host=a}." },
		{ "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n" H
		  "\r\n",
		  "POST /{host=a,content-length=3}abc.GET /2{host=a}." },
		{ "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "POST /{content-length=0}." },
		{ CHUNKED "3\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n",
		  CHUNKED_SEEN "abc0123456789." },
		{ CHUNKED "3;x=\"y\"\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
		  CHUNKED_SEEN "abc[x-sum=1]." },
		{ "CONNECT a:443 HTTP/1.1\r\n" H "\r\n", "CONNECT a:443{host=a}." },
		{ "GET http://a/b?c HTTP/1.1\r\n" H "\r\n", "GET /b?c{host=a}." },
		{ "GET http://a HTTP/1.1\r\n" H "\r\n", "GET /{host=a}." },
		{ "OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS *{host=a}." },
		{ "", "" },
	};

	check(true, false, rows, ARRAY_SIZE(rows));
}

/* Every way known to us of making two readers see different messages. */
static void test_smuggling(void **state)
{
	static const struct row rows[] = {
		/* line ends */
		{ "GET / HTTP/1.1\n" H "\r\n", BARE },
		{ "GET / HTTP/1.1\r\nHost: a\n\r\n", BARE },
		{ "GET / HTTP/1.1\r\nHost: a\n\n", BARE },
		{ "GET / HTTP/1.1\r\n" H "\n", BARE },
		{ "\nGET / HTTP/1.1\r\n" H "\r\n", BARE },
		{ "GET / HTTP/1.1\r\nX: a\rHost: b\r\n\r\n", CTL },
		{ "GET / HTTP/1.1\r\r\n" H "\r\n", "!the first line is not HTTP's" },
		{ "GET / HTTP/1.1\r\n" H "\r\r\n\r\n", NAME },
		{ "\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", "!there is no first line" },
		/* folding, blanks, tokens */
		{ "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", FOLD },
		{ "GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n", FOLD },
		{ "GET / HTTP/1.1\r\n Host: a\r\n\r\n", FOLD },
		{ "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
		  "!there is a blank before a header field's colon" },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding\t: chunked\r\n\r\n",
		  "!there is a blank before a header field's colon" },
		{ "GET / HTTP/1.1\r\n: a\r\n\r\n", NAME },
		{ "GET / HTTP/1.1\r\nHost\r\n\r\n", NAME },
		{ "GET / HTTP/1.1\r\nX\x0b: a\r\n\r\n", NAME },
		{ "GET / HTTP/1.1\r\nX(y): a\r\n\r\n", NAME },
		{ "GET / HTTP/1.1\r\nX: a\x01\r\n\r\n", CTL },
		{ "GET / HTTP/1.1\r\nX: a\x7f\r\n\r\n", CTL },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: \x0b"
		  "chunked\r\n\r\n",
		  CTL },
		/* Content-Length */
		{ "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", CL },
		{ "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", CL },
		{ "POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\na", CL },
		{ "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na", CL },
		{ "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\na", CL },
		{ "POST / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\na", CL },
		{ "POST / HTTP/1.1\r\nContent-Length: 1 1\r\n\r\na", CL },
		{ "POST / HTTP/1.1\r\nContent-Length:\r\n\r\na", CL },
		{ "POST / HTTP/1.1\r\nContent-Length: 1a\r\n\r\na", CL },
		{ "POST / HTTP/1.1\r\nContent-Length: 18446744073709551617\r\n\r\na", CL },
		{ "POST / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\na", CL },
		/* Transfer-Encoding */
		{ "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n0\r\n\r\n",
		  "!there are both Content-Length and Transfer-Encoding" },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: "
		  "4\r\n\r\n0\r\n\r\n",
		  "!there are both Content-Length and Transfer-Encoding" },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", TE },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", TE },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", TE },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n", TE },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", TE },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: ,chunked\r\n\r\n", TE },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", TE },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", TE },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n", TE },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
		  "identity\r\n\r\n",
		  TE },
		{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		  "!there is Transfer-Encoding in HTTP/1.0" },
		/* chunks */
		{ CHUNKED "\r\nabc", CHUNKED_SEEN SIZE },
		{ CHUNKED "0x3\r\nabc\r\n", CHUNKED_SEEN SIZE },
		{ CHUNKED "+3\r\nabc\r\n", CHUNKED_SEEN SIZE },
		{ CHUNKED " 3\r\nabc\r\n", CHUNKED_SEEN SIZE },
		{ CHUNKED "3 \r\nabc\r\n", CHUNKED_SEEN SIZE },
		{ CHUNKED "3\nabc\r\n", CHUNKED_SEEN SIZE },
		{ CHUNKED "3\rXabc\r\n", CHUNKED_SEEN "!a chunk's size does not end in CR LF" },
		{ CHUNKED "3\r\nabcX\r\n", CHUNKED_SEEN "abc!a chunk does not end in CR LF" },
		{ CHUNKED "3\r\nabc\n0\r\n\r\n", CHUNKED_SEEN "abc!a chunk does not end in CR LF" },
		{ CHUNKED "3\r\nabc\rX", CHUNKED_SEEN "abc!a chunk does not end in CR LF" },
		{ CHUNKED "ffffffffffffffff\r\n", CHUNKED_SEEN "!a chunk is too large" },
		{ CHUNKED "00000000000000000003\r\nabc\r\n", CHUNKED_SEEN "!a chunk is too large" },
		{ CHUNKED "3;\nabc\r\n", CHUNKED_SEEN "!a chunk's extension holds a control byte" },
		{ CHUNKED "3;aaaaaaaaaaaaaaaaaaaaaaaa\r\nabc",
		  CHUNKED_SEEN "!a chunk's extension is too long" },
		{ CHUNKED "0\r\nX: a\r\n b\r\n\r\n", CHUNKED_SEEN FOLD },
		{ CHUNKED "0\r\nX : a\r\n\r\n",
		  CHUNKED_SEEN "!there is a blank before a header field's colon" },
		{ CHUNKED "0\r\n\n", CHUNKED_SEEN BARE },
		{ CHUNKED "5\r\nabc", CHUNKED_SEEN "" },
		/* the first line */
		{ "GET  / HTTP/1.1\r\n\r\n", FIRST },
		{ " GET / HTTP/1.1\r\n\r\n", FIRST },
		{ "GET\t/ HTTP/1.1\r\n\r\n", "!the method is not a token" },
		{ "GET /\r\n\r\n", FIRST },
		{ "GET / HTTP/1.1 \r\n\r\n", "!the first line is not HTTP's" },
		{ "GET / x HTTP/1.1\r\n\r\n", "!the first line is not HTTP's" },
		{ "GET / http/1.1\r\n\r\n", "!the first line is not HTTP's" },
		{ "GET / HTTP/1.2\r\n\r\n", VERSION },
		{ "GET / HTTP/2.0\r\n\r\n", VERSION },
		{ "GET / HTTP/0.9\r\n\r\n", VERSION },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION },
		{ "GET / HTTP/11\r\n\r\n", "!the first line is not HTTP's" },
		{ "get / HTTP/1.1\r\n\r\n", "!the method is not known" },
		{ "FROB / HTTP/1.1\r\n\r\n", "!the method is not known" },
		{ "DESCRIBE / HTTP/1.1\r\n\r\n", "!the header section can be read in two ways" },
		{ "G(T / HTTP/1.1\r\n\r\n", "!the method is not a token" },
		{ "GET a HTTP/1.1\r\n\r\n", "!the target is neither a path nor an absolute URL" },
		{ "GET * HTTP/1.1\r\n\r\n", "!the target is neither a path nor an absolute URL" },
		{ "GET /\x7f HTTP/1.1\r\n\r\n",
		  "!the target holds a byte that is not printable ASCII" },
		{ "GET /\xc3\xa4 HTTP/1.1\r\n\r\n",
		  "!the target holds a byte that is not printable ASCII" },
		{ "GET http://a?b HTTP/1.1\r\n\r\n",
		  "!the target is an absolute URL without a path" },
		{ "GET http:///b HTTP/1.1\r\n\r\n",
		  "!the target is an absolute URL without a path" },
		/* cut off */
		{ "GET / HT", "!it ends inside its head" },
		{ "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
		  "POST /{content-length=3}!it ends inside its body" },
	};
	struct row copy[ARRAY_SIZE(rows)];

	memcpy(copy, rows, sizeof(rows));
	for (size_t i = 0; i < ARRAY_SIZE(copy); i++) {
		if (strcmp(copy[i].want, CHUNKED_SEEN) == 0)
			copy[i].want = CHUNKED_SEEN "abc!it ends inside its body";
	}
	check(true, false, copy, ARRAY_SIZE(copy));
}

static void test_nul(void **state)
{
	static const char head[] = "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
			  name[] = "GET / HTTP/1.1\r\nX\0: b\r\n\r\n",
			  target[] = "GET /\0 HTTP/1.1\r\n\r\n";
	char out[4096];

	read_all(true, false, head, sizeof(head) - 1, sizeof(head), out);
	assert_string_equal(out, CTL);
	read_all(true, false, name, sizeof(name) - 1, 1, out);
	assert_string_equal(out, NAME);
	read_all(true, false, target, sizeof(target) - 1, 1, out);
	assert_string_equal(out, "!the target holds a byte that is not printable ASCII");
}

static void test_limits(void **state)
{
	static char in[20000], out[65536];
	char *p = in;

	p += print(p, "GET /");
	memset(p, 'a', 255);
	p += 255;
	copy(p, " HTTP/1.1\r\n\r\n");
	read_all(true, false, in, strlen(in), strlen(in), out);
	assert_null(strchr(out, '!'));
	copy(p, "a HTTP/1.1\r\n\r\n");
	read_all(true, false, in, strlen(in), 1, out);
	assert_string_equal(out, "!the target is too long");
	memset(in + 5, 'a', 5000); /* no line end at all */
	read_all(true, false, in, 5000, 1, out);
	assert_string_equal(out, "!the target is too long");

	for (int n = 10; n <= 11; n++) {
		p = in + print(in, "GET / HTTP/1.1\r\n");
		for (int i = 0; i < n; i++)
			p += print(p, "x%d: y\r\n", i);
		copy(p, "\r\n");
		read_all(true, false, in, strlen(in), 7, out);
		if (n == 10)
			assert_null(strchr(out, '!'));
		else
			assert_string_equal(out, "!there are too many header fields");
	}
	for (size_t n = 4096; n <= 4097; n++) {
		p = in + print(in, "GET / HTTP/1.1\r\nx: ");
		memset(p, 'v', n);
		copy(in + n - 4, "\r\n\r\n");
		read_all(true, false, in, strlen(in), strlen(in), out);
		if (n == 4096)
			assert_null(strchr(out, '!'));
		else
			assert_string_equal(out, "!the header section is too large");
	}
}

static void test_responses(void **state)
{
	static const struct row rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "200{content-length=2}ab." },
		{ "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200{content-length=0}." },
		{ "HTTP/1.1 200 \r\n\r\nrest until the end", "200{}rest until the end." },
		{ "HTTP/1.0 200 OK\r\n\r\nrest", "200{}rest." },
		{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", "100{}.204{}." },
		{ "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", "304{content-length=5}." },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nE: "
		  "f\r\n\r\n",
		  "200{transfer-encoding=Chunked}a[e=f]." },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
		  "!there are both Content-Length and Transfer-Encoding" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", TE },
		{ "HTTP/1.1 2000 OK\r\n\r\n", "!the first line is not an answer's" },
		{ "HTTP/1.1 20 OK\r\n\r\n", "!the first line is not an answer's" },
		{ "HTTP/1.1 099 OK\r\n\r\n", "!the status is out of range" },
		{ "HTTP/1.1 600 OK\r\n\r\n", "!the status is out of range" },
		{ "HTTP/1.1 2x0 OK\r\n\r\n", "!the status is not a number" },
		{ "HTTP/1.1 200 O\x1b[31mK\r\n\r\n", "!the reason phrase holds a control byte" },
		{ "HTTP/2 200 OK\r\n\r\n", "!the first line is not an answer's" },
		{ "ICY 200 OK\r\n\r\n", "!the first line is not an answer's" },
		{ "HTTP/1.1 200 OK\nX: y\n\n", BARE },
		{ "\r\nHTTP/1.1 200 OK\r\n\r\n", "!there is no first line" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
		  "200{content-length=5}ab!it ends inside its body" },
	};
	static const struct row head[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200{content-length=5}." },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "200{transfer-encoding=chunked}." },
		{ "HTTP/1.1 200 OK\r\n\r\n", "200{}." },
	};

	check(false, false, rows, ARRAY_SIZE(rows));
	check(false, true, head, ARRAY_SIZE(head));
}

static struct h1 parsed(struct arena *a, const char *bytes)
{
	struct h1 h;
	size_t used;

	h1_init(&h, true, &limits);
	assert_int_equal(h1_next(&h, a, bytes, strlen(bytes), false, &used), H1_HEAD);
	return h;
}

static void test_write(void **state)
{
	struct h1_out o = { .body = BODY_CHUNKED };
	struct arena a;
	struct buf b;
	struct h1 h;

	arena_init(&a, 1 << 20);
	buf_init(&b, 65536);
	h = parsed(
		&a,
		"POST /x HTTP/1.1\r\nHost: old\r\nConnection: X-Drop, keep-alive, authoritative\r\n"
		"X-Drop: 1\r\nX-Keep: 2\r\nKeep-Alive: 5\r\nProxy-Authorization: y\r\nTE: "
		"trailers\r\n"
		"Upgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n");
	/* What the proxy adds cannot be named away by the client. */
	head_add(&h.head, &a, STR("authoritative"), STR("ours"));
	assert_int_equal(h1_write_request(&b, &h.head, STR("/y?z"), STR("new"), &o), 0);
	assert_int_equal(buf_add(&b, "", 1), 0);
	assert_string_equal(
		b.p, "POST /y?z HTTP/1.1\r\nHost: new\r\nX-Keep: 2\r\nauthoritative: ours\r\n"
		     "Transfer-Encoding: chunked\r\n\r\n");
	b.n = 0;
	assert_int_equal(h1_write_chunk(&b, STR("0123456789abcdefg")), 0);
	assert_int_equal(
		h1_write_end(&b,
			     (struct field[]){ { STR("x-sum"), STR("1"), STR("X-Sum") },
					       { STR("content-length"), STR("1"), STR("") },
					       { STR("proxy-authorization"), STR("1"), STR("") } },
			     3),
		0);
	assert_int_equal(buf_add(&b, "", 1), 0);
	assert_string_equal(b.p, "11\r\n0123456789abcdefg\r\n0\r\nX-Sum: 1\r\n\r\n");
	buf_done(&b);
	arena_done(&a);
}

static void test_connection(void **state)
{
	static const struct {
		const char *value;
		bool ok;
	} rows[] = {
		{ "close", true },
		{ "keep-alive, Upgrade, HTTP2-Settings", true },
		{ "X-Custom", true },
		{ "authorization", false },
		{ "close, Authorization", false },
		{ "Host", false },
		{ "content-length", false },
		{ "Transfer-Encoding", false },
		{ "accept-encoding", false },
		{ "close,,range", false },
	};
	struct arena a;
	struct str bad;

	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char in[256];

		struct h1 h;

		snprintf(in, sizeof(in), "GET / HTTP/1.1\r\nConnection: %s\r\n\r\n", rows[i].value);
		h = parsed(&a, in);
		assert_int_equal(fields_connection_ok(&h.head, &bad), rows[i].ok);
	}
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),   cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_nul),	   cmocka_unit_test(test_limits),
		cmocka_unit_test(test_responses),  cmocka_unit_test(test_write),
		cmocka_unit_test(test_connection),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
