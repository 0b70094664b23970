/* SPDX-License-Identifier: Apache-2.0 */
/* OAuth 2.0: requests as the RFCs' own examples have them, and what is made of answers. */
#include "unit/provider/asked.h"

#include "provider/oauth2.h"
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#define URN "urn%3Aietf%3Aparams%3Aoauth%3A"

static const struct oauth2_ends ends = { .token = { "https://server.example.com/token", 32 },
					 .revoke = { "https://server.example.com/revoke", 33 },
					 .audience = { "https://server.example.com/token", 32 } };

static void body_is(const struct http_ask *ask, const char *want)
{
	assert_int_equal(ask->body.n, strlen(want));
	assert_memory_equal(ask->body.p, want, ask->body.n);
}

/* RFC 6749 4.4.2, with the client of 2.3.1 (and of 4.1.3). */
static void test_client_credentials(void **state)
{
	struct http_ask ask;
	struct question q;

	ASKED(&q, MSG_PROVIDE, "oauth2", "grant=client_credentials", "client_id=s6BhdRkqt3",
	      "!client_secret=7Fjfp0ZBr1KtDRbnfVdmIw\n");
	assert_int_equal(oauth2_ask_token(&q, &ends, &ask), 0);
	assert_string_equal(ask.method, "POST");
	assert_string_equal(ask.url.p, "https://server.example.com/token");
	assert_string_equal(ask.headers[0], "Content-Type: application/x-www-form-urlencoded");
	assert_string_equal(ask.headers[2],
			    "Authorization: Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3");
	body_is(&ask, "grant_type=client_credentials");
	question_done(&q);

	/* 2.3.1: the other way, with what needs to be escaped. */
	ASKED(&q, MSG_PROVIDE, "oauth2", "grant=client_credentials", "client_id=s6BhdRkqt3",
	      "client_auth_method=post", "!client_secret=7Fjfp0Z Br1Kt&=+/%", "scope=read",
	      "scope=api:write");
	assert_int_equal(oauth2_ask_token(&q, &ends, &ask), 0);
	assert_null(ask.headers[2]);
	body_is(&ask, "grant_type=client_credentials&scope=read%20api%3Awrite&client_id=s6BhdRkqt3&"
		      "client_secret=7Fjfp0Z%20Br1Kt%26%3D%2B%2F%25");
	question_done(&q);

	/* Each half of Basic is escaped by itself: a colon in the id moves nothing. */
	ASKED(&q, MSG_PROVIDE, "oauth2", "grant=client_credentials", "client_id=a:b",
	      "client_auth_method=basic", "!client_secret=c:d");
	assert_int_equal(oauth2_ask_token(&q, &ends, &ask), 0);
	assert_string_equal(ask.headers[2], "Authorization: Basic YSUzQWI6YyUzQWQ=");
	question_done(&q);
}

/* RFC 8693 2.3, but for the order and for saying which type is wanted. */
static void test_token_exchange(void **state)
{
	struct http_ask ask;
	struct question q;

	ASKED(&q, MSG_PROVIDE, "oauth2", "grant=token-exchange", "client_id=rs08",
	      "!client_secret=long-secure-random-secret",
	      "resource=https://backend.example.com/api", "subject_token_type=access_token",
	      "token=accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC");
	assert_int_equal(oauth2_ask_token(&q, &ends, &ask), 0);
	assert_string_equal(ask.headers[2],
			    "Authorization: Basic cnMwODpsb25nLXNlY3VyZS1yYW5kb20tc2VjcmV0");
	body_is(&ask, "grant_type=" URN "grant-type%3Atoken-exchange&"
		      "resource=https%3A%2F%2Fbackend.example.com%2Fapi&"
		      "requested_token_type=" URN "token-type%3Aaccess_token&"
		      "subject_token=accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC&"
		      "subject_token_type=" URN "token-type%3Aaccess_token");
	question_done(&q);

	/* Appendix A.1.1's audience; no client, as Google's service for federation wants it. */
	ASKED(&q, MSG_PROVIDE, "oauth2", "grant=token-exchange",
	      "audience=urn:example:cooperation-context", "token=a.b.c\n");
	assert_int_equal(oauth2_ask_token(&q, &ends, &ask), 0);
	assert_null(ask.headers[2]);
	body_is(&ask, "grant_type=" URN "grant-type%3Atoken-exchange&"
		      "audience=urn%3Aexample%3Acooperation-context&"
		      "requested_token_type=" URN "token-type%3Aaccess_token&"
		      "subject_token=a.b.c&subject_token_type=" URN "token-type%3Ajwt");
	question_done(&q);

	ASKED(&q, MSG_PROVIDE, "oauth2", "grant=token-exchange");
	assert_int_equal(oauth2_ask_token(&q, &ends, &ask), -ENOKEY);
	assert_string_equal(q.why, "oauth2: the job has no ID token of its own: its hook gets one "
				   "where the credential says token_audience");
	question_done(&q);
}

/* RFC 7523 4, and 2.2 with the job's token as the client's. */
static void test_jwt_bearer(void **state)
{
	struct http_ask ask;
	struct question q;

	ASKED(&q, MSG_PROVIDE, "oauth2", "grant=jwt-bearer",
	      "token=eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJpc3Mi.J9l-ZhwP");
	assert_int_equal(oauth2_ask_token(&q, &ends, &ask), 0);
	body_is(&ask, "grant_type=" URN "grant-type%3Ajwt-bearer&"
		      "assertion=eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJpc3Mi.J9l-ZhwP");
	question_done(&q);

	ASKED(&q, MSG_PROVIDE, "oauth2", "grant=client_credentials", "client_id=app",
	      "client_auth_method=job-token", "scope=https://vault.azure.net/.default",
	      "token=a.b.c");
	assert_int_equal(oauth2_ask_token(&q, &ends, &ask), 0);
	body_is(&ask,
		"grant_type=client_credentials&scope=https%3A%2F%2Fvault.azure.net%2F.default&"
		"client_id=app&client_assertion_type=" URN
		"client-assertion-type%3Ajwt-bearer&client_assertion=a.b.c");
	question_done(&q);
}

/* RFC 7009 2.1, which hints at a refresh token: ours are access tokens. */
static void test_revoke(void **state)
{
	struct http_ask ask;
	struct question q;

	ASKED(&q, MSG_PROVIDER_REVOKE, "oauth2", "client_id=s6BhdRkqt3",
	      "!client_secret=gX1fBat3bV", "handle=45ghiukldjahdnhzdauz");
	assert_int_equal(oauth2_ask_revoke(&q, &ends, &ask), 0);
	assert_string_equal(ask.url.p, "https://server.example.com/revoke");
	assert_string_equal(ask.headers[2], "Authorization: Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW");
	body_is(&ask, "token=45ghiukldjahdnhzdauz&token_type_hint=access_token");
	question_done(&q);
}

/* ---- private_key_jwt: RFC 7523 3, checked with OpenSSL alone ---- */

static struct str part(struct str *left, char end)
{
	const char *at = memchr(left->p, end, left->n);
	struct str s = { left->p, at ? (size_t)(at - left->p) : left->n };
	size_t used = s.n + (at != NULL);

	*left = (struct str){ left->p + used, left->n - used };
	return s;
}

static size_t decode(struct str s, unsigned char *to)
{
	char text[4096];
	size_t n = s.n;
	int got;

	for (size_t i = 0; i < n; i++)
		text[i] = s.p[i] == '-' ? '+' : s.p[i] == '_' ? '/' : s.p[i];
	while (n % 4)
		text[n++] = '=';
	got = EVP_DecodeBlock(to, (const unsigned char *)text, (int)n);
	assert_true(got > 0);
	to[(size_t)got - (n - s.n)] = 0;
	return (size_t)got - (n - s.n);
}

static void new_key(const char *type, char *pem, size_t size)
{
	EVP_PKEY *key = !strcmp(type, "RSA") ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
					     : EVP_PKEY_Q_keygen(NULL, NULL, "EC", type);
	BIO *out = BIO_new(BIO_s_mem());
	int n;

	assert_int_equal(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_read(out, pem, (int)size - 1);
	assert_true(n > 0);
	pem[n] = 0;
	BIO_free(out);
	EVP_PKEY_free(key);
}

static bool verifies(const char *pem, struct str text, const unsigned char *sig, size_t n, bool ec)
{
	BIO *in = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char der[128];
	bool good;

	BIO_free(in);
	if (ec) { /* r and s as they stand, 32 bytes each */
		unsigned char *to = der;
		ECDSA_SIG *s = ECDSA_SIG_new();

		assert_int_equal(n, 64);
		ECDSA_SIG_set0(s, BN_bin2bn(sig, 32, NULL), BN_bin2bn(sig + 32, 32, NULL));
		n = (size_t)i2d_ECDSA_SIG(s, &to);
		ECDSA_SIG_free(s);
		sig = der;
	}
	good = EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
	       EVP_DigestVerify(md, sig, n, (const unsigned char *)text.p, text.n) == 1;
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
	return good;
}

static void signs(const char *type, const char *alg)
{
	static char pem[8192], line[8300];
	unsigned char head[1024], claims[1024], sig[1024];
	struct http_ask ask;
	struct str left, text, one;
	struct question q;
	char want[512];
	size_t n;

	new_key(type, pem, sizeof(pem));
	snprintf(line, sizeof(line), "!client_key=%s", pem);
	ASKED(&q, MSG_PROVIDE, "oauth2", "grant=client_credentials", "client_id=we \"are\"",
	      "client_auth_method=private_key_jwt", "client_key_id=k1", line);
	if (oauth2_ask_token(&q, &ends, &ask) < 0)
		fail_msg("%s: %s", type, q.why);
	left = ask.body;
	one = part(&left, '&');
	assert_true(str_is(one, "grant_type=client_credentials"));
	one = part(&left, '&');
	assert_true(str_is(one, "client_id=we%20%22are%22"));
	one = part(&left, '&');
	assert_true(str_is(one, "client_assertion_type=" URN "client-assertion-type%3Ajwt-bearer"));
	assert_true(str_starts(left, "client_assertion="));
	left = (struct str){ left.p + 17, left.n - 17 };
	text = left;
	decode(part(&left, '.'), head);
	snprintf(want, sizeof(want), "\"alg\":\"%s\"", alg);
	assert_non_null(strstr((char *)head, want));
	assert_non_null(strstr((char *)head, "\"kid\":\"k1\""));
	decode(part(&left, '.'), claims);
	assert_true(str_starts(str_of((char *)claims),
			       "{\"iss\":\"we \\\"are\\\"\",\"sub\":\"we \\\"are\\\"\","
			       "\"aud\":\"https://server.example.com/token\",\"jti\":\""));
	assert_non_null(strstr((char *)claims, "\",\"iat\":1700000000,\"exp\":1700000120}"));
	text.n = (size_t)(left.p - text.p) - 1;
	n = decode(left, sig);
	assert_true(verifies(pem, text, sig, n, strcmp(type, "RSA") != 0));
	sig[5] ^= 1;
	assert_false(verifies(pem, text, sig, n, strcmp(type, "RSA") != 0));
	question_done(&q);
}

static void test_private_key_jwt(void **state)
{
	static char pem[8192], line[8300];
	struct http_ask ask;
	struct question q;

	signs("RSA", "RS256");
	signs("P-256", "ES256");

	new_key("P-384", pem, sizeof(pem));
	snprintf(line, sizeof(line), "!client_key=%s", pem);
	ASKED(&q, MSG_PROVIDE, "oauth2", "grant=client_credentials", "client_id=c",
	      "client_auth_method=private_key_jwt", line);
	assert_int_equal(oauth2_ask_token(&q, &ends, &ask), -EINVAL);
	assert_string_equal(q.why, "oauth2: client_key: the key is neither RSA of 2048 to 8192 "
				   "bits nor P-256");
	question_done(&q);
	ASKED(&q, MSG_PROVIDE, "oauth2", "grant=client_credentials", "client_id=c",
	      "client_auth_method=private_key_jwt", "!client_key=hello there");
	assert_int_equal(oauth2_ask_token(&q, &ends, &ask), -EINVAL);
	assert_string_equal(q.why, "oauth2: client_key: the key is not a private key in PEM "
				   "without a passphrase");
	question_done(&q);
}

/* ---- answers ---- */

struct row {
	const char *body, *ttl;
	long status;
	int r;
	const char *want; /* "VALUE EXPIRES-NOW", or the sentence */
};
#define OK_HEAD "{\"access_token\":\"2YotnFZFEjr1zCsicMWpAA\",\"token_type\":\"example\","
static const struct row rows[] = {
	/* RFC 6750 4, RFC 8693 2.3 */
	{ "{\"access_token\":\"mF_9.B5f-4.1JqM\",\"token_type\":\"Bearer\",\"expires_in\":3600,"
	  "\"refresh_token\":\"tGzv3JOkF0XG5Qx2TlKWIA\"}",
	  "ttl=0", 200, 0, "mF_9.B5f-4.1JqM 3600000" },
	{ "{\"access_token\":\"eyJhbGciOi\",\"issued_token_type\":"
	  "\"urn:ietf:params:oauth:token-type:access_token\",\"token_type\":\"bearer\","
	  "\"expires_in\":60}",
	  "ttl=30000", 200, 0, "eyJhbGciOi 30000" },
	{ "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":\"3599\"}", "ttl=0",
	  200, 0, "a 3599000" },
	{ "{\"access_token\":\"a\",\"token_type\":\"Bearer\"}", "ttl=60000", 200, 0, "a 60000" },
	{ "{\"access_token\":\"a\",\"token_type\":\"Bearer\"}", "ttl=0", 200, -EBADMSG,
	  "oauth2: server.example.com/token does not say when the token expires: give the "
	  "credential a ttl" },
	{ "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":-1}", "ttl=9", 200,
	  -EBADMSG, "oauth2: expires_in of server.example.com/token is not a number of seconds" },
	{ "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":true}", "ttl=9", 200,
	  -EBADMSG, "oauth2: expires_in of server.example.com/token is not a number of seconds" },
	/* Lies about its life: none, longer than anything, in another form. */
	{ "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":0}", "ttl=9", 200,
	  -EBADMSG, "oauth2: expires_in of server.example.com/token is not a number of seconds" },
	{ "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":9223372036854775}",
	  "ttl=9", 200, -EBADMSG,
	  "oauth2: expires_in of server.example.com/token is not a number of seconds" },
	{ "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":\"1 hour\"}", "ttl=9",
	  200, -EBADMSG,
	  "oauth2: expires_in of server.example.com/token is not a number of seconds" },
	/* It rotates a refresh token that nobody asked for: not used, not kept. */
	{ "{\"access_token\":\"b\",\"token_type\":\"Bearer\",\"expires_in\":60,"
	  "\"refresh_token\":\"next\",\"refresh_token_expires_in\":1}",
	  "ttl=0", 200, 0, "b 60000" },
	/* RFC 6749 5.1's own example is of a type that egret cannot show. */
	{ OK_HEAD "\"expires_in\":3600}", "ttl=0", 200, -EBADMSG,
	  "oauth2: the token of server.example.com/token is not of the type Bearer: egret could "
	  "not show it as it wants to be shown" },
	{ "{\"access_token\":\"a\",\"expires_in\":3600}", "ttl=0", 200, -EBADMSG,
	  "oauth2: the token of server.example.com/token is not of the type Bearer: egret could "
	  "not show it as it wants to be shown" },
	{ "{\"access_token\":\"a b\",\"token_type\":\"Bearer\",\"expires_in\":3600}", "ttl=0", 200,
	  -EBADMSG,
	  "oauth2: the answer of server.example.com/token has no access_token of at most 16 KiB "
	  "that could stand in a header" },
	{ "{\"access_token\":\"a\\r\\nX: y\",\"token_type\":\"Bearer\",\"expires_in\":1}", "ttl=0",
	  200, -EBADMSG,
	  "oauth2: the answer of server.example.com/token has no access_token of at most 16 KiB "
	  "that could stand in a header" },
	{ "[]", "ttl=0", 200, -EBADMSG,
	  "oauth2: the answer of server.example.com/token is not a JSON object" },
	{ "<html>", "ttl=0", 200, -EBADMSG,
	  "oauth2: the answer of server.example.com/token is not a JSON object" },
	/* RFC 6749 5.2 */
	{ "{\"error\":\"invalid_request\"}", "ttl=0", 400, -EACCES,
	  "oauth2: 400 at server.example.com/token: invalid_request" },
	{ "{\"error\":\"invalid_client\",\"error_description\":\"no\\u001b[31m such s3cr3t "
	  "client\"}",
	  "ttl=0", 401, -EACCES, "oauth2: 401 at server.example.com/token: invalid_client" },
	{ "{\"error\":\"invalid_client\",\"error_description\":\"is it s3cr3t or s3cr3t?\"}",
	  "ttl=0", 401, -EACCES,
	  "oauth2: 401 at server.example.com/token: invalid_client: is it *** or ***?" },
	{ "{\"error\":\"temporarily_unavailable\"}", "ttl=0", 400, -EAGAIN,
	  "oauth2: 400 at server.example.com/token: temporarily_unavailable" },
	{ "", "ttl=0", 503, -EAGAIN, "oauth2: 503 at server.example.com/token" },
	{ "", "ttl=0", 429, -EAGAIN, "oauth2: 429 at server.example.com/token" },
	{ "", "ttl=0", 302, -EACCES,
	  "oauth2: 302 at server.example.com/token, a redirect: these are not followed" },
};

static const struct node *json_of(struct question *q, const char *text)
{
	struct diag_file f = { STR("t"), str_of(text) };
	const struct node *root;
	struct diag d;

	diag_init(&d);
	root = json_load_loose(&q->arena, &f, &d);
	diag_done(&d);
	return root;
}

static void test_answers(void **state)
{
	const struct http_ask ask = { .at = "server.example.com/token" };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct http_answer got = { .status = rows[i].status, .body = str_of(rows[i].body) };
		struct answer a = { 0 };
		struct question q;
		char seen[1024];
		int r;

		ASKED(&q, MSG_PROVIDE, "oauth2", rows[i].ttl, "!client_secret=s3cr3t");
		got.json = json_of(&q, rows[i].body);
		r = oauth2_answer(&q, &ask, &got, &a);
		snprintf(seen, sizeof(seen), "%s", q.why);
		if (r == 0)
			snprintf(seen, sizeof(seen), "%.*s %lld", STR_ARG(a.value),
				 (long long)(a.expires_ms - ASKED_NOW * 1000ll));
		if (r != rows[i].r || strcmp(seen, rows[i].want))
			fail_msg("%s\n  want %d %s\n  got  %d %s", rows[i].body, rows[i].r,
				 rows[i].want, r, seen);
		question_done(&q);
	}
}

/* RFC 8414 3.2's document, and what is not believed. */
static void test_metadata(void **state)
{
	static const struct {
		const char *document, *want; /* "TOKEN REVOKE", or the sentence */
		bool mtls;
	} docs[] = {
		{ "{\"issuer\":\"https://server.example.com\",\"authorization_endpoint\":"
		  "\"https://server.example.com/authorize\",\"token_endpoint\":"
		  "\"https://server.example.com/token\",\"jwks_uri\":"
		  "\"https://server.example.com/jwks.json\"}",
		  "https://server.example.com/token ", false },
		{ "{\"issuer\":\"https://server.example.com\",\"token_endpoint\":\"https://a/t\","
		  "\"revocation_endpoint\":\"https://a/r\",\"mtls_endpoint_aliases\":{"
		  "\"token_endpoint\":\"https://m/t\"}}",
		  "https://a/t https://a/r", false },
		{ "{\"issuer\":\"https://server.example.com\",\"token_endpoint\":\"https://a/t\","
		  "\"revocation_endpoint\":\"https://a/r\",\"mtls_endpoint_aliases\":{"
		  "\"token_endpoint\":\"https://m/t\"}}",
		  "https://m/t https://a/r", true },
		{ "{\"issuer\":\"https://server.example.com/\",\"token_endpoint\":\"https://a/t\"}",
		  "oauth2: the metadata of https://server.example.com names another issuer, "
		  "https://server.example.com/",
		  false },
		{ "{\"issuer\":\"https://server.example.com\",\"token_endpoint\":\"http://a/t\"}",
		  "oauth2: the issuer's metadata has no token_endpoint that is an https address",
		  false },
		{ "{\"issuer\":\"https://server.example.com\",\"token_endpoint\":\"https://u@a/"
		  "t\"}",
		  "oauth2: the issuer's metadata has no token_endpoint that is an https address",
		  false },
		{ "{\"issuer\":\"https://server.example.com\",\"token_endpoint\":\"https://a/t\","
		  "\"revocation_endpoint\":\"/r\"}",
		  "oauth2: the issuer's revocation_endpoint is no https address", false },
		{ "[1]", "oauth2: the issuer's metadata is not a JSON object with an issuer",
		  false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(docs); i++) {
		struct oauth2_ends e = { 0 };
		struct question q;
		char seen[1024];

		ASKED(&q, MSG_PROVIDE, "oauth2", "issuer=https://server.example.com");
		if (oauth2_metadata(&q, json_of(&q, docs[i].document), docs[i].mtls, &e) == 0)
			snprintf(seen, sizeof(seen), "%.*s %.*s", STR_ARG(e.token),
				 STR_ARG(e.revoke));
		else
			snprintf(seen, sizeof(seen), "%s", q.why);
		assert_string_equal(seen, docs[i].want);
		question_done(&q);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_credentials), cmocka_unit_test(test_token_exchange),
		cmocka_unit_test(test_jwt_bearer),	   cmocka_unit_test(test_revoke),
		cmocka_unit_test(test_private_key_jwt),	   cmocka_unit_test(test_answers),
		cmocka_unit_test(test_metadata),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
