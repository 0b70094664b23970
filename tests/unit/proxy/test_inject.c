/* SPDX-License-Identifier: Apache-2.0 */
/* Injection: the value stands in its named place and nowhere else; what the client sent there is
 * gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>

#include "http/h1.h"
#include "policy/compile.h"
#include "proxy/inject.h"

/* Buffers here are made for what goes into them; the sanitizers hold that against it. */
__attribute__((unused)) PRINTF_LIKE(2, 3) static int print(char *to, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(to, 16384, fmt, ap);
	va_end(ap);
	return n;
}

__attribute__((unused)) static void copy(char *to, const char *from)
{
	memcpy(to, from, strlen(from) + 1);
}

#define TOKEN "tok-0123456789abcdef"
#define MARK "egret__gh__"

static const struct h1_limits limits = { 65536, 100, 4096, 100 };

#define CRED(inject, more)                                                                   \
	"{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", \"for\": \"any\", " \
	"\"hosts\": [\"a.test\", "                                                           \
	"\"b.test\"], \"inject\": " inject more " }"
#define MARKED ", \"placeholder\": { \"env\": [\"GH_TOKEN\"], \"value\": \"" MARK "\" }"

static const struct {
	const char *credential, *host, *sent,
		*want; /* header lines; want NULL: not wanted, and then `sent` stripped is "" */
} rows[] = {
	{ CRED("{ \"header\": \"Authorization\", \"format\": \"Bearer {token}\" }", ""), "a.test",
	  "X: 1\r\nAuthorization: own\r\nauthorization: own2\r\n",
	  "x=1;authorization=Bearer " TOKEN ";" },
	{ CRED("{ \"header\": \"Private-Token\", \"format\": \"{token}\" }", ""), "a.test",
	  "Private-Token: own\r\nAuthorization: own\r\n", "private-token=" TOKEN ";" },
	{ CRED("{ \"basic\": \"x-access-token:{token}\" }", ""), "a.test", "",
	  "authorization=Basic eC1hY2Nlc3MtdG9rZW46dG9rLTAxMjM0NTY3ODlhYmNkZWY=;" },
	{ CRED("[ { \"hosts\": [\"b.test\"], \"header\": \"Authorization\", \"format\": "
	       "\"{token}\" } ]",
	       ""),
	  "b.test", "", "authorization=" TOKEN ";" },
	{ CRED("[ { \"hosts\": [\"b.test\"], \"header\": \"Authorization\", \"format\": "
	       "\"{token}\" } ]",
	       ""),
	  "a.test", "Authorization: own\r\n", NULL },
};

static void sees(const struct head *h, char *out)
{
	*out = 0;
	for (size_t i = 0; i < h->n; i++)
		out += print(out, "%.*s=%.*s;", STR_ARG(h->fields[i].name),
			     STR_ARG(h->fields[i].value));
}

static void run(const char *credential, const char *host, const char *sent, bool wanted,
		const char *want)
{
	struct source src = { SOURCE_CREDENTIAL, STR("c.json"), str_of(credential) };
	struct compiled out;
	struct inject inj = { 0 };
	struct credential c;
	struct arena a;
	struct h1 h;
	char in[1024], got[2048];
	size_t used;

	assert_int_equal(policy_compile(&src, 1, 0, &out), 0);
	assert_int_equal(credential_open(out.credentials[0], &c), 0);
	arena_init(&a, 1 << 20);
	h1_init(&h, true, &limits);
	snprintf(in, sizeof(in), "GET / HTTP/1.1\r\n%s\r\n", sent);
	assert_int_equal(h1_next(&h, &a, in, strlen(in), false, &used), H1_HEAD);
	inject_strip(&c, str_of(host), &h.head);
	assert_int_equal(inject_wanted(&c, str_of(host), &h.head), wanted);
	if (wanted)
		assert_int_equal(inject_put(&c, str_of(host), STR(TOKEN), &h.head, &a, &inj), 0);
	sees(&h.head, got);
	assert_string_equal(got, want);
	inject_done(&inj);
	assert_int_equal(inj.n, 0);
	arena_done(&a);
	compiled_done(&out);
}

static void one(const char *credential, const char *host, const char *sent, const char *want)
{
	run(credential, host, sent, want != NULL, want ? want : "");
}

static void not_wanted(const char *credential, const char *host, const char *sent, const char *left)
{
	run(credential, host, sent, false, left);
}

static void test_table(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		one(rows[i].credential, rows[i].host, rows[i].sent, rows[i].want);
}

/* The job holds a placeholder: it is swapped in its place, inside Basic too, and left as it is
 * elsewhere. */
static void test_placeholder(void **state)
{
	static const char cred[] = CRED(
		"[ { \"header\": \"Authorization\", \"format\": \"Bearer {token}\" } ]", MARKED);

	static const char swap[] = CRED("{ \"header\": \"Authorization\" }", MARKED);
	static const char key[] = CRED("{ \"header\": \"X-Api-Key\" }", MARKED);

	/* A header binding sets it whatever was sent. */
	one(cred, "a.test", "Authorization: token " MARK "\r\nX: " MARK "\r\n",
	    "x=" MARK ";authorization=Bearer " TOKEN ";");
	one(swap, "a.test", "Authorization: token " MARK "\r\nX: " MARK "\r\n",
	    "authorization=token " TOKEN ";x=" MARK ";");
	/* user:MARK */
	one(swap, "a.test", "Authorization: Basic dXNlcjplZ3JldF9fZ2hfXw==\r\n",
	    "authorization=Basic dXNlcjp0b2stMDEyMzQ1Njc4OWFiY2RlZg==;");
	one(swap, "a.test", "Authorization: basic  dXNlcjplZ3JldF9fZ2hfXw==\r\nX: 1\r\n",
	    "authorization=Basic dXNlcjp0b2stMDEyMzQ1Njc4OWFiY2RlZg==;x=1;");
	one(swap, "a.test", "Authorization: " MARK "," MARK "\r\n",
	    "authorization=" TOKEN "," TOKEN ";");
	/* No placeholder: the client's own goes, nothing comes. */
	one(swap, "a.test", "Authorization: Bearer own\r\n", NULL);
	one(swap, "a.test", "Authorization: Basic b3duOm93bg==\r\n", NULL);
	one(swap, "a.test", "Authorization: Basic !!!!\r\n", NULL);
	one(key, "a.test", "X-Api-Key: " MARK "\r\nAuthorization: own\r\n", "x-api-key=" TOKEN ";");
	/* A placeholder where none is looked for does not keep the client's own. */
	one(key, "a.test", "X-Api-Key: " MARK "\r\nAuthorization: Digest own, opaque=" MARK "\r\n",
	    "x-api-key=" TOKEN ";");
	/* Its other places do not count. */
	not_wanted(key, "a.test", "X-Other: " MARK "\r\n", "x-other=" MARK ";");
}

static void test_bad_value(void **state)
{
	struct source src = { SOURCE_CREDENTIAL, STR("c.json"), str_of(rows[0].credential) };
	struct head h = { .is_request = true };
	struct inject inj = { 0 };
	struct compiled out;
	struct credential c;
	struct arena a;

	assert_int_equal(policy_compile(&src, 1, 0, &out), 0);
	assert_int_equal(credential_open(out.credentials[0], &c), 0);
	arena_init(&a, 1 << 16);
	assert_int_equal(inject_put(&c, STR("a.test"), STR("a\r\nX: y"), &h, &a, &inj), -EINVAL);
	assert_int_equal(h.n, 0);
	inject_done(&inj);
	arena_done(&a);
	compiled_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_placeholder),
		cmocka_unit_test(test_bad_value),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 18) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
