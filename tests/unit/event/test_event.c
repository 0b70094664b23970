// SPDX-License-Identifier: Apache-2.0
/* Records: building, cutting, checking; a record as a line and back; the tables against each other.
 */
#include "event/json.h"
#include "event/jsonread.h"
#include "event/ring.h"
#include "event/rows.h"
#include "abi.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SECOND 1795338843201118ull /* 2026-11-22T09:14:03.201118Z */

static char *line_of(const struct event *e, const char *job, uint64_t n)
{
	struct event_place at = {
		.seq = 48213, .time_us = SECOND, .node = STR("ci-07"), .job = str_of(job), .n = n
	};
	struct buf b;
	char *text;

	assert_int_equal(event_check(e->bytes, e->n), 0);
	buf_init(&b, EVENT_LINE_MAX);
	assert_int_equal(event_json(&b, e, &at), 0);
	text = mem_dup(buf_str(&b));
	buf_done(&b);
	return text;
}

/* The example of the schema, key for key. Fields are put in an order of their own. */
static void test_schema_order(void **state)
{
	static const char want[] =
		"{\"schema\":\"egret.event/"
		"1\",\"seq\":48213,\"time\":\"2026-11-22T09:14:03.201118Z\",\"node\":\"ci-07\","
		"\"kind\":\"http.request\",\"verdict\":\"allow\",\"reason\":\"rule\",\"rule\":"
		"\"publish\",\"request\":\"01JD\","
		"\"job\":{\"id\":\"j-1\",\"repo\":\"acme/web\",\"assurance\":\"signed\",\"n\":7},"
		"\"process\":{\"pid\":812,\"comm\":\"gh\",\"uid\":1000},\"policy\":{\"name\":"
		"\"acme\",\"digest\":\"sha256:00\"},"
		"\"dest\":{\"host\":\"api.github.com\",\"ip\":\"140.82.121.6\",\"port\":443},"
		"\"http\":{\"method\":\"POST\",\"url\":\"https://api.github.com/x\"},"
		"\"credential\":{\"name\":\"github-release\",\"lease\":\"L7c1\",\"static\":false}}"
		"\n";
	static const uint8_t addr[16] = { [10] = 0xff, 0xff, 140, 82, 121, 6 };
	struct str facts[] = { STR("repo=acme/web") };
	struct buf job;
	struct event e;
	char *text;

	event_begin(&e, EVENT_HTTP_REQUEST, VERDICT_ALLOW, REASON_RULE);
	event_num(&e, FIELD_CREDENTIAL_STATIC, 0);
	event_text(&e, FIELD_CREDENTIAL_LEASE, STR("L7c1"));
	event_text(&e, FIELD_CREDENTIAL_NAME, STR("github-release"));
	event_text(&e, FIELD_HTTP_URL, STR("https://api.github.com/x"));
	event_text(&e, FIELD_HTTP_METHOD, STR("POST"));
	event_num(&e, FIELD_DEST_PORT, 443);
	event_addr(&e, FIELD_DEST_IP, addr);
	event_text(&e, FIELD_DEST_HOST, STR("api.github.com"));
	event_text(&e, FIELD_POLICY_DIGEST, STR("sha256:00"));
	event_text(&e, FIELD_POLICY_NAME, STR("acme"));
	event_num(&e, FIELD_PROCESS_UID, 1000);
	event_text(&e, FIELD_PROCESS_COMM, STR("gh"));
	event_num(&e, FIELD_PROCESS_PID, 812);
	event_text(&e, FIELD_REQUEST, STR("01JD"));
	event_text(&e, FIELD_RULE, STR("publish"));
	buf_init(&job, EVENT_JOB_MAX);
	assert_int_equal(event_job_json(&job, STR("j-1"), facts, 1, STR("signed")), 0);
	job.p[job.n] = 0;
	text = line_of(&e, job.p, 7);
	assert_string_equal(text, want);
	free(text);
	buf_done(&job);
}

static void test_absent_is_not_zero(void **state)
{
	struct event e;
	char *text;

	event_begin(&e, EVENT_ALERT, VERDICT_NONE, REASON_NONE);
	text = line_of(&e, "", 0);
	assert_string_equal(text, "{\"schema\":\"egret.event/"
				  "1\",\"seq\":48213,\"time\":\"2026-11-22T09:14:03.201118Z\","
				  "\"node\":\"ci-07\",\"kind\":\"alert\"}\n");
	free(text);
}

static void test_escapes(void **state)
{
	static const struct {
		struct str in;
		const char *json;
	} rows[] = {
		{ STR("a\"b\\c"), "a\\\"b\\\\c" },
		{ STR("a\nb\rc\td"), "a\\nb\\u000dc\\u0009d" },
		{ STR("\x1b[31mred"), "\\u001b[31mred" },
		{ STR("del\x7f"), "del\\u007f" },
		{ STR("csi\xc2\x9b\x33"), "csi\\u009b3" },
		{ STR("\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa6"),
		  "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa6" },
		{ STR("nul\0here"), "nul\xef\xbf\xbdhere" },
		{ STR("bad\xff\xc3(\xed\xa0\x80"),
		  "bad\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ STR("overlong\xc0\xaf"), "overlong\xef\xbf\xbd\xef\xbf\xbd" },
	};
	struct json_line *l = json_line_new();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct event e;
		char *text, want[256];

		event_begin(&e, EVENT_ALERT, VERDICT_NONE, REASON_NONE);
		event_text(&e, FIELD_MESSAGE, rows[i].in);
		text = line_of(&e, "", 0);
		snprintf(want, sizeof(want), "\"kind\":\"alert\",\"message\":\"%s\"}\n",
			 rows[i].json);
		assert_string_equal(strstr(text, "\"kind\""), want);
		assert_int_equal(json_line_read(l, str_of(text)), 0);
		free(text);
	}
	json_line_free(l);
}

static void test_cut_at_a_character(void **state)
{
	struct event e;
	struct event_item item;
	char text[200];
	size_t at = 0;

	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	event_begin(&e, EVENT_ALERT, VERDICT_NONE, REASON_NONE);
	event_text(&e, FIELD_RULE, (struct str){ text, sizeof(text) });
	assert_true(event_walk(&e, &at, &item));
	/* 128 bytes: 62 characters of two, three dots, and one byte that no character fits. */
	assert_int_equal(item.n, 127);
	assert_memory_equal(item.p + 122, "\xc3\xa4...", 5);
	at = 0;
	event_begin(&e, EVENT_ALERT, VERDICT_NONE, REASON_NONE);
	event_text(&e, FIELD_RULE, (struct str){ text, 128 });
	assert_true(event_walk(&e, &at, &item));
	assert_int_equal(item.n, 128);
	/* Twice: the first stands. */
	event_text(&e, FIELD_RULE, STR("x"));
	assert_int_equal(e.fields, 1);
}

/* Fields made once are what they are one by one; none comes twice, and none past the end. */
static void test_part(void **state)
{
	struct event once, e, want;
	struct event_part part;
	size_t n;

	event_begin(&once, EVENT_ALERT, VERDICT_NONE, REASON_NONE);
	event_text(&once, FIELD_CREDENTIAL_NAME, STR("gh"));
	event_num(&once, FIELD_CREDENTIAL_STATIC, 1);
	event_part_of(&once, &part);
	event_begin(&e, EVENT_CONNECT, VERDICT_DENY, REASON_K_UDP);
	event_text(&e, FIELD_RULE, STR("r"));
	want = e;
	event_put(&e, &part);
	event_num(&e, FIELD_DEST_PORT, 53);
	event_text(&want, FIELD_CREDENTIAL_NAME, STR("gh"));
	event_num(&want, FIELD_CREDENTIAL_STATIC, 1);
	event_num(&want, FIELD_DEST_PORT, 53);
	assert_int_equal(e.n, want.n);
	assert_memory_equal(e.bytes, want.bytes, e.n);
	assert_int_equal(event_check(e.bytes, e.n), 0);
	event_put(&e, &part);
	event_text(&e, FIELD_CREDENTIAL_NAME, STR("other"));
	assert_int_equal(e.n, want.n);
	event_begin(&e, EVENT_ALERT, VERDICT_NONE, REASON_NONE);
	e.n = EVENT_SIZE_MAX - part.n + 1;
	n = e.n;
	event_put(&e, &part);
	assert_int_equal(e.n, n);
}

static void test_never_too_long(void **state)
{
	static char text[8000];
	struct event e;

	memset(text, 0x01, sizeof(text));
	event_begin(&e, EVENT_ALERT, VERDICT_DENY, REASON_NO_RULE);
	for (unsigned f = 1; f < FIELDS_END; f++)
		if (field_rows[f].kind == FIELD_IS_TEXT || field_rows[f].kind == FIELD_IS_DIGEST)
			event_text(&e, (enum event_field)f, (struct str){ text, sizeof(text) });
	assert_true(e.n <= EVENT_SIZE_MAX);
	free(line_of(&e, "", 0));
}

/* Each byte of a good record, changed in every way: checked or refused, never past the end (ASan
 * looks). */
static void test_check_every_byte(void **state)
{
	struct event e;
	unsigned good = 0;

	event_begin(&e, EVENT_CONNECT, VERDICT_DENY, REASON_K_UDP);
	event_text(&e, FIELD_RULE, STR("r"));
	event_num(&e, FIELD_DEST_PORT, 53);
	event_num(&e, FIELD_CREDENTIAL_STATIC, 1);
	event_addr(&e, FIELD_DEST_IP, (const uint8_t[16]){ 0x20, 1, 0xd, 0xb8 });
	assert_int_equal(event_check(e.bytes, e.n), 0);
	for (size_t n = 0; n < e.n; n++) {
		uint8_t *cut = mem_new(n + 1);

		memcpy(cut, e.bytes, n);
		assert_int_equal(event_check(cut, n), -EBADMSG);
		free(cut);
	}
	for (size_t i = 0; i < e.n; i++)
		for (unsigned v = 0; v < 256; v++) {
			uint8_t *copy = mem_new(e.n);

			memcpy(copy, e.bytes, e.n);
			copy[i] = (uint8_t)v;
			good += !event_check(copy, e.n);
			free(copy);
		}
	assert_in_range(good, 1000, 30000);
}

static void test_job_members(void **state)
{
	static const struct {
		const char *fact;
		int want;
	} rows[] = {
		{ "repo=x", 0 },
		{ "team=a=b", 0 },
		{ "empty=", 0 },
		{ "id=x", -EINVAL },
		{ "assurance=signed", -EINVAL },
		{ "n=1", -EINVAL },
		{ "Upper=x", -EINVAL },
		{ "=x", -EINVAL },
		{ "novalue", -EINVAL },
		{ "a\"b=x", -EINVAL },
	};
	struct str twice[] = { STR("repo=a"), STR("repo=b") };
	struct buf b;

	buf_init(&b, EVENT_JOB_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str f = str_of(rows[i].fact);

		b.n = 0;
		if (event_job_json(&b, STR("j-1"), &f, 1, STR("runner")) != rows[i].want)
			fail_msg("%s", rows[i].fact);
	}
	assert_int_equal(event_job_json(&b, STR("j-1"), twice, 2, STR("runner")), -EINVAL);
	assert_int_equal(event_job_json(&b, STR("j-1"), twice, 1, STR("sure")), -EINVAL);
	buf_done(&b);
}

static void test_reader(void **state)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
		{ "{}", 0 },
		{ " { \"a\" : 1 } ", 0 },
		{ "{\"a\":{\"b\":{}}}", 0 },
		{ "{\"a\":[1,{\"b\":2},[]]}", 0 },
		{ "{\"a\":-1.5e3,\"b\":null,\"c\":true}", 0 },
		{ "{\"a\":\"\\ud83d\\udc26\"}", 0 },
		{ "", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{", -EBADMSG },
		{ "{}x", -EBADMSG },
		{ "{}{}", -EBADMSG },
		{ "{\"a\":1,}", -EBADMSG },
		{ "{\"a\"}", -EBADMSG },
		{ "{a:1}", -EBADMSG },
		{ "{\"a\":01}", -EBADMSG },
		{ "{\"a\":1,\"a\":2}", -EBADMSG },
		{ "{\"a\":\"\\u0000\"}", -EBADMSG },
		{ "{\"a\":\"\\ud83d\"}", -EBADMSG },
		{ "{\"a\":\"\n\"}", -EBADMSG },
		{ "{\"a\":\"\xff\"}", -EBADMSG },
		{ "{\"a\":\"\\x\"}", -EBADMSG },
		{ "{\"a\":tru}", -EBADMSG },
		{ "{\"a\":\"", -EBADMSG },
		{ "{\"a\":\"\\u12", -EBADMSG },
		{ "{\"a\":-}", -EBADMSG },
		{ "{\"a\":[[[[[[[[[[1]]]]]]]]]]}", -EMSGSIZE },
	};
	struct json_line *l = json_line_new();
	uint64_t v;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = json_line_read(l, str_of(rows[i].text));

		if (r != rows[i].want)
			fail_msg("%s: %d, not %d", rows[i].text, r, rows[i].want);
	}
	assert_int_equal(
		json_line_read(l, STR("{\"seq\":18446744073709551615,\"big\":18446744073709551616,"
				      "\"o\":{\"t\":\"\\u00e4\\/\"}}")),
		0);
	assert_true(json_num(l, "seq", &v) && v == UINT64_MAX);
	assert_false(json_num(l, "big", &v));
	assert_true(str_is(json_text(l, "o.t"), "\xc3\xa4/"));
	json_line_free(l);
}

static void test_tables(void **state)
{
	for (unsigned k = 1; k < EVENT_KINDS_END; k++)
		for (unsigned j = 1; j < k; j++)
			assert_string_not_equal(event_kind_name(k), event_kind_name(j));
	for (unsigned r = 1; r < REASONS_END; r++) {
		assert_true(*reason_word(r) && *reason_sentence(r));
		for (unsigned j = 1; j < r; j++)
			assert_string_not_equal(reason_word(r), reason_word(j));
	}
	/* Every reason of the kernel has a row of its own. */
	for (unsigned r = 1; r < EGRET_R_MAX; r++) {
		assert_int_not_equal(reason_of_kernel(r), REASON_NONE);
		for (unsigned j = 1; j < r; j++)
			assert_int_not_equal(reason_of_kernel(r), reason_of_kernel(j));
	}
	assert_int_equal(reason_of_kernel(EGRET_R_MAX), REASON_NONE);
	assert_string_equal(event_kind_name(9999), "?");
	/* Fields with one parent stand together, or an object would come twice. */
	for (unsigned f = 2; f < FIELDS_END; f++) {
		size_t n = strcspn(field_rows[f].path, ".");
		bool same = !strncmp(field_rows[f].path, field_rows[f - 1].path, n) &&
			    strcspn(field_rows[f - 1].path, ".") == n;

		for (unsigned j = 1; j < f && !same; j++)
			if (field_rows[f].path[n] && strcspn(field_rows[j].path, ".") == n)
				assert_int_not_equal(
					strncmp(field_rows[f].path, field_rows[j].path, n), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema_order),   cmocka_unit_test(test_absent_is_not_zero),
		cmocka_unit_test(test_escapes),	       cmocka_unit_test(test_cut_at_a_character),
		cmocka_unit_test(test_never_too_long), cmocka_unit_test(test_check_every_byte),
		cmocka_unit_test(test_job_members),    cmocka_unit_test(test_reader),
		cmocka_unit_test(test_tables),	       cmocka_unit_test(test_part),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
