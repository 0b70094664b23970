// SPDX-License-Identifier: Apache-2.0
/* Events on a terminal: what each kind looks like; a job's bytes stay harmless; a request and its
 * answer are one line; the log backwards and as it grows. */
#include "cli/lines.h"
#include "cli/render.h"
#include "cli/show.h"
#include "event/json.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define HEAD                         \
	"{\"schema\":\"egret.event/" \
	"1\",\"seq\":7,\"time\":\"2026-11-22T09:14:03.201118Z\",\"node\":\"n\","

static void test_compact(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ HEAD "\"kind\":\"http.request\",\"verdict\":\"deny\",\"reason\":\"no_rule\","
		       "\"job\":{\"id\":\"j-1\"},"
		       "\"process\":{\"comm\":\"gh\"},\"http\":{\"method\":\"POST\",\"url\":"
		       "\"https://api.github.com/gists\"}}",
		  "09:14:03.201 #7 job=j-1 deny http.request POST https://api.github.com/gists "
		  "reason=no_rule by=gh\n" },
		{ HEAD "\"kind\":\"connect\",\"verdict\":\"deny\",\"reason\":\"udp\",\"dest\":{"
		       "\"ip\":\"2001:db8::1\",\"port\":443,\"proto\":\"udp\"}}",
		  "09:14:03.201 #7 deny connect udp [2001:db8::1]:443 reason=udp\n" },
		{ HEAD "\"kind\":\"dns.query\",\"verdict\":\"allow\",\"dns\":{\"name\":\"x.test\","
		       "\"type\":\"AAAA\"}}",
		  "09:14:03.201 #7 allow dns.query AAAA x.test\n" },
		{ HEAD "\"kind\":\"lost\",\"lost\":{\"count\":3,\"where\":\"kernel\"}}",
		  "09:14:03.201 #7 lost count=3 where=kernel\n" },
		{ HEAD "\"kind\":\"credential.lease\",\"credential\":{\"name\":\"gh\",\"lease\":"
		       "\"L7\"}}",
		  "09:14:03.201 #7 credential.lease gh lease=L7\n" },
		{ HEAD "\"kind\":\"job.end\",\"exit\":{\"status\":3}}",
		  "09:14:03.201 #7 job.end status=3\n" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf b;

		buf_init(&b, RENDER_MAX);
		assert_int_equal(render_compact(str_of(rows[i].in), false, &b), 0);
		assert_int_equal(buf_reserve(&b, 1), 0);
		b.p[b.n] = 0;
		assert_string_equal(b.p, rows[i].out);
		b.n = 0;
		/* With colours nothing else changes: no escape but ours. */
		assert_int_equal(render_compact(str_of(rows[i].in), true, &b), 0);
		assert_int_equal(b.p[b.n - 1], '\n');
		buf_done(&b);
	}
}

static void test_hostile_text(void **state)
{
	static const char *const texts[] = { "\\u001b[2J", "::set-output name=x::y",
					     "a\\nb",	   "\\u009b31m",
					     "\\u202e",	   "\xf0\x9f\x90\xa6" };
	static const char *const places[] = {
		HEAD "\"kind\":\"alert\",\"message\":\"%s\"}",
		HEAD "\"kind\":\"http.request\",\"http\":{\"method\":\"%s\",\"url\":\"u\"}}",
		HEAD "\"kind\":\"http.request\",\"http\":{\"method\":\"m\",\"url\":\"%s\"},"
		     "\"rule\":\"r\"}",
		HEAD "\"kind\":\"connect\",\"verdict\":\"deny\",\"process\":{\"comm\":\"%s\"},"
		     "\"dest\":{\"host\":\"%s\",\"port\":1}}",
		HEAD "\"kind\":\"%s\"}",
		"{\"time\":\"%s\",\"kind\":\"alert\",\"rule\":\"%s\",\"reason\":\"%s\"}",
	};

	for (unsigned p = 0; p < ARRAY_SIZE(places); p++)
		for (unsigned t = 0; t < ARRAY_SIZE(texts); t++) {
			char in[2048];
			struct buf b;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(in, sizeof(in), places[p], texts[t], texts[t], texts[t]);
#pragma GCC diagnostic pop
			buf_init(&b, RENDER_MAX);
			assert_int_equal(render_compact(str_of(in), false, &b), 0);
			for (size_t i = 0; i < b.n; i++)
				if ((b.p[i] < 0x20 || b.p[i] > 0x7e) && i != b.n - 1)
					fail_msg("byte %02x of %s", (uint8_t)b.p[i], in);
			assert_int_not_equal(strncmp(b.p, "::", 2), 0);
			buf_done(&b);
		}
}

static void test_not_an_event(void **state)
{
	struct buf b;

	buf_init(&b, RENDER_MAX);
	assert_int_equal(render_compact(STR("{}"), false, &b), -EBADMSG);
	assert_int_equal(render_compact(STR("nonsense"), false, &b), -EBADMSG);
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

/* What show wrote, as one string. */
static char *shown(const char *const *lines, enum show_kind kind, struct filters *f)
{
	struct show_form form = { .kind = kind };
	struct show *s;
	char path[] = "/tmp/egret-show-XXXXXX", *text = mem_new(65536);
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0 && !unlink(path));
	s = show_new(fd, &form, f);
	for (; *lines; lines++)
		assert_int_equal(show_line(s, str_of(*lines)), 0);
	assert_int_equal(show_flush(s, true), 0);
	show_free(s);
	assert_true(pread(fd, text, 65535, 0) >= 0);
	close(fd);
	return text;
}

static const char *const joined[] = {
	"{\"seq\":1,\"time\":\"2026-11-22T09:14:03.000000Z\",\"kind\":\"http.request\",\"verdict\":"
	"\"allow\",\"request\":\"A\","
	"\"http\":{\"method\":\"GET\",\"url\":\"https://a.test/\"}}",
	"{\"seq\":2,\"time\":\"2026-11-22T09:14:03.000000Z\",\"kind\":\"dns.query\",\"dns\":{"
	"\"name\":\"b.test\"}}",
	"not a line",
	"{\"seq\":3,\"time\":\"2026-11-22T09:14:03.000000Z\",\"kind\":\"http.response\","
	"\"request\":\"A\",\"http\":{\"status\":200},"
	"\"bytes\":{\"in\":1500},\"timing\":{\"total_us\":12300}}",
	"{\"seq\":4,\"time\":\"2026-11-22T09:14:03.000000Z\",\"kind\":\"http.response\","
	"\"request\":\"B\",\"http\":{\"status\":500}}",
	NULL,
};

static void test_join(void **state)
{
	struct filters none = { 0 }, allowed = { 0 };
	const char *why;
	char *text = shown(joined, SHOW_COMPACT, &none);

	assert_string_equal(
		text,
		"09:14:03.000 #1 allow http.request GET https://a.test/ -> 200 1.5 kB 12.3 ms\n"
		"09:14:03.000 #2 dns.query b.test\n"
		"09:14:03.000 #4 http.response -> 500\n");
	free(text);
	/* The answer comes with its request, though it has no verdict of its own. */
	assert_int_equal(filter_add(&allowed, FILTER_VERDICT, "allow", false, &why), 0);
	text = shown(joined, SHOW_COMPACT, &allowed);
	assert_string_equal(
		text,
		"09:14:03.000 #1 allow http.request GET https://a.test/ -> 200 1.5 kB 12.3 ms\n");
	free(text);
	text = shown(joined, SHOW_JSON, &none);
	assert_non_null(strstr(text, joined[3]));
	free(text);
}

struct backs {
	unsigned n, want;
};

static bool on_back(void *owner, struct str line)
{
	struct backs *b = owner;
	uint64_t v;

	/* Lines "NUMBER xxxx": from the last to the first. */
	assert_int_equal(str_u64((struct str){ line.p, strcspn(line.p, " ") }, &v), 0);
	assert_int_equal(v, b->want);
	b->want--;
	b->n++;
	return true;
}

static void test_lines_back(void **state)
{
	char path[] = "/tmp/egret-lines-XXXXXX", text[5000];
	int fd = mkostemp(path, O_CLOEXEC);
	struct backs b = { .want = 2000 };
	struct lines *l = NULL;
	struct str line;

	for (unsigned i = 1; i <= 2000; i++) {
		int n = snprintf(text, sizeof(text), "%u %0*u\n", i, (int)(i * 7 % 1800) + 1, i);

		assert_int_equal(write(fd, text, (size_t)n), n);
	}
	assert_int_equal(write(fd, "2001 half", 9), 9);
	assert_int_equal(lines_open(path, &l), 0);
	assert_int_equal(lines_back(l, on_back, &b), 0);
	assert_int_equal(b.n, 2000);
	/* Goes on behind the end that was there, once the half line is whole. */
	assert_int_equal(lines_next(l, true, &line), 0);
	assert_int_equal(lines_wait(l, 0), 0);
	assert_int_equal(write(fd, " more\n2002 x\n", 13), 13);
	assert_int_equal(lines_wait(l, 1000), 0);
	assert_int_equal(lines_next(l, true, &line), 1);
	assert_true(str_is(line, "2001 half more"));
	assert_int_equal(lines_next(l, true, &line), 1);
	assert_true(str_is(line, "2002 x"));
	assert_int_equal(lines_next(l, true, &line), 0);
	/* Another file in its place. */
	unlink(path);
	close(fd);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "new\n", 4), 4);
	assert_int_equal(lines_wait(l, 0), 0);
	assert_int_equal(lines_next(l, true, &line), 1);
	assert_true(str_is(line, "new"));
	lines_free(l);
	close(fd);
	unlink(path);
}

static void test_line_too_long(void **state)
{
	char path[] = "/tmp/egret-lines-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	char *big = mem_new(EVENT_LINE_MAX * 3);
	struct lines *l = NULL;
	struct str line;

	memset(big, 'x', EVENT_LINE_MAX * 3);
	assert_int_equal(write(fd, big, EVENT_LINE_MAX * 3), EVENT_LINE_MAX * 3);
	assert_int_equal(write(fd, "\nshort\n", 7), 7);
	assert_int_equal(lines_open(path, &l), 0);
	assert_int_equal(lines_next(l, true, &line), 1);
	assert_true(str_is(line, "short"));
	assert_true(lines_too_long(l) > 0);
	lines_free(l);
	free(big);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compact),	     cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_not_an_event), cmocka_unit_test(test_join),
		cmocka_unit_test(test_lines_back),   cmocka_unit_test(test_line_too_long),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
