/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused at load, with the exact place and a sentence; and that what should load does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/proto.h"
#include "policy/compile.h"
#include "policy/credential.h"
#include "unit/policy/load_credentials.h"
#include "unit/policy/load_direct.h"
#include "unit/policy/load_names.h"
#include "unit/policy/load_opens.h"
#include "unit/policy/load_refs.h"

static const struct row scans[] = {
	{ "{ \"rules\": [] }", NULL },
	{ "// c\n{ /* c */ \"rules\": [ /* \" */ ], }\n// end", NULL },
	{ "{ \"rules\": [ { \"allow\": \"GET https://a.example.net//x\" } ] }",
	  "1:25: allow: the path could never match: an empty segment (//)" },
	{ "{ \"$schema\": \"http://x//y\", \"rules\": [], }", NULL },
	{ "", "1:1: the text ends where a value should be" },
	{ "{", "1:1: this { has no }" },
	{ "{ \"rules\": [", "1:12: this [ has no ]" },
	{ "{ \"rules\": [] } x", "1:17: text behind the end of the value" },
	{ "{ \"rules\": [] }\n}", "2:1: text behind the end of the value" },
	{ "{ \"rules\": [], \"rules\": [] }", "1:16: rules: this key stands here twice" },
	{ "{ \"rules\": [],\n  \"r\\u0075les\": [] }", "2:3: rules: this key stands here twice" },
	{ "{ \"rules\": [ 1 2 ] }", "1:16: expected a comma or ]" },
	{ "{ \"rules\" [] }", "1:11: expected a colon behind the key" },
	{ "{ rules: [] }", "1:3: expected a key in double quotes" },
	{ "{ 'rules': [] }", "1:3: expected a key in double quotes" },
	{ "{ ,}", "1:3: expected a key in double quotes" },
	{ "{ \"rules\": [,] }", "1:13: not a value of JSON" },
	{ "{ \"rules\": [ true,, ] }", "1:19: not a value of JSON" },
	{ "{ \"rules\": [ \"a\nb\" ] }", "1:14: this string has no end on its line" },
	{ "{ \"rules\": [ \"a\tb\" ] }",
	  "1:16: a control character in a string; write it as an escape" },
	{ "{ \"rules\": [ \"a\\x\" ] }", "1:16: not an escape of JSON" },
	{ "{ \"rules\": [ \"a\\u00\" ] }", "1:16: \\u needs four hexadecimal digits" },
	{ "{ \"name\": \"a\\u0000b\" }", "1:13: \\u0000 is not allowed" },
	{ "{ \"name\": \"\\ud800\" }", "1:12: half of a surrogate pair" },
	{ "{ \"name\": \"\\ud800\\u0041\" }", "1:12: half of a surrogate pair" },
	{ "{ \"name\": \"\\udc00\" }", "1:12: half of a surrogate pair" },
	{ "{ \"name\": \"\xff\" }", "1:12: not valid UTF-8" },
	{ "{ \"name\": \"\xc0\xaf\" }", "1:12: not valid UTF-8" },
	{ "{ \"name\": \"\xed\xa0\x80\" }", "1:12: not valid UTF-8" },
	{ "// \xe2\x82\xac\xe2\x82\xac \xff", "1:7: not valid UTF-8" },
	{ "\xef\xbb\xbf{}", "1:1: a byte order mark; save the file as plain UTF-8" },
	{ "{ \"\xe2\x82\xac\": 1, x }", "1:11: expected a key in double quotes" },
	{ "{ \"priority\": 9007199254740993, \"rules\": [] }",
	  "1:15: a number beyond 2^53 would be rounded; write it as a string" },
	{ "{ \"priority\": 9007199254740992, \"rules\": [] }", NULL },
	{ "{ \"priority\": -3, \"rules\": [] }", NULL },
	{ "{ \"priority\": 1.5 }", "1:15: only whole numbers are allowed" },
	{ "{ \"priority\": 1e3 }", "1:15: only whole numbers are allowed" },
	{ "{ \"priority\": 01 }", "1:15: a number does not start with 0" },
	{ "{ \"priority\": + }", "1:15: not a value of JSON" },
	{ "{ \"priority\": NaN }", "1:15: not a value of JSON" },
	{ "{ \"rules\": [] /* open", "1:15: this comment has no end" },
	{ "{ \"rules\": [] /*/ }", "1:15: this comment has no end" },
	{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
	  "1:33: nested deeper than 32" },
	{ "[]", "1:1: a policy is an object" },
	{ "tru", "1:1: not a value of JSON" },
};

static const struct row words[] = {
	{ "{ \"mode\": \"block\", \"rules\": [] }",
	  "1:11: mode: unknown mode \"block\"; did you mean \"enforce\"?" },
	{ "{ \"mode\": \"restrict\", \"rules\": [] }",
	  "1:11: mode: unknown mode \"restrict\"; did you mean \"enforce\"?" },
	{ "{ \"mode\": \"permissive\", \"rules\": [] }",
	  "1:11: mode: unknown mode \"permissive\"; did you mean \"audit\"?" },
	{ "{\n \"egress-policy\": \"block\", \"rules\": [] }",
	  "2:2: egress-policy: unknown key \"egress-policy\"; did you mean \"mode\"?" },
	{ "{ \"ruels\": [] }", "1:3: ruels: unknown key \"ruels\"; did you mean \"rules\"?" },
	{ "{ \"Rules\": [] }", "1:3: Rules: unknown key \"Rules\"; did you mean \"rules\"?" },
	{ "{ \"zzzzzz\": [], \"rules\": [] }", "1:3: zzzzzz: unknown key \"zzzzzz\"" },
	{ "{ \"allowed-endpoints\": [], \"rules\": [] }",
	  "1:3: allowed-endpoints: unknown key \"allowed-endpoints\"; did you mean \"rules\"?" },
	{ "{ \"version\": 2, \"rules\": [] }", "1:14: version: this egret reads version 1" },
	{ "{ \"name\": \"a/b\", \"rules\": [] }", "1:11: name: a policy needs a name" },
	{ "{ \"name\": \"a\" }", "1:1: rules: is missing" },
	{ RULE("{ \"alow\": \"GET https://a.example.net\" }"),
	  "1:16: alow: unknown key \"alow\"; did you mean \"allow\"?" },
	{ RULE("{ \"id\": \"a\" }"),
	  "1:14: rules: a rule has exactly one of allow, deny and direct" },
	{ RULE("{ \"allow\": \"GET https://a.example.net\", \"deny\": \"https://b.example.net\" }"),
	  "1:14: rules: a rule has exactly one" },
	{ RULE("{ \"allow\": [ \"GET https://a.example.net\" ] }"),
	  "1:25: allow: must be one string" },
	{ RULE("{ \"allow\": \"https://a.example.net\" }"), "1:25: allow: no method" },
	{ RULE("{ \"deny\": \"https://a.example.net\" }"), NULL },
	{ RULE("{ \"allow\": \"GET a.example.net\" }"), "1:25: allow: no scheme" },
	{ RULE("{ \"allow\": \"GET ftp://a.example.net\" }"),
	  "1:25: allow: unknown scheme \"ftp\"" },
	{ RULE("{ \"allow\": \"GET htps://a.example.net\" }"),
	  "1:25: allow: unknown scheme \"htps\"; did you mean \"https\"?" },
	{ RULE("{ \"allow\": \"PSOT https://a.example.net\" }"),
	  "1:25: allow: unknown method \"PSOT\"; did you mean \"POST\"?" },
	{ RULE("{ \"allow\": \"get https://a.example.net\" }"),
	  "1:25: allow: unknown method \"get\"; did you mean \"GET\"?" },
	{ RULE("{ \"allow\": \"GET|POST https://a.example.net\" }"),
	  "1:25: allow: methods are separated by commas" },
	{ RULE("{ \"allow\": \"* https://a.example.net\" }"),
	  "1:25: allow: unknown method \"*\"; did you mean \"ANY\"?" },
	{ RULE("{ \"allow\": \"WEBSOCKET https://a.example.net\" }"), NULL },
	{ RULE("{ \"allow\": \"WSS https://a.example.net\" }"),
	  "1:25: allow: unknown method \"WSS\"; did you mean \"WEBSOCKET\"?" },
	{ RULE("{ \"allow\": \"WEBSOCKET,GIT-PUSH https://a.example.net\" }"),
	  "1:25: allow: GIT-FETCH and GIT-PUSH stand alone" },
	{ RULE("{ \"allow\": \"GET,GIT-PUSH https://a.example.net\" }"),
	  "1:25: allow: GIT-FETCH and GIT-PUSH stand alone" },
	{ RULE("{ \"allow\": \"GET https://*\" }"), "1:25: allow: a bare * would name every host" },
	{ RULE("{ \"allow\": \"GET https://*.com\" }"), "1:25: allow: a public suffix" },
	{ RULE("{ \"allow\": \"GET https://**.co.uk\" }"), "1:25: allow: a public suffix" },
	{ RULE("{ \"allow\": \"GET https://*.github.io\" }"), "1:25: allow: a public suffix" },
	{ RULE("{ \"allow\": \"GET https://*.herokuapp.com\" }"), "1:25: allow: a public suffix" },
	{ RULE("{ \"allow\": \"GET https://*.test\" }"), "1:25: allow: a public suffix" },
	{ RULE("{ \"allow\": \"GET https://a*.example.net\" }"),
	  "1:25: allow: * and ** stand for whole labels" },
	{ RULE("{ \"allow\": \"GET https://a.*.example.net\" }"),
	  "1:25: allow: * and ** stand for whole labels" },
	{ RULE("{ \"allow\": \"GET https://*.1.2.3.4\" }"),
	  "1:25: allow: an address has no names below it" },
	{ RULE("{ \"allow\": \"GET https://.example.net\" }"),
	  "1:25: allow: a host does not begin with a dot" },
	{ RULE("{ \"allow\": \"GET https://a_b!.example.net\" }"),
	  "1:25: allow: not a well-formed host name" },
	{ RULE("{ \"allow\": \"GET https://u@a.example.net\" }"),
	  "1:25: allow: a user name does not stand in a rule" },
	{ RULE("{ \"allow\": \"GET https://a.example.net:0\" }"),
	  "1:25: allow: ports are numbers" },
	{ RULE("{ \"allow\": \"GET https://a.example.net:443,\" }"),
	  "1:25: allow: ports are numbers" },
	{ RULE("{ \"allow\": \"GET https://a.example.net/a**\" }"),
	  "1:25: allow: ** stands for whole segments only" },
	{ RULE("{ \"allow\": \"GET https://a.example.net/a/../b\" }"),
	  "1:25: allow: the path could never match: a dot segment (..)" },
	{ RULE("{ \"allow\": \"GET https://a.example.net/a%2fb\" }"),
	  "1:25: allow: the path could never match: an encoded slash" },
	{ RULE("{ \"allow\": \"GET https://a.example.net/a?b=1\" }"),
	  "1:25: allow: a query does not stand in the pattern" },
	{ RULE("{ \"allow\": \"services\" }"), NULL },
	{ RULE("{ \"id\": \"a\", \"allow\": \"services\" }, { \"allow\": \"services\" }"), NULL },
	{ RULE("{ \"deny\": \"services\" }"),
	  "1:24: deny: services are closed unless a rule allows them" },
	{ RULE("{ \"direct\": \"services\" }"), "1:26: direct: must be \"address:port\"" },
	{ RULE("{ \"allow\": \"ANY services\" }"),
	  "1:25: allow: \"services\" stands alone: it takes no method" },
	{ RULE("{ \"allow\": \"services:6379\" }"),
	  "1:25: allow: \"services\" stands alone: it takes no port and no path" },
	{ RULE("{ \"allow\": \"services/x\" }"),
	  "1:25: allow: \"services\" stands alone: it takes no port and no path" },
	{ RULE("{ \"allow\": \"services\", \"credential\": \"x\" }"),
	  "1:37: credential: the rule \"services\" takes nothing but an id" },
	{ RULE("{ \"allow\": \"services\", \"query\": [] }"), "1:37: query: the rule" },
	{ RULE("{ \"allow\": \"services\", \"limits\": [\"1/m\"] }"), "1:37: limits: the rule" },
	{ RULE("{ \"allow\": \"services\", \"until\": \"2027-01-01\" }"), "1:37: until: the rule" },
	{ "{ \"inbound\": \"allow\", \"rules\": [] }", NULL },
	{ "{ \"inbound\": \"deny\", \"rules\": [] }", NULL },
	{ "{ \"inbound\": true, \"rules\": [] }", "1:14: inbound: must be a string" },
	{ "{ \"inbound\": \"alow\", \"rules\": [] }",
	  "1:14: inbound: unknown word \"alow\"; did you mean \"allow\"?" },
	{ "{ \"capabilities\": [], \"rules\": [] }", NULL },
	{ "{ \"capabilities\": [\"NET_RAW\", \"NET_ADMIN\"], \"rules\": [] }", NULL },
	{ "{ \"capabilities\": \"NET_RAW\", \"rules\": [] }",
	  "1:19: capabilities: must be a list of NET_RAW and NET_ADMIN" },
	{ "{ \"capabilities\": [1], \"rules\": [] }", "1:20: capabilities: must be \"NET_RAW\"" },
	{ "{ \"capabilities\": [\"CAP_NET_RAW\"], \"rules\": [] }",
	  "1:20: capabilities: unknown capability \"CAP_NET_RAW\"; did you mean \"NET_RAW\"?" },
	{ "{ \"capabilities\": [\"SYS_ADMIN\"], \"rules\": [] }",
	  "1:20: capabilities: unknown capability \"SYS_ADMIN\"" },
	{ RULE("{ \"allow\": \"tls://a.example.net/x\" }"),
	  "1:25: allow: tls:// passes a connection through unopened: it takes no path" },
	{ RULE("{ \"allow\": \"GET tls://a.example.net\" }"),
	  "1:25: allow: tls:// and tcp:// are not opened: they take no method" },
	{ RULE("{ \"allow\": \"tls://1.2.3.4\" }"), "1:25: allow: an address has no SNI to check" },
	{ RULE("{ \"allow\": \"tls://a.example.net\", \"credential\": \"x\" }"),
	  "1:48: credential: a credential goes only over https://" },
	{ RULE("{ \"allow\": \"tcp://a.example.net\" }"), "1:25: allow: tcp:// needs a port" },
	{ RULE("{ \"allow\": \"GET http://a.example.net\", \"credential\": \"x\" }"),
	  "1:53: credential: a credential goes only over https://" },
	{ RULE("{ \"deny\": \"https://a.example.net\", \"credential\": \"x\" }"),
	  "1:49: credential: a deny rule gives no credential" },
	{ RULE("{ \"allow\": \"GET https://a.example.net\", \"limits\": [\"10/m per repo\"] }"),
	  "1:54: limits: not available in this version" },
	{ RULE("{ \"allow\": \"GET https://a.example.net\", \"limits\": [\"10/x\"] }"),
	  "1:65: limits: must be N/s" },
	{ RULE("{ \"allow\": \"GET https://a.example.net\", \"until\": \"2027-02-30\" }"),
	  "1:63: until: must be a date" },
	{ RULE("{ \"allow\": \"GET https://a.example.net\", \"until\": \"2027-02-28\" }"), NULL },
	{ RULE("{ \"deny\": \"https://a.example.net\", \"query\": [] }"),
	  "1:49: query: only an allow rule" },
	{ RULE("{ \"id\": \"a\", \"allow\": \"GET https://a.example.net\" }, { \"id\": \"a\", "
	       "\"allow\": \"GET https://b.example.net\" }"),
	  "1:67: id: another rule has the id \"a\"" },
	{ RULE("{ \"id\": \"a\", \"allow\": \"GET https://a.example.net\" }, { \"id\": \"b\", "
	       "\"allow\": \"GET https://a.example.net\" }"),
	  "1:67: rules: \"a\" and \"b\" allow the same request" },
	{ RULE("{ \"id\": \"a\", \"allow\": \"GET,POST https://a.example.net/x/*/z\" }, { \"id\": "
	       "\"b\", \"allow\": \"GET,PUT https://a.example.net/*/y/z\" }"),
	  "1:78: rules: \"a\" and \"b\" allow the same request" },
	{ RULE("{ \"id\": \"a\", \"allow\": \"GET https://a.example.net/x/*\" }, { \"id\": \"b\", "
	       "\"allow\": \"GET https://a.example.net/y/*\" }"),
	  NULL },
	{ RULE("{ \"id\": \"a\", \"allow\": \"tls://a.example.net\" }, { \"id\": \"b\", \"allow\": "
	       "\"GET https://*.example.net\" }"),
	  "1:61: rules: \"a\" and \"b\" name one host and port" },
	{ RULE("{ \"id\": \"a\", \"allow\": \"tcp://a.example.net:8443\" }, { \"id\": \"b\", "
	       "\"allow\": \"GET https://a.example.net\" }"),
	  NULL },
	{ RULE("{ \"id\": \"a\", \"direct\": \"10.0.0.0/8:443\" }, { \"id\": \"b\", \"allow\": "
	       "\"GET https://10.1.2.3\" }"),
	  "1:57: rules: \"a\" and \"b\" name one host and port" },
	{ "{ \"for\": [], \"rules\": [] }", "1:10: for: must have 1 to 256 entries" },
	{ "{ \"for\": [ { \"branch\": \"main\" } ], \"rules\": [] }",
	  "1:14: branch: unknown key \"branch\"; did you mean \"ref\"?" },
	{ "{ \"for\": [ { \"repo_id\": 8412 } ], \"rules\": [] }",
	  "1:25: repo_id: must be a string or a list" },
	{ "{ \"for\": [ { \"fork\": \"maybe\" } ], \"rules\": [] }",
	  "1:22: fork: must be true or false" },
	{ "{ \"for\": [ { \"repo\": \"a/b\", \"role\": \"raeder\" } ], \"roles\": { \"reader\": [] "
	  "}, \"rules\": [] }",
	  "1:12: role: unknown role \"raeder\"; did you mean \"reader\"?" },
	{ "{ \"include\": [\"nothing\"], \"rules\": [] }",
	  "1:15: include: no policy named \"nothing\" was found" },
};

static void settings(void **state)
{
	struct source s[] = {
		{ SOURCE_POLICY, STR("p.json"),
		  STR("{ \"include\": [\"lib\"], \"capabilities\": [\"NET_ADMIN\"], "
		      "\"rules\": [ { \"id\": \"a\", \"allow\": \"GET "
		      "https://a.example.net\" } ] }") },
		{ SOURCE_POLICY, STR("none.json"),
		  STR("{ \"inbound\": \"deny\", \"rules\": [] }") },
		{ SOURCE_POLICY, STR("look.json"),
		  STR("{ \"mode\": \"audit\", \"inbound\": \"allow\", \"rules\": [] }") },
		{ SOURCE_INCLUDE, STR("lib.json"),
		  STR("{ \"inbound\": \"allow\", \"rules\": [ { \"id\": \"svc\", "
		      "\"allow\": \"services\" } ] }") },
	};
	struct str id = STR("untouched");
	struct compiled c;
	struct policy p;

	assert_int_equal(policy_compile(s, ARRAY_SIZE(s), 0, &c), 0);
	assert_int_equal(c.npolicies, 3);
	assert_int_equal(policy_open(c.policies[1], &p), 0);
	assert_false(policy_services(&p, &id));
	assert_true(str_is(id, "untouched"));
	assert_false(policy_inbound(&p));
	assert_int_equal(policy_capabilities(&p), 0);
	assert_int_equal(policy_open(c.policies[0], &p), 0);
	assert_true(policy_services(&p, &id));
	assert_true(str_is(id, "lib/svc"));
	assert_true(policy_services(&p, NULL));
	assert_false(policy_inbound(&p)); /* the include's word does not count */
	assert_non_null(strstr(c.warnings.text.p, "do not come with an include"));
	assert_int_equal(policy_capabilities(&p), PREPARED_NET_ADMIN);
	assert_int_equal(policy_open(c.policies[2], &p), 0);
	assert_true(policy_services(&p, &id));
	assert_int_equal(id.n, 0);
	assert_true(policy_inbound(&p));
	compiled_done(&c);
}

static unsigned run(const struct row *rows, size_t n, enum source_kind kind)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < n; i++) {
		struct source s = { kind, STR("f"), str_of(rows[i].text) };
		struct compiled c;
		int r = policy_compile(&s, 1, 0, &c);
		struct str got = buf_str(&c.errors.text);
		bool ok = rows[i].expect ? r < 0 && got.n > 2 &&
						   str_starts((struct str){ got.p + 2, got.n - 2 },
							      rows[i].expect)
					 : r == 0;

		if (!ok) {
			wrong++;
			print_error("%s\n  expected %s\n  got %.*s\n", rows[i].text,
				    rows[i].expect ? rows[i].expect : "ok", STR_ARG(got));
		}
		compiled_done(&c);
	}
	return wrong;
}

static void scan_errors(void **state)
{
	assert_int_equal(run(scans, ARRAY_SIZE(scans), SOURCE_POLICY), 0);
}

static void closed_world(void **state)
{
	assert_int_equal(run(words, ARRAY_SIZE(words), SOURCE_POLICY), 0);
	assert_int_equal(run(directs, ARRAY_SIZE(directs), SOURCE_POLICY), 0);
	assert_int_equal(run(refs, ARRAY_SIZE(refs), SOURCE_POLICY), 0);
}

static void credential_errors(void **state)
{
	assert_int_equal(run(credentials, ARRAY_SIZE(credentials), SOURCE_CREDENTIAL), 0);
}

static void no_references(void **state)
{
	struct source s = { SOURCE_CREDENTIAL, STR("f"), str_of(credentials[0].text) };
	struct compiled c;

	assert_int_equal(policy_compile(&s, 1, COMPILE_NO_REFERENCES, &c), -22);
	assert_non_null(strstr(c.errors.text.p, "only an admin"));
	compiled_done(&c);
}

static void include_role_baseline(void **state)
{
	struct source s[] = {
		{ SOURCE_POLICY, STR("web.json"),
		  STR("{ \"name\": \"web\", \"for\": [ { \"repo\": \"acme/*\", \"event\": \"push\" "
		      "}, { \"repo\": \"acme/web\", \"event\": \"push\", "
		      "\"ref\": \"refs/tags/v*\", \"role\": \"pub\" } ], \"include\": [\"lib\"], "
		      "\"rules\": [ { \"id\": \"a\", \"allow\": \"GET https://a.example.net\" } ], "
		      "\"roles\": { \"pub\": [ { \"id\": \"p\", \"allow\": \"POST "
		      "https://a.example.net/up\" } ] } }") },
		{ SOURCE_INCLUDE, STR("/x/lib.json"),
		  STR("{ \"include\": [\"lib\", \"deep\"], \"rules\": [ { \"id\": \"l\", "
		      "\"allow\": \"GET https://l.example.net\" } ] }") },
		{ SOURCE_INCLUDE, STR("/x/other.json"),
		  STR("{ \"name\": \"deep\", \"include\": [\"lib\"], \"rules\": [ { \"allow\": "
		      "\"GET https://d.example.net\" } ] }") },
		{ SOURCE_INCLUDE, STR("/x/broken.json"), STR("{") },
		{ SOURCE_BASELINE, STR("/x/base.json"),
		  STR("{ \"name\": \"base\", \"rules\": [ { \"id\": \"n\", \"deny\": "
		      "\"https://l.example.net/no\" } ] }") },
	};
	struct fact facts[] = { { STR("repo"), STR("acme/web") },
				{ STR("event"), STR("push") },
				{ STR("ref"), STR("refs/tags/v1") } };
	struct facts f = { facts, 3, ASSURANCE_RUNNER };
	struct request_query q = { .scheme = SCHEME_HTTPS,
				   .host = STR("l.example.net"),
				   .port = 443,
				   .method = STR("GET"),
				   .path = STR("/no") };
	struct policy p[2];
	struct verdict v;
	struct compiled c;
	struct pack k;
	uint32_t i, other;
	char bytes[16384];
	ssize_t n;
	int fd, r = policy_compile(s, ARRAY_SIZE(s), 0, &c);

	if (r < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&c.errors.text)));
	assert_int_equal(c.npolicies, 2);
	assert_int_equal(policy_open(c.policies[0], &p[0]), 0);
	assert_int_equal(policy_open(c.policies[1], &p[1]), 0);
	assert_true(str_is(policy_name(&p[0]), "web"));
	assert_true(str_is(policy_name(&p[1]), "web:pub"));
	policy_request(&p[0], &q, &v);
	assert_int_equal(v.verdict, VERDICT_DENY);
	assert_true(str_is(v.rule, "base/n"));
	q.path = STR("/yes");
	policy_request(&p[0], &q, &v);
	assert_true(str_is(v.rule, "lib/l"));
	q.host = STR("d.example.net");
	policy_request(&p[0], &q, &v);
	assert_true(str_is(v.rule, "deep/#1"));
	q = (struct request_query){ .scheme = SCHEME_HTTPS,
				    .host = STR("a.example.net"),
				    .port = 443,
				    .method = STR("POST"),
				    .path = STR("/up") };
	policy_request(&p[0], &q, &v);
	assert_int_equal(v.verdict, VERDICT_DENY);
	policy_request(&p[1], &q, &v);
	assert_true(str_is(v.rule, "p"));

	assert_int_equal(pack_write(c.policies, 2, &fd), 0);
	n = pread(fd, bytes, sizeof(bytes), 0);
	assert_true(n > 0 && n < (ssize_t)sizeof(bytes));
	assert_int_equal(write(fd, "x", 1), -1);
	close(fd);
	assert_int_equal(pack_open(bytes, (size_t)n, &k), 0);
	assert_int_equal(policy_select(&k, &f, &i, &other), 0);
	assert_int_equal(i, 1); /* three keys beat two */
	f.n = 2;
	assert_int_equal(policy_select(&k, &f, &i, &other), 0);
	assert_int_equal(i, 0);
	f.assurance = ASSURANCE_UNVERIFIED;
	assert_int_equal(policy_select(&k, &f, &i, &other), -2);
	f.assurance = ASSURANCE_SIGNED;
	facts[0].value = STR("evil/web");
	assert_int_equal(policy_select(&k, &f, &i, &other), -2);
	compiled_done(&c);
}

struct who {
	const char *entry;
	const char *event, *fork;
	enum assurance assurance;
	int keys;
};

/* A pull request, a fork or an unknown event fits only where it is named. */
static void whom(void **state)
{
	static const struct who rows[] = {
		{ "{ \"repo\": \"acme/web\" }", "push", NULL, ASSURANCE_RUNNER, 1 },
		{ "{ \"repo\": \"acme/web\" }", "pull_request", NULL, ASSURANCE_SIGNED, -1 },
		{ "{ \"repo\": \"acme/web\" }", "pull_request_target", NULL, ASSURANCE_SIGNED, -1 },
		{ "{ \"repo\": \"acme/web\" }", "something_new", NULL, ASSURANCE_SIGNED, -1 },
		{ "{ \"repo\": \"acme/web\" }", NULL, NULL, ASSURANCE_SIGNED, -1 },
		{ "{ \"repo\": \"acme/web\" }", "push", "true", ASSURANCE_SIGNED, -1 },
		{ "{ \"repo\": \"acme/web\" }", "push", "false", ASSURANCE_SIGNED, 1 },
		{ "{ \"repo\": \"acme/web\", \"event\": \"pull_request\" }", "pull_request", NULL,
		  ASSURANCE_SIGNED, 2 },
		{ "{ \"repo\": \"acme/web\", \"event\": [\"push\", \"pull_*\"] }", "pull_request",
		  NULL, ASSURANCE_SIGNED, 2 },
		{ "{ \"repo\": \"acme/web\", \"event\": \"push\" }", "pull_request", NULL,
		  ASSURANCE_SIGNED, -1 },
		{ "{ \"repo\": \"acme/web\", \"fork\": true }", "pull_request", "true",
		  ASSURANCE_SIGNED, 2 },
		{ "{ \"repo\": \"acme/web\", \"fork\": false }", "pull_request", "true",
		  ASSURANCE_SIGNED, -1 },
		{ "{ \"repo\": \"acme/web\", \"environment\": \"prod\" }", "push", NULL,
		  ASSURANCE_RUNNER, -1 },
		{ "{ \"repo\": \"acme/web\", \"environment\": \"prod\" }", "push", NULL,
		  ASSURANCE_SIGNED, 2 },
		{ "{ \"repo\": \"acme/web\", \"environment\": \"prod\", \"assurance\": \"runner\" "
		  "}",
		  "push", NULL, ASSURANCE_RUNNER, -1 },
		{ "{ \"repo\": \"acme/web\", \"assurance\": \"signed\" }", "push", NULL,
		  ASSURANCE_RUNNER, -1 },
		{ "{ \"repo\": \"acme/web\" }", "push", NULL, ASSURANCE_UNVERIFIED, -1 },
		{ "{ \"repo\": \"acme/*\" }", "push", NULL, ASSURANCE_RUNNER, 1 },
		{ "{ \"repo\": \"*\" }", "push", NULL, ASSURANCE_RUNNER, -1 },
		{ "{ \"repo\": \"**\" }", "push", NULL, ASSURANCE_RUNNER, 1 },
		{ "{ \"repo\": \"acme/we\" }", "push", NULL, ASSURANCE_RUNNER, -1 },
		{ "{ \"actor\": \"x\" }", "push", NULL, ASSURANCE_RUNNER, -1 },
		{ "{ }", "push", NULL, ASSURANCE_RUNNER, 0 },
		{ "{ }", "pull_request", NULL, ASSURANCE_SIGNED, -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fact facts[5] = { { STR("repo"), STR("acme/web") },
					 { STR("environment"), STR("prod") } };
		struct facts f = { facts, 2, rows[i].assurance };
		struct source s = { SOURCE_POLICY, STR("f"), { 0 } };
		struct compiled c;
		struct policy p;
		int64_t priority;
		char text[512];

		if (rows[i].event)
			facts[f.n++] = (struct fact){ STR("event"), str_of(rows[i].event) };
		if (rows[i].fork)
			facts[f.n++] = (struct fact){ STR("fork"), str_of(rows[i].fork) };
		snprintf(text, sizeof(text), "{ \"for\": [ %s ], \"rules\": [] }", rows[i].entry);
		s.text = str_of(text);
		if (policy_compile(&s, 1, 0, &c) < 0)
			fail_msg("%s: %.*s", text, STR_ARG(buf_str(&c.errors.text)));
		assert_int_equal(policy_open(c.policies[0], &p), 0);
		if (policy_for(&p, &f, &priority) != rows[i].keys)
			fail_msg("row %zu: %s", i, rows[i].entry);
		compiled_done(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scan_errors),
		cmocka_unit_test(closed_world),
		cmocka_unit_test(settings),
		cmocka_unit_test(opens_all_tls),
		cmocka_unit_test(credential_errors),
		cmocka_unit_test(no_references),
		cmocka_unit_test(policy_and_credential),
		cmocka_unit_test(credentials_of_one_name),
		cmocka_unit_test(variables_of_two),
		cmocka_unit_test(include_role_baseline),
		cmocka_unit_test(whom),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
