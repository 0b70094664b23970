/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of AWS signed anew, and the placeholder keys they are signed with before: a published
 * vector through resign_put, what a job signs with keys that are good for nothing, and what is
 * refused because it is signed in another way, for another place, or asks for keys.
 */
#include "session_rig.h"

#include "base/secret.h"
#include "proxy/exchange.h"
#include "sigv4/sigv4.h"

static const char policy_text[] = "{ \"name\": \"p\", \"rules\": [ { \"id\": \"aws\", \"allow\": "
				  "\"ANY https://**.amazonaws.com/**\", \"credential\": \"role\" "
				  "} ] }";
#define HOST "s3.eu-west-1.amazonaws.com"
#define CREDENTIAL                                                                              \
	"{ \"name\": \"role\", \"provider\": \"aws\", \"role_arn\": "                           \
	"\"arn:aws:iam::1:role/ci\", \"region\": \"eu-west-1\", \"for\": \"any\", \"hosts\": [" \
	"\"**.amazonaws.com\"], \"inject\": { \"sigv4\": true } }"
#define OWN(region, service)                                             \
	"\r\nAuthorization: AWS4-HMAC-SHA256 "                           \
	"Credential=EGRET0PLACEHOLDER000/20261122/" region "/" service   \
	"/aws4_request, SignedHeaders=host;x-amz-date, Signature=" EMPTY \
	"\r\nX-Amz-Date: 20261122T000000Z"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int up(void **state)
{
	rig_up_with(policy_text, CREDENTIAL);
	rig.secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
	return 0;
}

static int down(void **state)
{
	return rig_down();
}

/* ---- the vector ---- */

struct vector {
	const char *name, *request, *canonical, *string, *authorization;
};
static const struct vector suite[] = {
#define VECTOR(name, req, creq, sts, authz) { name, req, creq, sts, authz },
#include "unit/sigv4/aws_suite.def"
#undef VECTOR
};

/* Of the published suite the one with a session token, which resign.c always signs. */
static void test_vector(void **state)
{
	static const char token_at[] = "X-Amz-Security-Token:";
	const struct vector *v = suite;
	const struct field *f;
	struct session s = { .px = &rig.px };
	struct head *h = &s.req.head;
	struct lease l = { 0 };
	struct str token;
	uint8_t key[SIGV4_KEY];

	while (strcmp(v->name, "post-sts-header-before"))
		assert_true(++v < suite + ARRAY_SIZE(suite));
	token = str_of(strstr(v->request, token_at) + sizeof(token_at) - 1);
	assert_int_equal(sigv4_key(STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
				   STR("20150830/us-east-1/service"), key),
			 0);
	assert_int_equal(secret_dup(key, sizeof(key), &l.value), 0);
	assert_int_equal(secret_dup("AKIDEXAMPLE", 11, &l.access_key), 0);
	assert_int_equal(secret_dup(token.p, token.n, &l.session), 0);
	arena_init(&s.arena, 1u << 20);
	copy(s.x.resign.service, "service");
	copy(s.x.resign.scope, "20150830/us-east-1/service");
	copy(s.x.resign.time, "20150830T123600Z");
	s.x.rq.host_n = (size_t)print(s.x.rq.host, "example.amazonaws.com");
	h->method = STR("POST");
	/* What the job signed with counts for nothing, and what it does not sign is not signed. */
	head_add(h, &s.arena, STR("authorization"), STR("AWS4-HMAC-SHA256 own"));
	head_add(h, &s.arena, STR("x-amz-date"), STR("20200101T000000Z"));
	head_add(h, &s.arena, STR("x-amz-security-token"), STR("own"));
	head_add(h, &s.arena, STR("user-agent"), STR("curl"));
	assert_int_equal(resign_put(&s, &l, STR("/")), 0);
	f = head_find(h, "authorization");
	assert_non_null(f);
	assert_int_equal(head_count(h, "authorization"), 1);
	assert_int_equal(f->value.n, strlen(v->authorization));
	assert_memory_equal(f->value.p, v->authorization, f->value.n);
	assert_true(str_eq(head_find(h, "x-amz-security-token")->value, token));
	resign_done(&s.x.resign);
	arena_done(&s.arena);
	secret_done(&l.value);
	secret_done(&l.access_key);
	secret_done(&l.session);
}

/* ---- whole requests ---- */

static char sent[65536], got[65536];

static void ask(const char *host, const char *request, const char *body)
{
	unsigned n = rig.dialled;
	char text[8192];

	sent[0] = 0;
	job_connects(true, host, 443);
	print(text, "%s\r\nHost: %s\r\n\r\n%s", request, host, body);
	say(rig.client, text);
	if (rig.dialled > n) {
		(void)snprintf(sent, sizeof(sent), "%s", hear(rig.origin[n]));
		say(rig.origin[n], "HTTP/1.1 204 No\r\nConnection: close\r\n\r\n");
		shutdown(rig.origin[n], SHUT_WR);
	}
	(void)snprintf(got, sizeof(got), "%s", hear(rig.client));
	job_leaves();
	if (rig.dialled == ARRAY_SIZE(rig.origin)) {
		for (unsigned i = 0; i < rig.dialled; i++)
			close(rig.origin[i]);
		rig.dialled = 0;
	}
}

static void has(const char *text, const char *want)
{
	if (strstr(text, want))
		return;
	print_error("got:  %s\nwant: %s\n", text, want);
	fail();
}

static void test_signed(void **state)
{
	char day[64], time[SIGV4_TIME + 1];

	sigv4_time(clock_wall_us(), time);
	print(day, "Credential=ASIARIG/%.8s/eu-west-1/s3/aws4_request", time);
	ask(HOST, "GET /b/k HTTP/1.1" OWN("eu-west-1", "s3"), "");
	has(sent, day);
	has(sent, "x-amz-security-token: rig-session\r\n");
	has(sent, "x-amz-content-sha256: " EMPTY "\r\n");
	has(sent, "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, ");
	assert_null(strstr(sent, "EGRET0PLACEHOLDER000"));
	assert_null(strstr(sent, "20261122T000000Z"));
	assert_null(strstr(sent, rig.secret));
	has(got, "HTTP/1.1 204 ");
	/* A body without a hash is read whole and hashed. */
	ask(HOST,
	    "PUT /b/k HTTP/1.1" OWN("eu-west-1", "s3") "\r\nX-Amz-Content-SHA256: "
						       "UNSIGNED-PAYLOAD\r\nContent-Length: 3",
	    "abc");
	has(sent, "UNSIGNED-PAYLOAD\r\n");
	ask(HOST, "PUT /b/k HTTP/1.1" OWN("eu-west-1", "s3") "\r\nContent-Length: 3", "abc");
	has(sent, "x-amz-content-sha256: "
		  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\r\n");
	/* What the job does not sign goes as it is: the origin answers it as an unknown's. */
	ask(HOST, "GET /b/k HTTP/1.1", "");
	assert_null(strcasestr(sent, "authorization"));
	has(got, "HTTP/1.1 204 ");
}

static void test_refused(void **state)
{
	static const struct {
		const char *host, *request, *body, *want;
	} rows[] = {
		{ HOST, "GET /b/k?X-Amz-Signature=0 HTTP/1.1", "", "presigned URL" },
		{ HOST, "GET /b/k?AWSAccessKeyId=0 HTTP/1.1", "", "presigned URL" },
		{ HOST, "GET /b/k?x%2Damz-signature=0 HTTP/1.1", "", "presigned URL" },
		{ HOST, "GET /b HTTP/1.1" OWN("eu-west-1", "s3") OWN("eu-west-1", "s3"), "",
		  "several Authorization fields" },
		{ HOST, "GET /b HTTP/1.1\r\nAuthorization: AWS4-ECDSA-P256-SHA256 x", "",
		  "SigV4A" },
		{ HOST, "GET /b HTTP/1.1\r\nAuthorization: AWS AKID:sig", "",
		  "not a well-formed AWS4-HMAC-SHA256" },
		{ HOST, "GET /b HTTP/1.1" OWN("us-east-1", "s3"), "",
		  "signs for no region us-east-1" },
		{ HOST, "GET /b?session HTTP/1.1" OWN("eu-west-1", "s3"), "",
		  "s3 would answer with keys" },
		{ "sts.eu-west-1.amazonaws.com",
		  "GET /?Action=AssumeRole HTTP/1.1" OWN("eu-west-1", "sts"), "",
		  "sts would answer with keys" },
		{ "sts.eu-west-1.amazonaws.com",
		  "POST / HTTP/1.1" OWN("eu-west-1", "sts") "\r\nContent-Length: 22",
		  "Action=GetSessionToken", "sts would answer with keys" },
		{ "sts.eu-west-1.amazonaws.com",
		  "POST / HTTP/1.1" OWN("eu-west-1", "sts") "\r\nContent-Length: 24",
		  "Action=Get%53essionToken", "sts would answer with keys" },
		{ "cognito-identity.eu-west-1.amazonaws.com",
		  "POST / HTTP/1.1" OWN(
			  "eu-west-1",
			  "cognito-identity") "\r\nX-Amz-Target: "
					      "AWSCognitoIdentityService."
					      "GetCredentialsForIdentity\r\nContent-Length: 0",
		  "", "cognito-identity would answer with keys" },
		{ HOST,
		  "PUT /b HTTP/1.1" OWN(
			  "eu-west-1",
			  "s3") "\r\nX-Amz-Content-SHA256: "
				"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD\r\nContent-Length: 0",
		  "", "in a way (X-Amz-Content-SHA256) that cannot be" },
		{ HOST,
		  "PUT /b HTTP/1.1" OWN(
			  "eu-west-1",
			  "s3") "\r\nX-Amz-Content-SHA256: "
				"STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\nTransfer-Encoding: chunked",
		  "0\r\n\r\n", "a signed stream needs a Content-Length" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ask(rows[i].host, rows[i].request, rows[i].body);
		if (sent[0])
			fail_msg("%s was sent: %s", rows[i].request, sent);
		has(got, rows[i].want);
	}
}

/* ---- the placeholder keys ---- */

static const char *asks_keys(const char *addr, uint16_t port, const char *request)
{
	static uint8_t real[16] = { [10] = 0xff, [11] = 0xff };
	struct origin o = { .port = port, .addr = real };
	unsigned a, b, c, d;

	assert_int_equal(sscanf(addr, "%u.%u.%u.%u", &a, &b, &c, &d), 4);
	real[12] = (uint8_t)a;
	real[13] = (uint8_t)b;
	real[14] = (uint8_t)c;
	real[15] = (uint8_t)d;
	memcpy(o.record.addr, real, sizeof(real));
	job_connects_as(false, &o);
	say(rig.client, request);
	(void)snprintf(got, sizeof(got), "%s", hear(rig.client));
	job_leaves();
	assert_int_equal(rig.dialled, 0);
	return got;
}

#define ASK(path) "GET " path " HTTP/1.1\r\nHost: 169.254.170.2\r\nConnection: close\r\n\r\n"

static void test_keys(void **state)
{
	has(asks_keys("169.254.170.2", 80, ASK(CREDENTIAL_AWS_PATH)), "HTTP/1.1 200 ");
	has(got, "content-type: application/json\r\n");
	has(got, "{\"AccessKeyId\":\"EGRET0PLACEHOLDER000\",\"SecretAccessKey\":\"egret/");
	has(got, "\",\"Expiration\":\"20");
	assert_null(strstr(got, rig.secret));
	assert_int_equal(rig.leases_asked, 0);
	has(asks_keys("169.254.170.2", 80, ASK(CREDENTIAL_AWS_PATH "/x")), "HTTP/1.1 404 ");
	has(asks_keys("169.254.170.2", 80,
		      "PUT " CREDENTIAL_AWS_PATH " HTTP/1.1\r\nHost: 169.254.170.2\r\n"
		      "Content-Length: 0\r\nConnection: close\r\n\r\n"),
	    "HTTP/1.1 404 ");
	/* Its neighbours and other ports are what they were: not let go. */
	assert_null(strstr(asks_keys("169.254.169.254", 80, ASK(CREDENTIAL_AWS_PATH)), "EGRET0"));
	assert_null(strstr(asks_keys("169.254.170.2", 81, ASK(CREDENTIAL_AWS_PATH)), "EGRET0"));
}

static int up_other(void **state)
{
	rig_up_with(policy_text, "{ \"name\": \"role\", \"provider\": \"store\", \"value\": \"x\", "
				 "\"for\": \"any\", \"hosts\": [\"**.amazonaws.com\"], \"inject\": "
				 "{ \"header\": \"X\", \"format\": \"{token}\" } }");
	rig.secret = "none";
	return 0;
}

static void test_no_keys(void **state)
{
	assert_null(strstr(asks_keys("169.254.170.2", 80, ASK(CREDENTIAL_AWS_PATH)), "EGRET0"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_vector),
		T(test_signed),
		T(test_refused),
		T(test_keys),
		cmocka_unit_test_setup_teardown(test_no_keys, up_other, down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 18) < 0)
		return 1;
	return cmocka_run_group_tests_name("resign", tests, NULL, NULL);
}
