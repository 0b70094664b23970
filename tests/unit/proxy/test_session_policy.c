/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions and policy: real addresses, narrowing, audit mode, several credentials, placeholders. */
#include "session_rig.h"

#define JOB "\"for\": [ { \"repo\": \"a/b\" } ]"
static const char enforce[] =
	"{ \"version\": 1, \"name\": \"acme\", \"mode\": \"enforce\", " JOB ", \"rules\": [\n"
	"{ \"id\": \"plain\", \"allow\": \"ANY http://plain.test\" },\n"
	"{ \"id\": \"both\", \"allow\": \"ANY https://both.test\" },\n"
	"{ \"id\": \"swap\", \"allow\": \"ANY https://swap.test\" },\n"
	"{ \"id\": \"lan\", \"allow\": \"GET http://198.51.100.7\" } ] }";
static const char audit[] =
	"{ \"version\": 1, \"name\": \"acme\", \"mode\": \"audit\", " JOB ", \"rules\": [\n"
	"{ \"id\": \"no\", \"deny\": \"http://plain.test/no\" },\n"
	"{ \"id\": \"yes\", \"allow\": \"GET http://plain.test/yes\" } ] }";
static const char narrow[] =
	"{ \"version\": 1, \"name\": \"mine\", \"mode\": \"enforce\", " JOB ", \"rules\": [\n"
	"{ \"id\": \"less\", \"allow\": \"GET http://plain.test/only\" } ] }";
static const char credential[] = "{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", "
				 "\"for\": \"any\", \"hosts\": [\"swap.test\"],\n"
				 "\"placeholder\": { \"env\": [\"T\"], \"value\": \"egret__gh__\" "
				 "}, \"inject\": { \"header\": \"Authorization\" } }";

static int up(void **state)
{
	return rig_up_with(enforce, credential);
}

static int up_audit(void **state)
{
	return rig_up_with(audit, credential);
}

static int down(void **state)
{
	return rig_down();
}

#define assert_says(text, part)                                            \
	do {                                                               \
		const char *t_ = (text);                                   \
		if (!strstr(t_, part))                                     \
			print_error("got: %s\nnot in it: %s\n", t_, part); \
		assert_non_null(strstr(t_, part));                         \
	} while (0)

static const uint8_t address[16] = {
	[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 51, [14] = 100, [15] = 7
};

static void connects_to_address(bool tls)
{
	job_connects_as(tls, &(struct origin){ .addr = address, .port = tls ? 443 : 80 });
}

static void test_real_address(void **state)
{
	/* Host gives the name, and we resolve it again: the address that was dialled is not asked.
	 */
	connects_to_address(false);
	say(rig.client, "GET /x HTTP/1.1\r\nHost: Plain.test\r\n\r\n");
	assert_string_equal(rig.last_host, "plain.test");
	assert_null(rig.last_ask.addr);
	say(rig.origin[0], "HTTP/1.1 204 No\r\n\r\n");
	hear(rig.client);
	/* Each request has its own. */
	say(rig.client, "GET /x HTTP/1.1\r\nHost: evil.test\r\n\r\n");
	assert_says(hear(rig.client), "403 Blocked by egret: no rule allows GET evil.test/x");
	say(rig.client, "GET /x HTTP/1.1\r\nHost: 198.51.100.7\r\n\r\n");
	assert_string_equal(rig.last_host, "");
	assert_memory_equal(rig.last_ask.addr, address, 16);
	say(rig.origin[0], "HTTP/1.1 204 No\r\n\r\n");
	hear(rig.client);
	say(rig.client, "GET /x HTTP/1.1\r\nHost: 198.51.100.8\r\n\r\n");
	assert_says(hear(rig.client),
		    "421 Blocked by egret: Host is 198.51.100.8 but the connection is to another");
	job_leaves();
	connects_to_address(true);
	say(rig.client, "GET / HTTP/1.1\r\nHost: both.test\r\n\r\n");
	assert_says(hear(rig.client),
		    "421 Blocked by egret: Host is a name but TLS was opened without one");
}

static void test_narrowed(void **state)
{
	struct source src = { SOURCE_POLICY, STR("n.json"), str_of(narrow) };
	struct compiled mine;

	assert_int_equal(policy_compile(&src, 1, 0, &mine), 0);
	assert_int_equal(policy_open(mine.policies[0], &rig.px.policies[1]), 0);
	rig.px.npolicies = 2;
	job_connects(false, "plain.test", 80);
	say(rig.client, "GET /only HTTP/1.1\r\nHost: plain.test\r\n\r\n");
	assert_int_equal(rig.dialled, 1);
	say(rig.origin[0], "HTTP/1.1 204 No\r\n\r\n");
	hear(rig.client);
	say(rig.client, "POST /only HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 0\r\n\r\n");
	{
		const char *got = hear(rig.client);

		assert_says(got, "403 Blocked by egret: the policy given with the job does not "
				 "allow it: POST plain.test/only");
		assert_says(got, "policy:   mine\n");
	}
	assert_says(rig.events, "http.request:deny:narrowed");
	job_leaves();
	/* What only the narrower allows stays refused. */
	rig.px.policies[0] = rig.px.policies[1];
	assert_int_equal(policy_open(rig.compiled.policies[0], &rig.px.policies[1]), 0);
	job_connects(true, "both.test", 443);
	say(rig.client, "GET / HTTP/1.1\r\nHost: both.test\r\n\r\n");
	assert_says(hear(rig.client), "403 Blocked by egret");
	job_leaves();
	compiled_done(&mine);
}

static void test_audit_mode(void **state)
{
	job_connects(false, "plain.test", 80);
	for (int i = 0; i < 3; i++) {
		static const char *const in[] = {
			"GET /yes HTTP/1.1\r\nHost: plain.test\r\n\r\n",
			"POST /else HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 0\r\n\r\n",
			"GET /no HTTP/1.1\r\nHost: plain.test\r\n\r\n"
		};

		say(rig.client, in[i]);
		say(rig.origin[0], "HTTP/1.1 204 No\r\n\r\n");
		assert_says(hear(rig.client), "204 No");
	}
	assert_says(rig.events,
		    "http.request:allow:rule http.response:: http.request:would_deny:audit_mode ");
	assert_says(rig.events, "http.request:would_deny:deny_rule ");
}

static void test_placeholder(void **state)
{
	job_connects(true, "swap.test", 443);
	/* None sent: nobody is asked for a value, and the client's own is gone. */
	say(rig.client, "GET /1 HTTP/1.1\r\nHost: swap.test\r\nAuthorization: own\r\n\r\n");
	assert_int_equal(rig.leases_asked, 0);
	assert_null(strstr(hear(rig.origin[0]), "uthorization"));
	say(rig.origin[0], "HTTP/1.1 204 No\r\n\r\n");
	hear(rig.client);
	say(rig.client, "GET /egret__gh__ HTTP/1.1\r\nHost: swap.test\r\nAuthorization: token "
			"egret__gh__\r\nX: egret__gh__\r\n\r\n");
	assert_int_equal(rig.leases_asked, 1);
	assert_says(hear(rig.origin[0]),
		    "GET /egret__gh__ HTTP/1.1\r\nHost: swap.test\r\nAuthorization: token " SECRET
		    "\r\nX: egret__gh__\r\naccept-encoding: identity\r\n\r\n");
	/* A retry on a fresh connection carries it as well. */
	say(rig.origin[0], "HTTP/1.1 204 No\r\n\r\n");
	hear(rig.client);
	shutdown(rig.origin[0], SHUT_RDWR);
	say(rig.client,
	    "GET /2 HTTP/1.1\r\nHost: swap.test\r\nAuthorization: token egret__gh__\r\n\r\n");
	assert_int_equal(rig.dialled, 2);
	assert_says(hear(rig.origin[1]), "Authorization: token " SECRET "\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_real_address, up, down),
		cmocka_unit_test_setup_teardown(test_narrowed, up, down),
		cmocka_unit_test_setup_teardown(test_audit_mode, up_audit, down),
		cmocka_unit_test_setup_teardown(test_placeholder, up, down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 20) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
