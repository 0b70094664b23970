/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to Vault and what its answers mean (provider/vault_form.h), by the documented forms.
 */
#include "unit/provider/asked.h"

#include "provider/http.h"
#include "provider/vault_form.h"
#include <errno.h>

#define VAULT(q, ...) ASKED(q, MSG_PROVIDE, "vault", "address=https://v.test", __VA_ARGS__)

static const struct node *json(struct question *q, const char *text)
{
	return node_json(q, str_of(text));
}

static void paths(void **state)
{
	static const struct {
		const char *path, *sent; /* NULL: refused */
	} rows[] = {
		{ "kv/data/app", "kv/data/app" },
		{ "a", "a" },
		{ "kv/data/a b", "kv/data/a%20b" },
		{ "kv/data/\xc3\xa9", "kv/data/%C3%A9" },
		{ "kv/data/a:b@c&d=e;f", "kv/data/a%3Ab%40c%26d%3De%3Bf" },
		{ "kv/data/...", "kv/data/..." },
		{ "", NULL },
		{ "/kv", NULL },
		{ "kv/", NULL },
		{ "kv//app", NULL },
		{ ".", NULL },
		{ "kv/./app", NULL },
		{ "kv/../sys", NULL },
		{ "kv/..", NULL },
		{ "kv?version=1", NULL },
		{ "kv#a", NULL },
		{ "kv/%2e%2e", NULL },
		{ "kv/a\nb", NULL },
		{ "kv/a\x7f", NULL },
	};
	struct question q;
	struct str sent;

	VAULT(&q, "path=x");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool good = vault_path(&q, str_of(rows[i].path), &sent);

		if (good != (rows[i].sent != NULL) || (good && !str_is(sent, rows[i].sent)))
			fail_msg("%s: %.*s", rows[i].path, good ? (int)sent.n : 0, sent.p);
	}
	question_done(&q);
}

static void logins(void **state)
{
	static const struct {
		const char *fields[8];
		const char *path, *body, *why;
	} rows[] = {
		{ { "auth.method=approle", "auth.role_id=r\"1", "!auth.secret_id=s-1\n" },
		  "auth/approle/login",
		  "{\"role_id\":\"r\\\"1\",\"secret_id\":\"s-1\"}",
		  NULL },
		{ { "auth.method=approle", "auth.mount=team/apps", "auth.role_id=r",
		    "!auth.secret_id=\n" },
		  "auth/team/apps/login",
		  NULL,
		  "vault: the secret_id is empty" },
		{ { "auth.method=jwt", "auth.role=web", "token=a.b.c" },
		  "auth/jwt/login",
		  "{\"role\":\"web\",\"jwt\":\"a.b.c\"}",
		  NULL },
		{ { "auth.method=jwt", "auth.role=web", "!auth.token=other" },
		  "auth/jwt/login",
		  NULL,
		  "vault: the job has no identity token to log in with (jwt)" },
		{ { "auth.method=kubernetes", "auth.role=web", "!auth.token=a.b.c\n",
		    "token=the.jobs.own" },
		  "auth/kubernetes/login",
		  "{\"role\":\"web\",\"jwt\":\"a.b.c\"}",
		  NULL },
		{ { "auth.method=kubernetes", "auth.role=web" },
		  "auth/kubernetes/login",
		  NULL,
		  "vault: the account's token is empty" },
		{ { "auth.method=cert", "auth.role=ci" },
		  "auth/cert/login",
		  "{\"name\":\"ci\"}",
		  NULL },
		{ { "auth.method=cert" }, "auth/cert/login", "{}", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct question q;
		struct str body;
		int r;

		asked(&q, MSG_PROVIDE, "vault", rows[i].fields);
		r = vault_login_body(&q, &body);
		assert_true(str_is(vault_login_path(&q), rows[i].path));
		assert_int_equal(r, rows[i].why ? -EINVAL : 0);
		if (rows[i].why)
			assert_string_equal(q.why, rows[i].why);
		else if (!str_is(body, rows[i].body))
			fail_msg("%.*s", STR_ARG(body));
		question_done(&q);
	}
}

static void lease_bodies(void **state)
{
	struct question q;

	VAULT(&q, "path=x");
	assert_true(str_is(vault_lease_body(&q, STR("a/b"), 0), "{\"lease_id\":\"a/b\"}"));
	assert_true(str_is(vault_lease_body(&q, STR("a/b"), 60),
			   "{\"lease_id\":\"a/b\",\"increment\":60}"));
	assert_true(str_is(vault_lease_body(&q, STR(""), 60), "{\"increment\":60}"));
	assert_true(str_is(vault_lease_body(&q, STR(""), 0), "{}"));
	question_done(&q);
}

#define AUTH(more)                                                                      \
	"{\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":0,\"data\":null,"    \
	"\"wrap_info\":null,\"auth\":{\"client_token\":\"hvs.abc\",\"accessor\":\"x\"," \
	"\"policies\":[\"default\"],\"lease_duration\":1200,\"renewable\":true" more "}}"

static void answers(void **state)
{
	static const char *const bad[] = {
		"[]",
		"{\"auth\":{}}",
		"{\"auth\":{\"client_token\":5,\"lease_duration\":1}}",
		"{\"auth\":{\"client_token\":\"\",\"lease_duration\":1}}",
		"{\"auth\":{\"client_token\":\"a b\",\"lease_duration\":1}}",
		"{\"auth\":{\"client_token\":\"a\\r\\nX-Evil: 1\",\"lease_duration\":1}}",
		"{\"auth\":{\"client_token\":\"a\"}}",
		"{\"auth\":{\"client_token\":\"a\",\"lease_duration\":-1}}",
		"{\"lease_id\":\"a\\nb\",\"lease_duration\":1,\"data\":{}}",
		"{\"lease_id\":\"a\",\"data\":{}}",
	};
	struct vault_answer a;
	struct question q;

	VAULT(&q, "path=x");
	assert_int_equal(vault_read(&q, json(&q, AUTH("")), &a), 0);
	assert_true(str_is(a.token, "hvs.abc") && a.token_s == 1200 && a.token_renewable);
	assert_true(!a.token_batch && !a.lease.n && !a.data && !a.mfa && !a.wrapped);
	assert_int_equal(vault_read(&q, json(&q, AUTH(",\"token_type\":\"batch\"")), &a), 0);
	assert_true(a.token_batch);
	assert_int_equal(
		vault_read(&q, json(&q, AUTH(",\"mfa_requirement\":{\"mfa_request_id\":1}")), &a),
		0);
	assert_true(a.mfa && !a.token.n);
	assert_int_equal(vault_read(&q, json(&q, "{\"wrap_info\":{\"token\":\"w\"}}"), &a), 0);
	assert_true(a.wrapped && !a.token.n);
	assert_int_equal(vault_read(&q,
				    json(&q, "{\"lease_id\":\"database/creds/ro/x\","
					     "\"lease_duration\":99999999999,\"renewable\":true,"
					     "\"data\":{\"password\":\"p\"}}"),
				    &a),
			 0);
	assert_true(str_is(a.lease, "database/creds/ro/x") && a.lease_renewable && a.data);
	assert_int_equal(a.lease_s, VAULT_SECONDS_MAX);
	/* A field that is called data in a secret of version 1 is a field. */
	assert_int_equal(vault_read(&q, json(&q, "{\"data\":{\"data\":{\"a\":\"b\"}}}"), &a), 0);
	assert_non_null(node_get(a.data, "data"));
	assert_int_equal(vault_read(&q, json(&q, "{\"data\":{\"data\":null,\"metadata\":{}}}"), &a),
			 0);
	assert_null(a.data);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(vault_read(&q, json(&q, bad[i]), &a), -EBADMSG);
		assert_string_equal(q.why, "vault: the answer does not have the form of Vault's");
	}
	assert_int_equal(vault_read(&q, NULL, &a), -EBADMSG);
	question_done(&q);
}

static void fields(void **state)
{
	static const struct {
		const char *field, *data, *value, *why;
	} rows[] = {
		{ "", "{\"x\":\"1\"}", "1", NULL },
		{ "", "{\"username\":\"u\",\"password\":\"p\"}", "p", NULL },
		{ "", "{\"password\":\"p\",\"token\":\"t\"}", "t", NULL },
		{ "", "{\"token\":\"t\",\"value\":\"v\"}", "v", NULL },
		{ "", "{}", NULL, "the secret has 0 fields" },
		{ "", "{\"a\":\"1\",\"b\":\"2\"}", NULL, "the secret has 2 fields" },
		{ "b", "{\"a\":\"1\",\"b\":\"2\"}", "2", NULL },
		{ "c", "{\"a\":\"1\",\"b\":\"2\"}", NULL, "the secret has no field c" },
		{ "a:b", "{\"a\":\"1\",\"b\":\"2\"}", "1:2", NULL },
		{ "a:b", "{\"a\":\"1\",\"a:b\":\"3\"}", "3", NULL },
		{ "a:", "{\"a\":\"1\"}", NULL, "the secret has not both fields of a:" },
		{ "a:c", "{\"a\":\"1\"}", NULL, "the secret has not both fields of a:c" },
		{ "a", "{\"a\":5}", NULL, "the secret's field is empty, no text" },
		{ "a", "{\"a\":\"\"}", NULL, "the secret's field is empty, no text" },
		{ "a", "{\"a\":{}}", NULL, "the secret's field is empty, no text" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char field[32];
		struct question q;
		struct str v;
		int r;

		snprintf(field, sizeof(field), "field=%s", rows[i].field);
		VAULT(&q, "path=x", field);
		r = vault_field(&q, json(&q, rows[i].data), &v);
		if (rows[i].value && (r || !str_is(v, rows[i].value)))
			fail_msg("row %zu: %s", i, q.why);
		if (!rows[i].value && (!r || !strstr(q.why, rows[i].why)))
			fail_msg("row %zu: %d %s", i, r, q.why);
		question_done(&q);
	}
}

/* Words are ours alone: what the server wrote appears nowhere. */
static void faults(void **state)
{
	static const struct {
		long status;
		const char *body;
		int code;
		const char *words;
	} rows[] = {
		{ 503, "{\"errors\":[\"Vault is sealed\"]}", -EAGAIN, "sealed" },
		{ 403, "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}",
		  -EACCES, "permission denied" },
		{ 403,
		  "{\"errors\":[\"2 errors occurred:\\n\\t* permission denied\\n\\t* invalid "
		  "token\"]}",
		  -EACCES, "the token is not valid any more" },
		{ 400, "{\"errors\":[\"invalid role or secret ID\"]}", -EACCES,
		  "role_id or secret_id is wrong, used up or expired" },
		{ 400, "{\"errors\":[5,null,\"x\",\"role \\\"<script>\\\" could not be found\"]}",
		  -EACCES, "there is no such role" },
		{ 404, "{\"errors\":[]}", -ENOENT, "it is not there" },
		{ 404, "{\"errors\":[\"no handler for route \\\"kv/x\\\"\"]}", -ENOENT,
		  "nothing is mounted there in this namespace" },
		{ 429, "{\"errors\":[\"rate limit quota exceeded\"]}", -EAGAIN,
		  "too many requests" },
		{ 412, "{\"errors\":[\"something\"]}", -EAGAIN, "" },
		{ 472, "", -EAGAIN, "" },
		{ 473, "", -EAGAIN, "" },
		{ 500, "<html>", -EAGAIN, "" },
		{ 502, "{\"errors\":\"text\"}", -EAGAIN, "" },
		{ 400, "{\"errors\":[\"::add-mask::\"]}", -EACCES, "" },
		{ 301, "", -EACCES, "" },
	};
	const char *words;
	struct question q;

	VAULT(&q, "path=x");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = vault_fault(rows[i].status, json(&q, rows[i].body), &words);

		if (r != rows[i].code || strcmp(words, rows[i].words))
			fail_msg("row %zu: %d %s", i, r, words);
	}
	assert_null(vault_health(200));
	assert_string_equal(vault_health(503), "sealed");
	assert_string_equal(vault_health(501), "not initialised");
	assert_non_null(vault_health(429));
	assert_non_null(vault_health(472));
	assert_non_null(vault_health(473));
	question_done(&q);
}

static void handles(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"2 sr 5 6 hvs.a l",
		"1 s 5 6 hvs.a l",
		"1 sr -5 6 hvs.a l",
		"1 sr 5 x hvs.a l",
		"1 sr 5 6 hvs.a",
		"1 sr 5 6  l",
		"1 sr 5 6 hvs\x01 l",
		"1 sr 5 6 hvs.a l\n",
		"1 sr 99999999999999999999 6 hvs.a l",
	};
	static const struct vault_handle good[] = {
		{ STR("hvs.a"), STR("database/creds/a b/c"), false, true, 1700000000, 600 },
		{ STR("hvb.a"), STR("x"), true, false, 0, 0 },
		{ STR("hvs.a"), STR(""), false, false, INT64_MAX / 4, 0 },
	};
	struct vault_handle h;
	struct question q;

	VAULT(&q, "path=x");
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct str text = vault_handle_write(&q, &good[i]);

		assert_int_equal(vault_handle_read(text, &h), 0);
		assert_true(str_eq(h.token, good[i].token) && str_eq(h.lease, good[i].lease));
		assert_true(h.batch == good[i].batch &&
			    h.token_renewable == good[i].token_renewable &&
			    h.token_ends == good[i].token_ends && h.granted_s == good[i].granted_s);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (vault_handle_read(str_of(bad[i]), &h) != -EBADMSG)
			fail_msg("%s", bad[i]);
	question_done(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),   cmocka_unit_test(logins), cmocka_unit_test(lease_bodies),
		cmocka_unit_test(answers), cmocka_unit_test(fields), cmocka_unit_test(faults),
		cmocka_unit_test(handles),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
