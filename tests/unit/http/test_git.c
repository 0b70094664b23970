/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of refs at the head of a push, and the report that refuses them: what is read, what is a
 * fault, that both are so wherever the bytes are cut, and what a client reads of the answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <errno.h>

#include "http/git.h"

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"
#define Z "0000000000000000000000000000000000000000"
#define A64 "1111111111111111111111111111111111111111111111111111111111111111"

/* Each '|' in the text begins a packet, '~' is the flush, '^' a NUL byte; "raw:" is taken as it is.
 */
static struct buf packets(const char *text)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	if (strncmp(text, "raw:", 4) == 0) {
		assert_int_equal(buf_add_str(&b, str_of(text + 4)), 0);
		return b;
	}
	while (*text) {
		const char *end = text + 1 + strcspn(text + 1, "|~");

		if (*text == '~')
			assert_int_equal(buf_add_str(&b, STR("0000")), 0);
		else
			assert_int_equal(buf_addf(&b, "%04zx%.*s", (size_t)(end - text) + 3,
						  (int)(end - text - 1), text + 1),
					 0);
		if (*text == '~')
			end = text + 1;
		text = end;
	}
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] == '^')
			b.p[i] = 0;
	return b;
}

/* "says: old new ref, ..." or "!why" or "..." */
static void read_list(struct str bytes, size_t step, char *to, size_t size)
{
	struct git_push p;
	const char *why = "?";
	struct arena a;
	size_t at = 0, have = 0, k;
	int r;

	do {
		char *exact;

		have = have + step < bytes.n ? have + step : bytes.n;
		exact = malloc(have ? have : 1);
		memcpy(exact, bytes.p, have);
		r = git_list_end((struct str){ exact, have }, &at);
		free(exact);
	} while (r == 0 && have < bytes.n);
	if (r <= 0) {
		snprintf(to, size, "%s", r == 0 ? "..." : r == -EBADMSG ? "!packets" : "!long");
		return;
	}
	arena_init(&a, 1 << 20);
	r = git_list_read((struct str){ bytes.p, at }, &a, &p, &why);
	if (r < 0) {
		snprintf(to, size, "%u!%s", p.says, why);
	} else {
		k = (size_t)snprintf(to, size, "%u:", p.says);
		for (size_t i = 0; i < p.n && k < size; i++)
			k += (size_t)snprintf(to + k, size - k, "%s %c%c %.*s", i ? "," : "",
					      p.commands[i].old_id.p[0], p.commands[i].new_id.p[0],
					      STR_ARG(p.commands[i].ref));
	}
	arena_done(&a);
}

static const struct {
	const char *text, *expect;
} rows[] = {
	{ "~", "0:" },
	{ "~PACK", "0:" },
	{ "raw:0000PACK....", "0:" },
	{ "", "..." },
	{ "raw:000", "..." },
	{ "raw:00ff" A, "..." },
	{ "|" A " " B " refs/heads/main~", "0: 12 refs/heads/main" },
	{ "|" A " " B " refs/heads/main\n~", "0: 12 refs/heads/main" },
	{ "|" A " " B " refs/heads/main^ report-status side-band-64k agent=git/2.39~",
	  "3: 12 refs/heads/main" },
	{ "|" Z " " B " refs/tags/v1^report-status-v2 atomic push-options object-format=sha1\n~",
	  "5: 02 refs/tags/v1" },
	{ "|" A " " Z " refs/heads/old^xreport-status side-band~", "0: 10 refs/heads/old" },
	{ "|" A " " B " refs/heads/a^side-band-64k|" Z " " B " refs/heads/b|" A " " Z
	  " refs/heads/c~",
	  "2: 12 refs/heads/a, 02 refs/heads/b, 10 refs/heads/c" },
	{ "|" A64 " " A64 " refs/heads/a^object-format=sha256~", "0: 11 refs/heads/a" },
	{ "|shallow " A "|shallow " B "|" A " " B " refs/heads/a^report-status~",
	  "1: 12 refs/heads/a" },
	{ "|" A " " B " refs/heads/a|" A64 " " A64 " refs/heads/b~",
	  "0!its list of refs has a line without two object names" },
	{ "|" A " " A64 " refs/heads/a~",
	  "0!its list of refs has a line without two object names" },
	{ "|" A " refs/heads/a~", "0!its list of refs has a line without two object names" },
	{ "|want " A "~", "0!its list of refs has a line without two object names" },
	{ "|AAAA111111111111111111111111111111111111 " B " refs/heads/a~",
	  "0!its list of refs has a line without two object names" },
	{ "|" A "  " B " refs/heads/a~", "0!its list of refs has a line without two object names" },
	{ "|" A " " B " ~",
	  "0!its list of refs has a line that does not end in the name of a ref" },
	{ "|" A " " B "~", "0!its list of refs has a line that does not end in the name of a ref" },
	{ "|" A " " B " refs/heads/a b^report-status~",
	  "1!its list of refs has a line that does not end in the name of a ref" },
	{ "|" A " " B " refs/heads/a\nb~",
	  "0!its list of refs has a line that does not end in the name of a ref" },
	{ "|" A " " B " refs/heads/a\n^report-status~",
	  "1!its list of refs has a line that does not end in the name of a ref" },
	{ "|shallow x|" A " " B " refs/heads/a~",
	  "0!its list of refs has a shallow line without an object name" },
	{ "|shallow " A "^report-status|" A " " B " refs/heads/a~",
	  "1!its list of refs has a shallow line without an object name" },
	{ "|push-cert^report-status side-band-64k|certificate version 0.1\n~",
	  "3!it is signed, and the refs in its certificate are not read" },
	{ "raw:0004", "!packets" },
	{ "raw:0001", "!packets" },
	{ "raw:0002", "!packets" },
	{ "raw:0003", "!packets" },
	{ "raw:00FF", "!packets" },
	{ "raw:+0ff", "!packets" },
	{ "raw:fff1", "!packets" },
	{ "raw:fff0", "..." },
	{ "raw:PACK", "!packets" },
};

static void table(void **state)
{
	static const size_t steps[] = { SIZE_MAX / 2, 1, 3, 7 };
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf b = packets(rows[i].text);

		for (size_t k = 0; k < ARRAY_SIZE(steps); k++) {
			char got[512];

			read_list(buf_str(&b), steps[k], got, sizeof(got));
			if (strcmp(got, rows[i].expect) == 0)
				continue;
			wrong++;
			print_error("%s (steps of %zu)\n  expected %s\n  got %s\n", rows[i].text,
				    steps[k], rows[i].expect, got);
		}
		buf_done(&b);
	}
	assert_int_equal(wrong, 0);
}

static void bounds(void **state)
{
	static char got[1 << 17];
	struct buf b;

	buf_init(&b, 1 << 20);
	/* 93 bytes each: 704 of them are 65,472 bytes, 705 are past the bound. */
	for (unsigned i = 0; i < 704; i++)
		assert_int_equal(buf_addf(&b, "005d" Z " " B " r/%05u", i), 0);
	assert_int_equal(buf_add_str(&b, STR("0000")), 0);
	read_list(buf_str(&b), 4096, got, sizeof(got));
	assert_non_null(strstr(got, ", 02 r/00703"));
	b.n -= 4;
	assert_int_equal(buf_addf(&b, "005d" Z " " B " r/99999"), 0);
	read_list(buf_str(&b), 4096, got, sizeof(got));
	assert_string_equal(got, "!long");
	buf_done(&b);
}

/* What a client makes of the answer: the words, then the packets that the bands held. */
static void client(struct str s, bool banded, struct buf *ret)
{
	struct buf data;
	unsigned n;

	buf_init(&data, 1 << 20);
	ret->n = 0;
	for (size_t at = 0; banded; at += n) {
		assert_int_equal(sscanf(s.p + at, "%4x", &n), 1);
		if (!n) {
			assert_int_equal(at + 4, s.n);
			break;
		}
		assert_true(n > 5 && n <= 65520 && at + n <= s.n);
		assert_int_equal(buf_add(s.p[at + 4] == 2 ? ret : &data, s.p + at + 5, n - 5), 0);
	}
	if (!banded)
		assert_int_equal(buf_add_str(&data, s), 0);
	for (size_t at = 0;; at += n) {
		assert_true(at + 4 <= data.n);
		assert_int_equal(sscanf(data.p + at, "%4x", &n), 1);
		if (!n) {
			assert_int_equal(at + 4, data.n);
			break;
		}
		assert_true(n > 4 && at + n <= data.n);
		assert_int_equal(buf_add(ret, data.p + at + 4, n - 4), 0);
	}
	buf_done(&data);
	assert_int_equal(buf_add(ret, "", 1), 0);
}

static void answers(void **state)
{
	struct git_command list[] = { { .ref = STR("refs/heads/main") },
				      { .ref = STR("refs/tags/v1") } };
	struct git_push p = { list, 2, GIT_REPORT_STATUS };
	struct str why[] = { STR("no"), STR("not pushed") };
	struct buf b, read;

	buf_init(&b, 1 << 20);
	buf_init(&read, 1 << 20);
	assert_int_equal(git_report_write(&b, &p, STR("words"), STR("ok"), why), 0);
	assert_true(str_starts(buf_str(&b), "000eunpack ok\n"));
	client(buf_str(&b), false, &read);
	assert_string_equal(read.p,
			    "unpack ok\nng refs/heads/main no\nng refs/tags/v1 not pushed\n");
	b.n = 0;
	p.says |= GIT_SIDE_BAND;
	assert_int_equal(git_report_write(&b, &p, STR("words\n"), STR("ok"), why), 0);
	client(buf_str(&b), true, &read);
	assert_string_equal(
		read.p, "words\nunpack ok\nng refs/heads/main no\nng refs/tags/v1 not pushed\n");
	b.n = 0;
	p.n = 0;
	assert_int_equal(git_report_write(&b, &p, STR(""), STR("too many"), NULL), 0);
	client(buf_str(&b), true, &read);
	assert_string_equal(read.p, "unpack too many\n");
	buf_done(&read);
	buf_done(&b);
}

/* As many refs as one list can hold, with reasons as long as they get: several bands, or a buffer
 * that says no. */
static void large_answer(void **state)
{
	static struct git_command list[704];
	static struct str why[704];
	static char text[300];
	struct git_push p = { list, 704, GIT_REPORT_STATUS | GIT_SIDE_BAND };
	struct buf b, read;

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < 704; i++) {
		list[i].ref = STR("r/00000");
		why[i] = (struct str){ text, sizeof(text) };
	}
	buf_init(&b, 1 << 20);
	buf_init(&read, 1 << 20);
	assert_int_equal(git_report_write(&b, &p, STR("words\n"), STR("ok"), why), 0);
	client(buf_str(&b), true, &read);
	assert_int_equal(read.n, 6 + 10 + 704 * (3 + 7 + 1 + 300 + 1) + 1);
	buf_done(&b);
	buf_init(&b, 65536);
	assert_int_equal(git_report_write(&b, &p, STR(""), STR("ok"), why), -EMSGSIZE);
	buf_done(&b);
	buf_done(&read);
}

static void none(void **state)
{
	assert_true(git_id_none(STR(Z)));
	assert_false(git_id_none(STR(A)));
	assert_false(git_id_none(STR("0000000000000000000000000000000000000001")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),	cmocka_unit_test(bounds), cmocka_unit_test(answers),
		cmocka_unit_test(large_answer), cmocka_unit_test(none),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
