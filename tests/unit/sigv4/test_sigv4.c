/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signature Version 4 by what AWS published of it: its test suite (aws_suite.def), the examples of
 * S3's own rules, and the signed streams with and without trailers. And what clients write in
 * Authorization, well formed or not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <errno.h>

#include "sigv4/chunked.h"

#define SUITE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define S3_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define S3_SCOPE STR("20130524/us-east-1/s3")
#define S3_TIME "20130524T000000Z"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct vector {
	const char *name, *request, *canonical, *string, *authorization;
};
static const struct vector suite[] = {
#define VECTOR(name, req, creq, sts, authz) { name, req, creq, sts, authz },
#include "aws_suite.def"
#undef VECTOR
};

static struct str lower(struct arena *a, struct str s)
{
	struct str r = arena_str(a, s);

	for (size_t i = 0; i < r.n; i++)
		if (r.p[i] >= 'A' && r.p[i] <= 'Z')
			((char *)r.p)[i] |= 0x20;
	return r;
}

/* A request as the suite writes it: a start line, fields (folded ones are several values, as the
 * suite's canonical form has them), an empty line, the body. */
static void read_request(const char *text, struct arena *a, struct sigv4_request *r,
			 struct str *ret_body, char digest[SIGV4_HEX + 1])
{
	struct field *f = arena_new(a, 32 * sizeof(*f));
	const char *at = text, *end = strchr(text, '\n');
	struct str target;
	const char *q;

	memset(r, 0, sizeof(*r));
	r->method = (struct str){ text, strcspn(text, " ") };
	target = (struct str){ text + r->method.n + 1, 0 };
	/* The target may hold a blank; the version ends the line. */
	target.n = (size_t)(strstr(text, " HTTP/1.1") - target.p);
	q = memchr(target.p, '?', target.n);
	r->path = (struct str){ target.p, q ? (size_t)(q - target.p) : target.n };
	r->query = q ? (struct str){ q + 1, (size_t)(target.p + target.n - q - 1) } : STR("");
	*ret_body = STR("");
	for (at = end + 1; *at;) {
		size_t n = strcspn(at, "\n");
		const char *colon = memchr(at, ':', n);

		if (!n) {
			*ret_body = str_of(at + 1);
			break;
		}
		if (*at == ' ') {
			f[r->n].name = f[r->n - 1].name;
			f[r->n++].value = (struct str){ at, n };
		} else {
			f[r->n].name = lower(a, (struct str){ at, (size_t)(colon - at) });
			f[r->n++].value = (struct str){ colon + 1, n - (size_t)(colon + 1 - at) };
		}
		at += n + (at[n] == '\n');
	}
	r->fields = f;
	assert_int_equal(sigv4_hash(*ret_body, digest), 0);
	r->payload = (struct str){ digest, SIGV4_HEX };
}

static void test_suite(void **state)
{
	struct str scope = STR("20150830/us-east-1/service");
	uint8_t key[SIGV4_KEY];

	assert_int_equal(sigv4_key(STR(SUITE_SECRET), scope, key), 0);
	for (size_t i = 0; i < ARRAY_SIZE(suite); i++) {
		char digest[SIGV4_HEX + 1], signature[SIGV4_HEX + 1], said[SIGV4_HEX + 1];
		struct sigv4_request r;
		struct buf text, auth;
		struct str body;
		struct arena a;

		arena_init(&a, 1 << 20);
		buf_init(&text, 1 << 16);
		buf_init(&auth, 1 << 12);
		read_request(suite[i].request, &a, &r, &body, digest);
		assert_int_equal(sigv4_canonical(&r, &text), 0);
		if (!str_is(buf_str(&text), suite[i].canonical))
			fail_msg("%s:\n%.*s\nwant:\n%s", suite[i].name, STR_ARG(buf_str(&text)),
				 suite[i].canonical);
		/* The string to sign ends in the hash of it. */
		assert_int_equal(sigv4_hash(buf_str(&text), said), 0);
		assert_string_equal(said, suite[i].string + strlen(suite[i].string) - SIGV4_HEX);
		assert_int_equal(sigv4_sign(&r, key, "20150830T123600Z", scope, signature), 0);
		assert_int_equal(
			sigv4_authorization(&r, STR("AKIDEXAMPLE"), scope, signature, &auth), 0);
		if (!str_is(buf_str(&auth), suite[i].authorization))
			fail_msg("%s: %.*s", suite[i].name, STR_ARG(buf_str(&auth)));
		buf_done(&text);
		buf_done(&auth);
		arena_done(&a);
	}
}

/* S3's documentation, "Examples: Signature Calculations". */
static void test_s3(void **state)
{
	static const struct {
		const char *method, *path, *query, *fields, *payload, *signature;
	} cases[] = {
		{ "GET", "/test.txt", "", "range:bytes=0-9", EMPTY,
		  "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
		{ "PUT", "/test%24file.text", "",
		  "date:Fri, 24 May 2013 00:00:00 GMT|x-amz-storage-class:REDUCED_REDUNDANCY",
		  "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
		  "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
		/* As a client may write it, the same. */
		{ "PUT", "/test$file.text", "",
		  "date:Fri, 24 May 2013 00:00:00 GMT|x-amz-storage-class:REDUCED_REDUNDANCY",
		  "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
		  "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
		{ "GET", "/", "lifecycle", "", EMPTY,
		  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
		{ "GET", "/", "max-keys=2&prefix=J", "", EMPTY,
		  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
		{ "GET", "/", "prefix=%4a&max-keys=2", "", EMPTY,
		  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
	};
	uint8_t key[SIGV4_KEY];

	assert_int_equal(sigv4_key(STR(S3_SECRET), S3_SCOPE, key), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct field f[8] = {
			{ .name = STR("host"), .value = STR("examplebucket.s3.amazonaws.com") },
			{ .name = STR("x-amz-date"), .value = STR(S3_TIME) },
			{ .name = STR("x-amz-content-sha256"), .value = str_of(cases[i].payload) }
		};
		struct sigv4_request r = { .method = str_of(cases[i].method),
					   .path = str_of(cases[i].path),
					   .query = str_of(cases[i].query),
					   .fields = f,
					   .n = 3,
					   .payload = str_of(cases[i].payload),
					   .s3 = true };
		char signature[SIGV4_HEX + 1];

		for (const char *p = cases[i].fields; *p;) {
			size_t n = strcspn(p, "|"), name = strcspn(p, ":");

			f[r.n].name = (struct str){ p, name };
			f[r.n++].value = (struct str){ p + name + 1, n - name - 1 };
			p += n + (p[n] == '|');
		}
		assert_int_equal(sigv4_sign(&r, key, S3_TIME, S3_SCOPE, signature), 0);
		assert_string_equal(signature, cases[i].signature);
	}
}

/* S3 takes a key as it is: neither dots nor doubled slashes fall out. */
static void test_paths(void **state)
{
	static const struct {
		const char *path;
		bool s3;
		const char *canonical;
	} cases[] = {
		{ "/a//b/../c", true, "/a//b/../c" },
		{ "/a//b/../c", false, "/a/c" },
		{ "/a%20b", true, "/a%20b" },
		{ "/a%20b", false, "/a%2520b" },
		{ "/a+b,c=d", true, "/a%2Bb%2Cc%3Dd" },
		{ "/%e2%82%ac", true, "/%E2%82%AC" },
		{ "/%zz", true, "/%25zz" },
		{ "/../..", false, "/" },
		{ "/..//a/", false, "/a/" },
		{ "", false, "/" },
		{ "/a/..", false, "/" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sigv4_request r = { .method = STR("GET"),
					   .path = str_of(cases[i].path),
					   .payload = STR("x"),
					   .s3 = cases[i].s3 };
		struct buf b;
		char want[128];

		buf_init(&b, 4096);
		snprintf(want, sizeof(want), "GET\n%s\n\n\n\nx", cases[i].canonical);
		assert_int_equal(sigv4_canonical(&r, &b), 0);
		if (!str_is(buf_str(&b), want))
			fail_msg("%s: %.*s", cases[i].path, STR_ARG(buf_str(&b)));
		buf_done(&b);
	}
}

static void test_bounds(void **state)
{
	struct field *f = calloc(SIGV4_FIELDS_MAX + 1, sizeof(*f));
	char query[2 * SIGV4_QUERY_MAX + 4];
	struct sigv4_request r = { .method = STR("GET"), .path = STR("/"), .fields = f };
	char signature[SIGV4_HEX + 1];
	uint8_t key[SIGV4_KEY] = { 0 };

	for (size_t i = 0; i <= SIGV4_FIELDS_MAX; i++)
		f[i] = (struct field){ .name = STR("a"), .value = STR("b") };
	r.n = SIGV4_FIELDS_MAX + 1;
	assert_int_equal(sigv4_sign(&r, key, S3_TIME, S3_SCOPE, signature), -E2BIG);
	r.n = SIGV4_FIELDS_MAX;
	assert_int_equal(sigv4_sign(&r, key, S3_TIME, S3_SCOPE, signature), 0);
	for (size_t i = 0; i < sizeof(query); i++)
		query[i] = i & 1 ? '&' : 'a';
	r.query = (struct str){ query, 2 * SIGV4_QUERY_MAX };
	assert_int_equal(sigv4_sign(&r, key, S3_TIME, S3_SCOPE, signature), 0);
	r.query.n = 2 * SIGV4_QUERY_MAX + 1;
	assert_int_equal(sigv4_sign(&r, key, S3_TIME, S3_SCOPE, signature), -E2BIG);
	free(f);
}

static void test_scope(void **state)
{
	static const char *const bad[] = { "",
					   "20130524/us-east-1",
					   "20130524/us-east-1/s3/aws4_request",
					   "2013052/us-east-1/s3",
					   "2013052x/us-east-1/s3",
					   "20130524//s3",
					   "20130524/us east/s3",
					   "20130524/us-east-1/s3\n" };
	uint8_t key[SIGV4_KEY];
	struct sigv4_scope s;
	char long_secret[300];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(sigv4_scope_parse(str_of(bad[i]), &s), -EINVAL);
		assert_int_equal(sigv4_key(STR("secret"), str_of(bad[i]), key), -EINVAL);
	}
	assert_int_equal(sigv4_scope_parse(STR("20130524/eu-west-1/s3"), &s), 0);
	assert_true(str_is(s.date, "20130524") && str_is(s.region, "eu-west-1") &&
		    str_is(s.service, "s3"));
	memset(long_secret, 'a', sizeof(long_secret));
	assert_int_equal(sigv4_key((struct str){ long_secret, sizeof(long_secret) }, S3_SCOPE, key),
			 -EINVAL);
	assert_int_equal(sigv4_key(STR(""), S3_SCOPE, key), -EINVAL);
}

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_read(void **state)
{
	static const char *const good[] = {
		"AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, "
		"SignedHeaders=host;x-amz-date, Signature=" A64,
		"AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request,"
		"SignedHeaders=host,Signature=" A64,
		"AWS4-HMAC-SHA256  Credential=AK/20130524/us-east-1/s3/aws4_request,   "
		"SignedHeaders=host,   Signature=" A64,
	};
	static const char *const bad[] = {
		"",
		"Bearer x",
		"AWS AKID:c2ln",
		"AWS4-HMAC-SHA256",
		"AWS4-ECDSA-P256-SHA256 Credential=AK/20130524/s3/aws4_request, "
		"SignedHeaders=host, Signature=" A64,
		"AWS4-HMAC-SHA256 Credential=/20130524/us-east-1/s3/aws4_request, "
		"SignedHeaders=host, Signature=" A64,
		"AWS4-HMAC-SHA256 Credential=AK/aws4_request, SignedHeaders=host, Signature=" A64,
		"AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3, SignedHeaders=host, "
		"Signature=" A64,
		"AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, "
		"SignedHeaders=host, Signature=short",
		"AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, "
		"SignedHeaders=host, Signature=" A64 ", Signature=" A64,
		"AWS4-HMAC-SHA256 SignedHeaders=host, Signature=" A64,
	};
	struct sigv4_said said;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(sigv4_read(str_of(good[i]), &said), 0);
		assert_true(str_is(said.access_key, "AK"));
		assert_true(str_is(said.scope, "20130524/us-east-1/s3"));
		assert_true(str_is(said.parts.region, "us-east-1"));
		assert_true(str_is(said.signature, A64));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(sigv4_read(str_of(bad[i]), &said), -EINVAL);
}

/* ---- signed streams ---- */

/* The documents' example: 65 KiB of 'a' as one chunk of 64 KiB, one of 1 KiB and the end. */
static void stream(struct buf *to, const char *s1, const char *s2, const char *s3,
		   const char *trailer)
{
	char *a = malloc(65536);

	memset(a, 'a', 65536);
	buf_init(to, 1 << 20);
	assert_int_equal(buf_addf(to, "10000;chunk-signature=%s\r\n", s1), 0);
	assert_int_equal(buf_add(to, a, 65536), 0);
	assert_int_equal(buf_addf(to, "\r\n400;chunk-signature=%s\r\n", s2), 0);
	assert_int_equal(buf_add(to, a, 1024), 0);
	assert_int_equal(buf_addf(to, "\r\n0;chunk-signature=%s\r\n", s3), 0);
	if (trailer)
		assert_int_equal(buf_addf(to,
					  "x-amz-checksum-crc32c:sOO8/Q==\r\n"
					  "x-amz-trailer-signature:%s\r\n",
					  trailer),
				 0);
	assert_int_equal(buf_add(to, "\r\n", 2), 0);
	free(a);
}

static void resigned(bool trailer, const char *seed, const char *const sig[4], size_t step)
{
	struct buf in, want, out;
	struct sigv4_chunked c;
	uint8_t key[SIGV4_KEY];

	assert_int_equal(sigv4_key(STR(S3_SECRET), S3_SCOPE, key), 0);
	stream(&in, A64, A64, A64, trailer ? A64 : NULL);
	stream(&want, sig[0], sig[1], sig[2], trailer ? sig[3] : NULL);
	buf_init(&out, 1 << 20);
	sigv4_chunked_init(&c, trailer, S3_TIME, S3_SCOPE, seed);
	for (size_t at = 0; at < in.n; at += step) {
		struct str part = { in.p + at, in.n - at < step ? in.n - at : step };

		assert_false(sigv4_chunked_ended(&c));
		assert_int_equal(sigv4_chunked_feed(&c, key, part, &out), 0);
	}
	assert_true(sigv4_chunked_ended(&c));
	assert_int_equal(out.n, in.n);
	assert_memory_equal(out.p, want.p, want.n);
	sigv4_chunked_done(&c);
	buf_done(&in);
	buf_done(&want);
	buf_done(&out);
}

static void test_streams(void **state)
{
	static const char *const plain[4] = {
		"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
		"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
	};
	static const char *const trailer[4] = {
		"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
		"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
		"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
		"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435",
	};
	static const size_t steps[] = { 1, 7, 4096, 65537, 1 << 20 };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		resigned(false, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
			 plain, steps[i]);
		resigned(true, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
			 trailer, steps[i]);
	}
}

static void test_bad_streams(void **state)
{
	static const struct {
		bool trailer;
		const char *bytes;
	} cases[] = {
		{ false, "1;chunk-signature=" A64 "\r\nab\r\n" },
		{ false, "1;chunk-signature=" A64 "\r\na\n\r" },
		{ false, "1\r\na\r\n" },
		{ false, "1;chunk-signature=short\r\na\r\n" },
		{ false, "1;other=" A64 "\r\na\r\n" },
		{ false, ";chunk-signature=" A64 "\r\n" },
		{ false, "x;chunk-signature=" A64 "\r\n" },
		{ false, "fffffff;chunk-signature=" A64 "\r\n" },
		{ false, "000000001;chunk-signature=" A64 "\r\na\r\n" },
		{ false, "1;chunk-signature=" A64 "\na\r\n" },
		{ false, "0;chunk-signature=" A64 "\r\nx-amz-checksum-crc32c:a\r\n\r\n" },
		{ false, "0;chunk-signature=" A64 "\r\n\r\nmore" },
		{ true, "0;chunk-signature=" A64 "\r\n\r\n" },
		{ true, "0;chunk-signature=" A64 "\r\nx-amz-trailer-signature:short\r\n\r\n" },
		{ true, "0;chunk-signature=" A64 "\r\nnothing\r\n\r\n" },
		{ true,
		  "0;chunk-signature=" A64 "\r\nx-amz-trailer-signature:" A64 "\r\nx:y\r\n\r\n" },
		{ false, "1234567890123456789012345678901234567890123456789012345678901234567890123"
			 "45678901"
			 "23456789012345678901234567890123456789012345678901234567890" },
	};
	uint8_t key[SIGV4_KEY] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sigv4_chunked c;
		struct buf out;

		buf_init(&out, 1 << 16);
		sigv4_chunked_init(&c, cases[i].trailer, S3_TIME, S3_SCOPE, A64);
		if (sigv4_chunked_feed(&c, key, str_of(cases[i].bytes), &out) != -EBADMSG)
			fail_msg("case %zu passes", i);
		assert_non_null(c.why);
		sigv4_chunked_done(&c);
		buf_done(&out);
	}
}

static void test_time(void **state)
{
	char t[SIGV4_TIME + 1];

	sigv4_time(1369353600000000ull, t);
	assert_string_equal(t, S3_TIME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suite),	cmocka_unit_test(test_s3),
		cmocka_unit_test(test_paths),	cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_scope),	cmocka_unit_test(test_read),
		cmocka_unit_test(test_streams), cmocka_unit_test(test_bad_streams),
		cmocka_unit_test(test_time),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
