/* SPDX-License-Identifier: Apache-2.0 */
/* Scrubbing: every form of a value, at every place it can be cut, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proxy/scrub.h"
#include "unit/print.h"

#include <openssl/evp.h>

#define VALUE "ghs_16C7e42F/\"292c+6912E7710c838347Ae178B4a"

static struct scrub *made(const char *a, const char *b)
{
	struct str values[] = { str_of(a), str_of(b ? b : "") };
	struct scrub *s;

	assert_int_equal(scrub_new(values, b ? 2 : 1, 2, &s), 0);
	return s;
}

/* Feeds text cut in two (or three) and returns what came out. */
static const char *through(const struct scrub *s, const char *text, size_t cut1, size_t cut2)
{
	static char out[8192];
	char held[8192];
	size_t cuts[] = { cut1, cut2, strlen(text) }, at = 0, n = 0, held_n = 0, sure;

	for (size_t i = 0; i < 3; i++) {
		memcpy(held + held_n, text + at, cuts[i] - at);
		held_n += cuts[i] - at;
		at = cuts[i];
		scrub_bytes(s, held, held_n, i == 2, &sure);
		assert_true(sure <= held_n);
		memcpy(out + n, held, sure);
		n += sure;
		memmove(held, held + sure, held_n - sure);
		held_n -= sure;
	}
	assert_int_equal(held_n, 0);
	out[n] = 0;
	assert_int_equal(n, strlen(text));
	return out;
}

static void base64(char *to, const char *before, const char *after)
{
	char plain[256];
	int n = snprintf(plain, sizeof(plain), "%s" VALUE "%s", before, after);

	EVP_EncodeBlock((unsigned char *)to, (unsigned char *)plain, n);
}

static void test_every_split(void **state)
{
	struct scrub *s = made(VALUE, NULL);
	char forms[13][512], text[1024], want[1024];
	size_t n = 0;

	copy(forms[n++], VALUE);
	base64(forms[n++], "", "");
	base64(forms[n++], "u:", "");
	base64(forms[n++], "x", "tail");
	base64(forms[n++], "x-access-token:", "");
	for (const char *digits = "0123456789abcdef"; digits;
	     digits = *digits && digits[10] == 'a' ? "0123456789ABCDEF" : NULL) {
		char *p = forms[n++];

		for (const char *v = VALUE; *v; v++) {
			*p++ = digits[(unsigned char)*v >> 4];
			*p++ = digits[*v & 15];
		}
		*p = 0;
	}
	for (char *p = forms[n++], *v = forms[0]; *v; v++)
		p += snprintf(p, 4, "%02x%s", (unsigned char)*v, v[1] ? " " : "");
	copy(forms[n++], "ghs_16C7e42F%2F%22292c%2B6912E7710c838347Ae178B4a");
	copy(forms[n++], "ghs_16C7e42F%2f%22292c%2b6912E7710c838347Ae178B4a");
	copy(forms[n++], "ghs_16C7e42F/\\\"292c+6912E7710c838347Ae178B4a");
	copy(forms[n++], "ghs_16C7e42F\\/\\\"292c+6912E7710c838347Ae178B4a");
	for (size_t i = 0; i < n; i++) {
		size_t len = (size_t)snprintf(text, sizeof(text), "{\"t\":\"%s\"} and ghs_16C7 %s.",
					      forms[i], forms[i]);

		copy(want, through(s, text, len, len));
		/* At most the first and last characters of Base64 are left: they hold bits of
		 * neighbours. */
		assert_null(strstr(want, "C7e4"));
		assert_null(strstr(want, "Q3ZTQy"));
		assert_non_null(strstr(want, "********************************"));
		assert_non_null(strstr(want, " and ghs_16C7 "));
		if (i == 0) {
			char stars[sizeof(VALUE)];

			memset(stars, '*', sizeof(stars) - 1);
			stars[sizeof(stars) - 1] = 0;
			snprintf(text, sizeof(text), "{\"t\":\"%s\"} and ghs_16C7 %s.", stars,
				 stars);
			assert_string_equal(want, text);
			snprintf(text, sizeof(text), "{\"t\":\"%s\"} and ghs_16C7 %s.", VALUE,
				 VALUE);
		}
		for (size_t a = 0; a <= len; a++) {
			assert_string_equal(through(s, text, a, len), want);
			if (a + 3 <= len)
				assert_string_equal(through(s, text, a, a + 3), want);
		}
	}
	scrub_free(s);
}

static void test_nothing_else(void **state)
{
	struct scrub *s = made(VALUE, NULL);
	char text[4096];
	size_t sure;

	/* Near misses stay, and only what may be a start is held back. */
	copy(text, "ghs_16C7e42F/\"292c+6912E7710c838347Ae178B4b");
	assert_string_equal(through(s, text, 10, 20),
			    "ghs_16C7e42F/\"292c+6912E7710c838347Ae178B4b");
	memset(text, 'q', sizeof(text));
	assert_int_equal(scrub_bytes(s, text, sizeof(text), false, &sure), 0);
	assert_int_equal(sure, sizeof(text));
	memcpy(text + sizeof(text) - 4, "ghs_", 4);
	scrub_bytes(s, text, sizeof(text), false, &sure);
	assert_int_equal(sure, sizeof(text) - 4);
	scrub_free(s);
}

/* What may be the start of a form, and no byte more, is held back, at each length of it. */
static void test_held_back(void **state)
{
	struct scrub *s = made(VALUE, NULL);
	const char *starts[] = { VALUE,
				 "Z2hzXzE2QzdlNDJGLyIyOTJjKzY5MTJFNzcxMGM4MzgzNDdBZTE3OEI0Y",
				 "6768735f3136433765343246",
				 "6768735F3136433765343246",
				 "67 68 73 5f 31 36",
				 "ghs_16C7e42F%2F%22292c%2B6912E",
				 "ghs_16C7e42F%2f%22292c%2b6912E",
				 "ghs_16C7e42F\\/\\\"292c" };
	char text[512];
	size_t sure;

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		for (size_t n = 1; n < strlen(starts[i]); n++) {
			memset(text, '!', 300);
			memcpy(text + 300, starts[i], n);
			assert_int_equal(scrub_bytes(s, text, 300 + n, false, &sure), 0);
			assert_int_equal(sure, 300);
			/* Nor is it if it does not go on. */
			text[300 + n] = '!';
			assert_int_equal(scrub_bytes(s, text, 301 + n, false, &sure), 0);
			assert_int_equal(sure, 301 + n);
		}
	}
	scrub_free(s);
}

static void test_short_values(void **state)
{
	struct scrub *s = made("fifteen-bytes-x", NULL);
	char text[] = "fifteen-bytes-x";
	size_t sure;

	assert_int_equal(scrub_bytes(s, text, strlen(text), true, &sure), 0);
	assert_string_equal(text, "fifteen-bytes-x");
	scrub_free(s);
	s = made("sixteen-bytes-xy", NULL);
	assert_false(scrub_empty(s));
	scrub_free(s);
}

/* One value is the beginning of another: the longer is found, also across a cut. */
static void test_prefix_values(void **state)
{
	struct scrub *s = made("0123456789abcdefgh", "0123456789abcdefghIJKLMN");
	const char *text = "<0123456789abcdefghIJKLMN><0123456789abcdefgh!>";

	for (size_t a = 0; a <= strlen(text); a++)
		assert_string_equal(through(s, text, a, strlen(text)),
				    "<************************><******************!>");
	scrub_free(s);
}

static unsigned next(unsigned *seed)
{
	return *seed = *seed * 1103515245u + 12345u, *seed >> 16;
}

/* Against a plain search, over texts full of near hits. */
static void test_against_plain(void **state)
{
	struct scrub *s = made("aabaabaabaabaabaab", "abaabaaabbbaabaaba");
	const char *v[] = { "aabaabaabaabaabaab", "abaabaaabbbaabaaba" };
	unsigned seed = 7;

	for (int round = 0; round < 3000; round++) {
		char text[128], want[128];
		size_t n = 100;

		for (size_t i = 0; i < n; i++)
			text[i] = "aab"[next(&seed) % 3];
		for (int k = 0; k < 2; k++)
			memcpy(text + next(&seed) % 80, v[next(&seed) % 2], 18);
		text[n] = 0;
		copy(want, text);
		for (size_t i = 0; i + 18 <= n; i++) {
			if (memcmp(text + i, v[0], 18) == 0 || memcmp(text + i, v[1], 18) == 0) {
				memset(want + i, '*', 18);
				i += 17;
			}
		}
		assert_string_equal(through(s, text, next(&seed) % 50, 50 + next(&seed) % 50),
				    want);
	}
	scrub_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split),   cmocka_unit_test(test_nothing_else),
		cmocka_unit_test(test_short_values),  cmocka_unit_test(test_prefix_values),
		cmocka_unit_test(test_against_plain), cmocka_unit_test(test_held_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 18) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
