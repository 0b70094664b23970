/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals: bounded, printable, true in text and JSON; nothing a client wrote can steer a terminal
 * or a workflow log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proxy/refuse.h"

static const struct refusal gists = {
	.status = 403,
	.reason = REASON_NO_RULE,
	.sentence = { "no rule allows POST api.github.com/gists", 40 },
	.method = { "POST", 4 },
	.url = { "https://api.github.com/gists", 28 },
	.policy = { "acme", 4 },
	.nearest = { "read: allow READ https://api.github.com/repos/**", 48 },
	.allow = { "{ \"allow\": \"POST https://api.github.com/gists\" }", 48 },
	.event = 48213,
};

static const char *text_of(const struct refusal *r, const char *accept, bool head_only, bool close,
			   bool alive)
{
	static char out[65536];
	struct buf b;

	buf_init(&b, sizeof(out) - 1);
	assert_int_equal(refusal_write(r, str_of(accept), head_only, close, alive, &b), 0);
	memcpy(out, b.p, b.n);
	out[b.n] = 0;
	buf_done(&b);
	return out;
}

static void test_phrases(void **state)
{
	static const struct {
		unsigned status;
		const char *sentence;
		uint64_t event;
		const char *want;
	} rows[] = {
		{ 403, "no rule allows POST api.github.com/gists", 48213,
		  "Blocked by egret: no rule allows POST api.github.com/gists (event 48213)" },
		{ 403, "no rule allows POST api.github.com/gists", 0,
		  "Blocked by egret: no rule allows POST api.github.com/gists" },
		{ 421, "Host is a.test but the connection is to b.test", 7,
		  "Blocked by egret: Host is a.test but the connection is to b.test (event 7)" },
		{ 502,
		  "could not get credential github-release (vault: 403 at auth/jwt/login); the "
		  "request was not sent",
		  0,
		  "egret could not get credential github-release (vault: 403 at auth/jwt/login); "
		  "the request was not sent" },
		{ 503, "could not record the request", 0, "egret could not record the request" },
		{ 400, "there is no Host", 9,
		  "egret refused the request: there is no Host (event 9)" },
	};
	char phrase[REFUSAL_PHRASE_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct refusal r = { .status = rows[i].status,
				     .sentence = str_of(rows[i].sentence),
				     .event = rows[i].event };

		assert_int_equal(refusal_phrase(&r, phrase), strlen(rows[i].want));
		assert_string_equal(phrase, rows[i].want);
	}
}

static void test_phrase_bounded(void **state)
{
	char sentence[600], phrase[REFUSAL_PHRASE_MAX + 1];
	struct refusal r = { .status = 403, .event = UINT64_MAX };

	for (size_t n = 0; n < sizeof(sentence); n++) {
		for (size_t i = 0; i < n; i++)
			sentence[i] = (char)(i * 7 + n); /* every byte there is */
		r.sentence = (struct str){ sentence, n };
		assert_true(refusal_phrase(&r, phrase) <= REFUSAL_PHRASE_MAX);
		assert_true(strlen(phrase) <= REFUSAL_PHRASE_MAX);
		for (const char *p = phrase; *p; p++)
			assert_true(*p >= 0x20 && *p < 0x7f);
		assert_non_null(strstr(phrase, " (event 18446744073709551615)"));
	}
}

static void test_bodies(void **state)
{
	const char *t = text_of(&gists, "*/*", false, false, false);

	assert_non_null(strstr(t, "Content-Type: text/plain"));
	assert_non_null(strstr(t, "Cache-Control: no-store\r\n\r\n"));
	assert_non_null(strstr(t, "  policy:   acme\n"));
	assert_non_null(
		strstr(t, "  nearest:  read: allow READ https://api.github.com/repos/**\n"));
	assert_non_null(
		strstr(t, "  to allow: { \"allow\": \"POST https://api.github.com/gists\" }\n"));
	assert_non_null(strstr(t, "egret why 48213\n"));
	t = text_of(&gists, "text/html, application/problem+json;q=0.5", false, true, false);
	assert_non_null(strstr(t, "Content-Type: application/problem+json\r\n"));
	assert_non_null(strstr(t, "Connection: close\r\n"));
	assert_string_equal(strstr(t, "\r\n\r\n") + 4,
			    "{\"type\":\"about:blank\",\"status\":403,"
			    "\"title\":\"Blocked by egret: no rule allows POST "
			    "api.github.com/gists (event 48213)\","
			    "\"detail\":\"no rule allows POST "
			    "api.github.com/gists\",\"reason\":\"no_rule\",\"policy\":\"acme\","
			    "\"nearest\":\"read: allow READ https://api.github.com/repos/**\","
			    "\"allow\":\"{ \\\"allow\\\": \\\"POST "
			    "https://api.github.com/gists\\\" }\",\"event\":48213}\n");
	t = text_of(&gists, "", true, false, true);
	assert_string_equal(strstr(t, "\r\n\r\n"), "\r\n\r\n");
	assert_non_null(strstr(t, "Connection: keep-alive\r\n"));
}

static void test_accept(void **state)
{
	static const struct {
		const char *accept;
		bool json;
	} rows[] = {
		{ "application/json", true },
		{ "application/vnd.github+json", true },
		{ "APPLICATION/JSON; q=1", true },
		{ "text/html,application/json", true },
		{ "*/*", false },
		{ "", false },
		{ "text/plain", false },
		{ "application/jsonp", false },
		{ "notjson", false },
		{ "text/html;q=json", false },
		{ "json", false },
		{ ",,,", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(strstr(text_of(&gists, rows[i].accept, false, false, false),
					"problem+json") != NULL,
				 rows[i].json);
}

static void test_hostile(void **state)
{
	struct refusal r = gists;
	static const char *const accepts[] = { "", "application/json" };

	r.sentence = STR("no rule allows GET a/\r\nSet-Cookie: x\r\n\r\n::set-env name=x::y "
			 "\x1b[31m\xc3\xa4");
	r.url = STR("https://a/\n::error::x\x1b]0;t\x07\"\\");
	r.nearest = STR("::add-mask::x");
	for (size_t i = 0; i < 2; i++) {
		const char *t = text_of(&r, accepts[i], false, false, false), *line = t;

		assert_null(strstr(t, "\nSet-Cookie"));
		assert_null(strstr(t, "\n::"));
		for (; *t; t++)
			assert_true((*t >= 0x20 && *t < 0x7f) || *t == '\n' || *t == '\r');
		/* No line begins a workflow command, blanks before it or not. */
		for (; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
			while (*line == ' ')
				line++;
			assert_int_not_equal(strncmp(line, "::", 2), 0);
		}
	}
}

static void grpc(void **state)
{
	static const struct {
		unsigned status;
		const char *code;
	} rows[] = { { 403, "7" }, { 421, "7" }, { 400, "3" },	{ 501, "3" },
		     { 408, "4" }, { 504, "4" }, { 502, "14" }, { 503, "14" } };
	struct refusal r = { .sentence = STR("no rule allows POST a.test/100% \n") };
	char text[REFUSAL_GRPC_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		r.status = rows[i].status;
		assert_true(str_is(refusal_grpc(&r, text), rows[i].code));
	}
	r.status = 403;
	(void)refusal_grpc(&r, text);
	assert_string_equal(text, "Blocked by egret: no rule allows POST a.test/100%25 \\x0a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grpc),
		cmocka_unit_test(test_phrases),
		cmocka_unit_test(test_phrase_bounded),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_hostile),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
