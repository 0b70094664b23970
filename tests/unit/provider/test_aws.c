/* SPDX-License-Identifier: Apache-2.0 */
/* The job's own token and what STS makes of it: its end, refusals, clocks that differ, answers that
 * are not what they should be. */
#include "unit/provider/asked.h"

#include "provider/aws.h"
#include "provider/jobtoken.h"
#include <errno.h>

#define NOW ASKED_NOW
#define KEYS(expires)                                                                           \
	"<AssumeRoleWithWebIdentityResponse "                                                   \
	"xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>" \
	"<Credentials><AccessKeyId>ASIAEXAMPLEEXAMPLE00</AccessKeyId><SecretAccessKey>"         \
	"s3cret-of-the-role-0123456789</SecretAccessKey><SessionToken>session-0123456789abcdef" \
	"</SessionToken><Expiration>" expires "</Expiration></Credentials>"                     \
	"</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
#define REFUSED(code, text)                                                                      \
	"<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender" \
	"</Type><Code>" code "</Code><Message>" text "</Message></Error></ErrorResponse>"

/* ASKED_NOW is 2023-11-14T22:13:20Z. */
static const struct {
	const char *what, *body;
	long status;
	int err;
	const char *why;
	int64_t expires_s; /* after now */
} rows[] = {
	{ "keys", KEYS("2023-11-14T22:43:20Z"), 200, 0, NULL, 1800 },
	{ "its clock is five minutes ahead: never longer than was asked for",
	  KEYS("2023-11-14T23:18:20Z"), 200, 0, NULL, 3600 },
	{ "its clock is five minutes behind", KEYS("2023-11-14T23:08:20Z"), 200, 0, NULL, 3300 },
	{ "it says a thousand years", KEYS("3023-11-14T22:13:20Z"), 200, 0, NULL, 3600 },
	{ "over already", KEYS("2023-11-14T22:13:20Z"), 200, -EBADMSG,
	  "aws: the keys that sts gave have expired already: is this host's clock right?", 0 },
	{ "no time", KEYS("tomorrow"), 200, -EBADMSG,
	  "aws: the answer of sts has not all of AccessKeyId, SecretAccessKey, SessionToken and "
	  "Expiration",
	  0 },
	{ "a page of a portal", "<html><body>log in<br></body></html>", 200, -EBADMSG, NULL, 0 },
	{ "nothing", "", 200, -EBADMSG, NULL, 0 },
	{ "the token has ended", REFUSED("ExpiredTokenException", "Token expired: current date"),
	  400, -ENOKEY,
	  "aws: the job's ID token has ended (sts says that it has ended), and a job that runs is "
	  "given no other: nothing more can be made with it; what it made lasts longer with a "
	  "longer ttl",
	  0 },
	{ "another audience", REFUSED("InvalidIdentityToken", "Incorrect token audience"), 400,
	  -EACCES, "aws: 400 at sts: InvalidIdentityToken: Incorrect token audience", 0 },
	{ "not for this role", REFUSED("AccessDenied", "Not authorized"), 403, -EACCES,
	  "aws: 403 at sts: AccessDenied: Not authorized", 0 },
	{ "its identity provider does not answer it",
	  REFUSED("IDPCommunicationError", "could not reach"), 503, -EAGAIN,
	  "aws: 503 at sts: IDPCommunicationError: could not reach", 0 },
	{ "too many", REFUSED("Throttling", "Rate exceeded"), 429, -EAGAIN,
	  "aws: 429 at sts: Throttling: Rate exceeded", 0 },
	{ "out of order, not in XML", "oops", 500, -EAGAIN, "aws: 500 at sts", 0 },
	{ "a redirect", "", 302, -EACCES, "aws: 302 at sts, a redirect: these are not followed",
	  0 },
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct http_ask ask = { .method = "POST", .at = "sts" };
		const struct http_answer got = { .status = rows[i].status,
						 .body = str_of(rows[i].body) };
		struct aws_keys keys = { 0 };
		struct question q;
		int r;

		ASKED(&q, MSG_PROVIDE, "aws", "role_arn=arn", "token=a.b.c");
		r = aws_answer(&q, &ask, &got, 3600, &keys);
		if (r != rows[i].err)
			fail_msg("%s: %d, %s", rows[i].what, r, q.why);
		if (rows[i].why)
			assert_string_equal(q.why, rows[i].why);
		if (r == 0) {
			assert_int_equal(keys.expires_ms, (NOW + rows[i].expires_s) * 1000);
			assert_true(str_is(keys.access_key, "ASIAEXAMPLEEXAMPLE00"));
		} else {
			assert_null(keys.secret.p);
		}
		question_done(&q);
	}
}

/* The middle part of a token; exp as seconds after now. */
static char *with_exp(long after)
{
	static char token[256];
	char claims[128];
	struct question q;

	ASKED(&q, MSG_PROVIDE, "aws", "role_arn=arn");
	snprintf(claims, sizeof(claims), "{\"iss\":\"https://ci\",\"exp\":%ld}", NOW + after);
	snprintf(token, sizeof(token), "token=e30.%.*s.c2ln",
		 STR_ARG(base64url(&q, str_of(claims))));
	question_done(&q);
	return token;
}

static void test_token(void **state)
{
	static const struct {
		const char *token;
		int err;
		int64_t ends;
	} odd[] = {
		/* What cannot be read is the server's to judge. */
		{ "token=opaque", 0, 0 },
		{ "token=e30.e30.c2ln", 0, 0 },
		{ "token=e30.eyJleHAiOiJuZXZlciJ9.c2ln", 0, 0 },
		{ "token=e30.eyJleHAiOi0xfQ.c2ln", 0, 0 },
		{ "token=e30.!!!.c2ln", 0, 0 },
		{ "token=e30.W10.c2ln", 0, 0 },
	};
	struct question q;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		ASKED(&q, MSG_PROVIDE, "aws", "role_arn=arn", odd[i].token);
		assert_int_equal(job_token_need(&q), odd[i].err);
		assert_int_equal(job_token_ends(&q), odd[i].ends);
		question_done(&q);
	}
	ASKED(&q, MSG_PROVIDE, "aws", "role_arn=arn", with_exp(300));
	assert_int_equal(job_token_need(&q), 0);
	assert_int_equal(job_token_ends(&q), NOW + 300);
	question_done(&q);
	/* This host's clock may be ahead: sts is asked, and says it. */
	ASKED(&q, MSG_PROVIDE, "aws", "role_arn=arn", with_exp(-299));
	assert_int_equal(job_token_need(&q), 0);
	question_done(&q);
	/* Nobody is asked: there is no loop and no socket here. */
	ASKED(&q, MSG_PROVIDE, "aws", "role_arn=arn", with_exp(-300));
	assert_int_equal(aws_assume(&q, &(struct aws_keys){ 0 }), -ENOKEY);
	assert_string_equal(
		q.why, "aws: the job's ID token has ended (at 2023-11-14T22:08:20Z), and a job "
		       "that runs is given no other: nothing more can be made with it; what it "
		       "made lasts longer with a longer ttl");
	question_done(&q);
	ASKED(&q, MSG_PROVIDE, "aws", "role_arn=arn");
	assert_int_equal(aws_assume(&q, &(struct aws_keys){ 0 }), -ENOKEY);
	assert_string_equal(q.why,
			    "aws: the job has no ID token of its own: its hook gets one where "
			    "the credential says token_audience");
	question_done(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_token),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
