/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to GitHub as an App and what its answers mean (provider/github_form.h), by the
 * documented forms. */
#include "unit/provider/asked.h"

#include "provider/github_form.h"
#include "provider/http.h"
#include <errno.h>

#define GITHUB(q, ...) ASKED(q, MSG_PROVIDE, "github-app", __VA_ARGS__)

static const struct node *json(struct question *q, const char *text)
{
	return node_json(q, str_of(text));
}

static void said(void **state)
{
	struct question q;

	GITHUB(&q, "app_id=1234", "installation=acme");
	assert_true(str_is(github_claims(&q, 1700000000),
			   "{\"iat\":1699999940,\"exp\":1700000540,\"iss\":1234}"));
	assert_true(str_is(github_body(&q), "{}"));
	question_done(&q);
	GITHUB(&q, "app_id=Iv23\"x", "installation=acme", "repositories=web", "repositories=do\"cs",
	       "permissions=contents=write", "permissions=issues=read");
	assert_true(str_is(github_claims(&q, 1700000000),
			   "{\"iat\":1699999940,\"exp\":1700000540,\"iss\":\"Iv23\\\"x\"}"));
	assert_true(str_is(github_body(&q),
			   "{\"repositories\":[\"web\",\"do\\\"cs\"],"
			   "\"permissions\":{\"contents\":\"write\",\"issues\":\"read\"}}"));
	question_done(&q);
}

static void ids(void **state)
{
	assert_true(github_is_id(STR("77")) && github_is_id(STR("9007199254740991")));
	assert_false(github_is_id(STR("")) || github_is_id(STR("0")) || github_is_id(STR("acme")) ||
		     github_is_id(STR("7a")) || github_is_id(STR("-7")) ||
		     github_is_id(STR("9007199254740992")));
}

static void tokens(void **state)
{
	static const struct {
		const char *text, *token; /* NULL: refused */
	} rows[] = {
		{ "{\"token\":\"ghs_16C7e42F292c6912E7710c838347Ae178B4a\","
		  "\"expires_at\":\"2016-07-11T22:14:10Z\"}",
		  "ghs_16C7e42F292c6912E7710c838347Ae178B4a" },
		{ "{\"token\":\"ghs_1234_eyJ0.eyJp-_.c2ln\",\"expires_at\":\"2016-07-11T22:14:"
		  "10Z\"}",
		  "ghs_1234_eyJ0.eyJp-_.c2ln" },
		{ "{\"token\":\"\",\"expires_at\":\"2016-07-11T22:14:10Z\"}", NULL },
		{ "{\"token\":\"a b\",\"expires_at\":\"2016-07-11T22:14:10Z\"}", NULL },
		{ "{\"token\":\"a\\r\\nX: y\",\"expires_at\":\"2016-07-11T22:14:10Z\"}", NULL },
		{ "{\"token\":\"ghs_a\"}", NULL },
		{ "{\"token\":\"ghs_a\",\"expires_at\":\"soon\"}", NULL },
		{ "{\"token\":\"ghs_a\",\"expires_at\":1468275250}", NULL },
		{ "[]", NULL },
	};
	struct github_token t;
	struct question q;

	GITHUB(&q, "app_id=1");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = github_token_read(&q, json(&q, rows[i].text), &t);

		if (rows[i].token && (r || !str_is(t.token, rows[i].token)))
			fail_msg("row %zu: %s", i, q.why);
		if (rows[i].token)
			assert_int_equal(t.expires, 1468275250);
		else
			assert_int_equal(r, -EBADMSG);
	}
	question_done(&q);
}

#define WEB "\"repository_selection\":\"selected\",\"repositories\":[{\"id\":1,\"name\":\"Web\"}]"

static void wider(void **state)
{
	static const struct {
		const char *text, *why; /* NULL: fits */
	} rows[] = {
		{ "{\"permissions\":{\"contents\":\"write\",\"metadata\":\"read\"}," WEB "}",
		  NULL },
		{ "{\"permissions\":{\"contents\":\"read\"}," WEB "}", NULL },
		{ "{\"permissions\":{}," WEB "}", NULL },
		{ "{\"permissions\":{\"contents\":\"admin\"}," WEB "}", "(permission contents)" },
		{ "{\"permissions\":{\"contents\":\"owner\"}," WEB "}", "(permission contents)" },
		{ "{\"permissions\":{\"contents\":2}," WEB "}", "(permission contents)" },
		{ "{\"permissions\":{\"metadata\":\"write\"}," WEB "}", "(permission metadata)" },
		{ "{\"permissions\":{\"issues\":\"read\"}," WEB "}", "(permission issues)" },
		{ "{\"permissions\":{\"a b\\u001b\":\"read\"}," WEB "}", "(permission ?)" },
		{ "{" WEB "}", "does not say its permissions" },
		{ "{\"permissions\":{},\"repository_selection\":\"all\"}", "(all repositories)" },
		{ "{\"permissions\":{}}", "does not say its repositories" },
		{ "{\"permissions\":{},\"repositories\":{}}", "does not say its repositories" },
		{ "{\"permissions\":{},\"repositories\":[{\"name\":\"web\"},{\"name\":\"x\"}]}",
		  "(repository x)" },
		{ "{\"permissions\":{},\"repositories\":[{\"id\":5}]}", "(repository ?)" },
		{ "{\"permissions\":{},\"repositories\":[\"web\"]}", "(repository ?)" },
	};
	struct question q;

	GITHUB(&q, "app_id=1", "repositories=web", "permissions=contents=write");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = github_token_fits(&q, json(&q, rows[i].text));

		if (r != (rows[i].why ? -EACCES : 0) ||
		    (rows[i].why && !strstr(q.why, rows[i].why)))
			fail_msg("row %zu: %d %s", i, r, q.why);
	}
	question_done(&q);
	GITHUB(&q, "app_id=1"); /* nothing was narrowed */
	assert_int_equal(github_token_fits(&q, json(&q, "{\"repository_selection\":\"all\"}")), 0);
	question_done(&q);
}

static void installations(void **state)
{
	struct question q;
	int64_t id = 0;

	GITHUB(&q, "app_id=1");
	assert_int_equal(
		github_installation(&q, json(&q, "{\"id\":77,\"suspended_at\":null}"), &id), 0);
	assert_int_equal(id, 77);
	assert_int_equal(
		github_installation(&q, json(&q, "{\"id\":77,\"suspended_at\":\"x\"}"), &id),
		-EACCES);
	assert_int_equal(github_installation(&q, json(&q, "{\"id\":\"77\"}"), &id), -EBADMSG);
	assert_int_equal(github_installation(&q, json(&q, "{\"id\":-1}"), &id), -EBADMSG);
	assert_int_equal(github_installation(&q, NULL, &id), -EBADMSG);
	question_done(&q);
}

static void times(void **state)
{
	int64_t t;

	assert_true(github_date(STR("Mon, 11 Jul 2016 22:14:10 GMT"), &t));
	assert_int_equal(t, 1468275250);
	assert_false(github_date(STR("Mon, 11 Jul 2016 22:14:10 CET"), &t));
	assert_false(github_date(STR("1468275250"), &t));
	/* By the server's own clock, whatever this host's is; a year is an hour; over is over. */
	assert_int_equal(github_left(1468278850, 1468275250), 3600);
	assert_int_equal(github_left(1468276250, 1468275250), 1000);
	assert_int_equal(github_left(1468275250 + 366 * 86400, 1468275250), 3600);
	assert_int_equal(github_left(1468275250, 1468275250), 0);
	assert_int_equal(github_left(0, 1468275250), 0);
}

static void headers(void **state)
{
	const struct http_answer a = {
		.head = STR("HTTP/1.1 200 OK\r\nDate: one\r\nX-Date: no\r\n"
			    "DATE:\t two \r\nRetry-After:\r\nDated: x\r\n\r\n")
	};
	struct str v;

	assert_true(http_header(&a, "date", &v) && str_is(v, "two"));
	assert_true(http_header(&a, "retry-after", &v) && !v.n);
	assert_false(http_header(&a, "x", &v) || http_header(&a, "HTTP/1.1 200 OK", &v));
}

static void faults(void **state)
{
	static const struct {
		long status;
		bool limited;
		const char *message;
		int code;
		bool clock;
		const char *words;
	} rows[] = {
		{ 401, false, "Bad credentials", -EACCES, false,
		  "the token is not valid any more" },
		{ 401, false, "A JSON web token could not be decoded", -EACCES, false,
		  "the key is none of the app's" },
		{ 401, false, "'Issued at' claim ('iat') must be an Integer representing the time",
		  -EACCES, true, "the clocks differ, or the app's token was not taken" },
		{ 401, false, "'Expiration time' claim ('exp') is too far in the future", -EACCES,
		  true, "the clocks differ, or the app's token was not taken" },
		{ 403, false, "'Expiration time'", -EACCES, false,
		  "the clocks differ, or the app's token was not taken" },
		{ 403, false, "You have exceeded a secondary rate limit. Please wait", -EAGAIN,
		  false, "too many requests" },
		{ 403, true, "anything", -EAGAIN, false, "too many requests" },
		{ 403, false, "This installation has been suspended", -EACCES, false,
		  "the app's installation is suspended" },
		{ 404, false, "Not Found", -ENOENT, false,
		  "it is not there, or not the app's to see" },
		{ 422, false, "The permissions requested are not granted to this installation.",
		  -EACCES, false, "the installation does not have these permissions" },
		{ 429, false, "x", -EAGAIN, false, "" },
		{ 500, false, "Server Error", -EAGAIN, false, "" },
		{ 418, false, "::error::", -EACCES, false, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *words;
		struct question q;
		char text[256];
		bool clock;
		int r;

		GITHUB(&q, "app_id=1");
		snprintf(text, sizeof(text), "{\"message\":\"%s\"}", rows[i].message);
		r = github_fault(rows[i].status, json(&q, text), rows[i].limited, &words, &clock);
		if (r != rows[i].code || clock != rows[i].clock || strcmp(words, rows[i].words))
			fail_msg("row %zu: %d %s", i, r, words);
		question_done(&q);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(said),	   cmocka_unit_test(ids),
		cmocka_unit_test(tokens),  cmocka_unit_test(wider),
		cmocka_unit_test(times),   cmocka_unit_test(installations),
		cmocka_unit_test(headers), cmocka_unit_test(faults),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
