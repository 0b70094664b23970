/* SPDX-License-Identifier: Apache-2.0 */
/* Injection: the value stands in its named place and nowhere else; what the client sent there is
 * gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "http/h1.h"
#include "policy/compile.h"
#include "proxy/inject.h"
#include "unit/print.h"

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
	struct carrier k;
	size_t used;

	assert_int_equal(policy_compile(&src, 1, 0, &out), 0);
	assert_int_equal(credential_open(out.credentials[0], &c), 0);
	arena_init(&a, 1 << 20);
	h1_init(&h, true, &limits);
	snprintf(in, sizeof(in), "GET / HTTP/1.1\r\n%s\r\n", sent);
	assert_int_equal(h1_next(&h, &a, in, strlen(in), false, &used), H1_HEAD);
	k = (struct carrier){ .head = &h.head, .arena = &a, .target = STR("/") };
	inject_strip(&c, str_of(host), &k);
	assert_int_equal(inject_wanted(&c, str_of(host), &k), wanted);
	if (wanted)
		assert_int_equal(inject_put(&c, str_of(host), STR(TOKEN), &k, &inj), 0);
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

/* ---- the query and the body ---- */

#define VALUE "s3cr3t/\"va\\lue+&%"
#define IN_QUERY "s3cr3t%2F%22va%5Clue%2B%26%25"
#define IN_JSON "s3cr3t/\\\"va\\\\lue+&%"

static struct carrier put(const char *credential, const char *target, enum carrier_body kind,
			  const char *body, const char **ret_doubt, char *got)
{
	struct source src = { SOURCE_CREDENTIAL, STR("c.json"), str_of(credential) };
	struct head h = { .is_request = true };
	struct inject inj = { 0 };
	struct compiled out;
	struct credential c;
	struct carrier k;
	struct arena a;
	char *to = got;

	assert_int_equal(policy_compile(&src, 1, 0, &out), 0);
	assert_int_equal(credential_open(out.credentials[0], &c), 0);
	arena_init(&a, 1 << 16);
	k = (struct carrier){ .head = &h,
			      .arena = &a,
			      .target = str_of(target),
			      .kind = kind,
			      .body = str_of(body) };
	inject_strip(&c, STR("a.test"), &k);
	*ret_doubt = inject_body_doubt(&c, STR("a.test"), &k);
	if (!*ret_doubt && inject_wanted(&c, STR("a.test"), &k))
		assert_int_equal(inject_put(&c, STR("a.test"), STR(VALUE), &k, &inj), 0);
	if (kind) {
		for (size_t i = 0; i < k.nparts; i++)
			to += print(to, "%.*s", STR_ARG(k.parts[i]));
		if (k.nparts)
			assert_int_equal(to - got, k.length);
		else
			print(got, "%s", body);
	} else {
		print(got, "%.*s", STR_ARG(k.target));
	}
	inject_done(&inj);
	arena_done(&a);
	compiled_done(&out);
	return k;
}

static void query(const char *credential, const char *target, const char *want)
{
	const char *doubt;
	char got[1024];

	put(credential, target, CARRIER_NONE, "", &doubt, got);
	assert_string_equal(got, want);
}

static void test_query(void **state)
{
	static const char set[] = CRED("{ \"query\": \"a key\", \"format\": \"t.{token}\" }", "");
	static const char swap[] = CRED("{ \"query\": \"key\" }", MARKED);
	static const char kept[] =
		CRED("{ \"query\": \"key\" }", MARKED ", \"client_auth\": \"pass\"");

	query(set, "/p", "/p?a%20key=t." IN_QUERY);
	query(set, "/p?", "/p?a%20key=t." IN_QUERY);
	query(set, "/p?x=1&y", "/p?x=1&y&a%20key=t." IN_QUERY);
	query(set, "/p?a+key=own&x=1&a%20key=own&%61%20key", "/p?x=1&a%20key=t." IN_QUERY);
	query(swap, "/p?x=" MARK "&key=" MARK "&y=%41", "/p?x=" MARK "&key=" IN_QUERY "&y=%41");
	query(swap, "/p?k%65y=u:" MARK "," MARK, "/p?k%65y=u:" IN_QUERY "," IN_QUERY);
	/* The client's own goes, and what is not the key's stays. */
	query(swap, "/p?key=own&x=1", "/p?x=1");
	query(swap, "/p?key=own", "/p");
	query(swap, "/p?" MARK "&" MARK "=key&keys=" MARK, "/p?" MARK "&" MARK "=key&keys=" MARK);
	query(swap, "/key=" MARK, "/key=" MARK);
	query(kept, "/p?key=own&x=1", "/p?key=own&x=1");
	query(kept, "/p?key=" MARK, "/p?key=" IN_QUERY);
}

static void body(const char *credential, enum carrier_body kind, const char *text, const char *want)
{
	const char *doubt;
	char got[2048];

	put(credential, "/", kind, text, &doubt, got);
	assert_null(doubt);
	assert_string_equal(got, want);
}

static void doubtful(const char *credential, const char *text, const char *why)
{
	const char *doubt;
	char got[2048];

	put(credential, "/", CARRIER_JSON, text, &doubt, got);
	assert_non_null(doubt);
	assert_non_null(strstr(doubt, why));
	assert_string_equal(got, text);
}

static void test_json(void **state)
{
	static const char cred[] =
		CRED("[ { \"json\": \"/auth/token\" }, { \"json\": \"/a~1b/1/~0\" } ]", MARKED);
	char deep[512] = "";

	body(cred, CARRIER_JSON, "{\"auth\":{\"token\":\"" MARK "\"}}",
	     "{\"auth\":{\"token\":\"" IN_JSON "\"}}");
	/* Numbers, blanks and the order stay as they are; other places keep the placeholder. */
	body(cred, CARRIER_JSON,
	     " {\"n\" : 1.50e+1,\"" MARK "\":\"" MARK "\", \"auth\":{ \"x\":\"" MARK
	     "\",\"t\\u006fken\": \"a " MARK "/" MARK "\\n\"}}\r\n",
	     " {\"n\" : 1.50e+1,\"" MARK "\":\"" MARK "\", \"auth\":{ \"x\":\"" MARK
	     "\",\"t\\u006fken\": \"a " IN_JSON "/" IN_JSON "\\n\"}}\r\n");
	body(cred, CARRIER_JSON,
	     "{\"a/b\":[\"" MARK "\",{\"~\":\"" MARK "\"},{\"~\":\"" MARK "\"}]}",
	     "{\"a/b\":[\"" MARK "\",{\"~\":\"" IN_JSON "\"},{\"~\":\"" MARK "\"}]}");
	/* No string, or not there. */
	body(cred, CARRIER_JSON, "{\"auth\":{\"token\":[\"" MARK "\"]}}",
	     "{\"auth\":{\"token\":[\"" MARK "\"]}}");
	body(cred, CARRIER_JSON, "\"" MARK "\"", "\"" MARK "\"");
	body(cred, CARRIER_JSON, "no json", "no json");
	body(cred, CARRIER_JSON, "", "");
	doubtful(cred, "{\"auth\":{\"token\":\"" MARK "\",\"token\":\"x\"}}", "twice");
	doubtful(cred, "{\"auth\":{\"token\":\"x\"},\"auth\":{\"token\":\"" MARK "\"}}", "twice");
	doubtful(cred, "{\"auth\":{\"token\":\"" MARK "\"}", "not JSON");
	doubtful(cred, "{\"auth\":{\"token\":\"" MARK "\"}} x", "not JSON");
	doubtful(cred, "{\"auth\":{\"token\":\"" MARK "\",}}", "not JSON");
	doubtful(cred, "{'auth':{'token':'" MARK "'}}", "not JSON");
	memset(deep, '[', 65);
	copy(deep + 65, "\"" MARK "\"");
	memset(deep + strlen(deep), ']', 65);
	doubtful(cred, deep, "64 levels");
}

static void test_form(void **state)
{
	static const char cred[] =
		CRED("[ { \"form\": \"pass word\" }, { \"json\": \"/x\" } ]", MARKED);

	body(cred, CARRIER_FORM, "u=" MARK "&pass+word=" MARK "&x=1",
	     "u=" MARK "&pass+word=" IN_QUERY "&x=1");
	body(cred, CARRIER_FORM, "pass%20word=a" MARK MARK "&pass word=" MARK,
	     "pass%20word=a" IN_QUERY IN_QUERY "&pass word=" IN_QUERY);
	body(cred, CARRIER_FORM, "&pass+word&=" MARK "&", "&pass+word&=" MARK "&");
	doubtful(cred, "pass+word=" MARK, "not JSON");
}

static void kind(const char *lines, enum carrier_body want)
{
	char in[512];
	struct arena a;
	struct h1 h;
	size_t used;

	arena_init(&a, 1 << 20);
	h1_init(&h, true, &limits);
	snprintf(in, sizeof(in), "POST / HTTP/1.1\r\n%s\r\n", lines);
	assert_int_equal(h1_next(&h, &a, in, strlen(in), false, &used), H1_HEAD);
	assert_int_equal(carrier_body(&h.head), want);
	arena_done(&a);
}

static void test_kinds(void **state)
{
	kind("Content-Length: 2\r\nContent-Type: application/json\r\n", CARRIER_JSON);
	kind("Transfer-Encoding: chunked\r\nContent-Type: Application/JSON ; charset=utf-8\r\n",
	     CARRIER_JSON);
	kind("Content-Length: 2\r\nContent-Type: application/vnd.x+json\r\n", CARRIER_JSON);
	kind("Content-Length: 2\r\nContent-Type: application/x-www-form-urlencoded\r\n",
	     CARRIER_FORM);
	kind("Content-Length: 2\r\nContent-Type: multipart/form-data; boundary=x\r\n",
	     CARRIER_NONE);
	kind("Content-Length: 2\r\nContent-Type: text/json\r\n", CARRIER_NONE);
	kind("Content-Length: 0\r\nContent-Type: application/json\r\n", CARRIER_NONE);
	kind("Content-Type: application/json\r\n", CARRIER_NONE);
	kind("Content-Length: 2\r\n", CARRIER_NONE);
}

/* A value of a header is formed once a lease; where bindings go past the room for that, each time.
 */
static void test_formed(void **state)
{
	char text[4096], *to = text;
	struct source src = { SOURCE_CREDENTIAL, STR("c.json"), { text, 0 } };
	struct head h = { .is_request = true };
	struct formed formed = { 0 };
	struct inject inj = { .formed = &formed };
	struct compiled out;
	struct credential c;
	struct carrier k;
	struct arena a;

	to += print(to, "%s",
		    "{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", "
		    "\"for\": \"any\", \"hosts\": [\"a.test\"], \"inject\": [ "
		    "{ \"basic\": \"u:{token}\" }");
	for (unsigned i = 1; i <= INJECT_MAX; i++)
		to += print(to, ", { \"header\": \"x-%u\", \"format\": \"%u {token}\" }", i, i);
	to += print(to, " ] }");
	src.text.n = (size_t)(to - text);
	assert_int_equal(policy_compile(&src, 1, 0, &out), 0);
	assert_int_equal(credential_open(out.credentials[0], &c), 0);
	arena_init(&a, 1 << 16);
	for (unsigned times = 0; times < 3; times++) {
		/* The second time another value is given, and what is formed counts. */
		struct str value = times == 1 ? STR("other") : STR(TOKEN);

		h.n = 0;
		if (times == 2)
			formed_done(&formed);
		k = (struct carrier){ .head = &h, .arena = &a, .target = STR("/") };
		assert_int_equal(inject_put(&c, STR("a.test"), value, &k, &inj), 0);
		assert_int_equal(h.n, INJECT_MAX + 1);
		assert_true(str_is(h.fields[0].value, "Basic dTp0b2stMDEyMzQ1Njc4OWFiY2RlZg=="));
		assert_ptr_equal(h.fields[0].value.p, formed.values[0].p);
		assert_true(str_is(h.fields[15].value, "15 " TOKEN));
		assert_true(str_is(h.fields[16].value, times == 1 ? "16 other" : "16 " TOKEN));
		assert_int_equal(inj.n, 1);
		inject_done(&inj);
	}
	formed_done(&formed);
	for (unsigned i = 0; i < INJECT_MAX; i++)
		assert_null(formed.values[i].p);
	arena_done(&a);
	compiled_done(&out);
}

static void test_bad_value(void **state)
{
	struct source src = { SOURCE_CREDENTIAL, STR("c.json"), str_of(rows[0].credential) };
	struct head h = { .is_request = true };
	struct formed formed = { 0 };
	struct inject inj = { .formed = &formed };
	struct compiled out;
	struct credential c;
	struct carrier k;
	struct arena a;

	assert_int_equal(policy_compile(&src, 1, 0, &out), 0);
	assert_int_equal(credential_open(out.credentials[0], &c), 0);
	arena_init(&a, 1 << 16);
	k = (struct carrier){ .head = &h, .arena = &a, .target = STR("/") };
	assert_int_equal(inject_put(&c, STR("a.test"), STR("a\r\nX: y"), &k, &inj), -EINVAL);
	assert_int_equal(h.n, 0);
	assert_null(formed.values[0].p);
	inject_done(&inj);
	arena_done(&a);
	compiled_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),  cmocka_unit_test(test_placeholder),
		cmocka_unit_test(test_query),  cmocka_unit_test(test_json),
		cmocka_unit_test(test_form),   cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_formed), cmocka_unit_test(test_bad_value),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 18) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
