// SPDX-License-Identifier: Apache-2.0
/* The configuration: defaults, every kind of key, what is wrong with its place, drop-ins, owner and
 * mode. Needs root for the last. */
#include "config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

static const char *put(const char *name, const char *text)
{
	static char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, 0644);
	return path;
}

static void test_defaults(void **state)
{
	struct config c;
	char why[1024] = "", name[32];
	(void)state;

	assert_int_equal(config_load(put("c.json", "{}"), &c, why, sizeof(why)), 0);
	assert_string_equal(c.state_dir.p, "/var/lib/egret");
	assert_string_equal(c.run_dir.p, "/run/egret");
	assert_int_equal(c.policies.n, 1);
	assert_int_equal(c.limits.connections, 1024);
	assert_false(c.audit_sync_each);
	assert_int_equal(c.nmanaged, 0);
	assert_int_equal(c.nidentity, 0);
	assert_false(c.ca_root);
	assert_int_equal(c.uid_identity, 65604);
	assert_int_equal(c.uid_provider, 65605);
	config_instance(&c, name, sizeof(name));
	assert_string_equal(name, "egret");
	config_done(&c);
}

static void test_keys(void **state)
{
	struct config c;
	char why[1024] = "", name[32];
	(void)state;

	assert_int_equal(
		config_load(
			put("c.json",
			    "{ // comment\n"
			    "  \"run_dir\": \"/tmp/x\", \"policies\": [\"/a\", \"/b\"],\n"
			    "  \"run\": { \"policy\": \"dev\" }, \"require\": [\"confined\", "
			    "\"tc\", \"lsm\", \"unix\", \"netns\"],\n"
			    "  \"upstream\": { \"nameservers\": [\"192.0.2.1:54\", "
			    "\"[2001:db8::1]:53\"],\n"
			    "    \"hosts\": { \"a.test\": [\"198.51.100.1\", \"2001:db8::2\"] },\n"
			    "    \"proxy\": \"http://[2001:db8::3]:3128/\", \"no_proxy\": "
			    "[\".test\", \"*\"], \"netns\": \"job\",\n"
			    "    \"allow_private\": [\"10.0.0.0/8\"] },\n"
			    "  \"audit\": { \"sync\": \"each\" }, \"limits\": { \"connections\": 7 "
			    "},\n"
			    "}"),
			&c, why, sizeof(why)),
		0);
	assert_int_equal(c.policies.n, 2);
	assert_string_equal(c.policies.at[1].p, "/b");
	assert_string_equal(c.run_policy.p, "dev");
	assert_int_equal(c.nameservers.n, 2);
	assert_string_equal(c.hosts.at[0].p, "a.test=198.51.100.1,2001:db8::2");
	assert_string_equal(c.upstream_proxy.p, "http://[2001:db8::3]:3128/");
	assert_int_equal(c.no_proxy.n, 2);
	assert_true(c.upstream_netns_job);
	assert_true(c.audit_sync_each);
	assert_int_equal(c.limits.connections, 7);
	config_instance(&c, name, sizeof(name));
	assert_int_equal(name[0], 'x');
	config_done(&c);
}

static void test_managed(void **state)
{
	struct config c;
	char why[1024] = "";
	(void)state;

	assert_int_equal(
		config_load(
			put("c.json",
			    "{ \"managed\": [\n"
			    "  { \"unit\": \"actions.runner.*.service\", \"unregistered\": "
			    "\"policy:github-runner\", \"registrar\": 1001 },\n"
			    "  { \"engine\": \"docker\", \"adopt\": \"sole\", \"engine_socket\": "
			    "\"hide\" },\n"
			    "  { \"unit\": \"docker.service\", \"engine\": \"docker\", \"root\": "
			    "\"/srv/docker\", \"jobs\": \"gitlab\", \"unregistered\": \"hold\", "
			    "\"registrar\": \"nobody\" } ],\n"
			    "  \"identity\": [ { \"issuer\": "
			    "\"https://token.actions.githubusercontent.com\" },\n"
			    "    { \"issuer\": \"https://ghe.example.test/_services/token\", "
			    "\"audience\": \"egret\" },\n"
			    "    { \"issuer\": \"https://gitlab.example.test\", \"kind\": "
			    "\"gitlab\" "
			    "},\n    { \"issuer\": \"https://ci.example.test:8443/oidc\" } ],\n"
			    "  \"ca\": { \"mode\": \"root\" }, \"uids\": { \"identity\": 70999 } "
			    "}"),
			&c, why, sizeof(why)),
		0);
	assert_int_equal(c.nmanaged, 3);
	assert_string_equal(c.managed[0].unit.p, "actions.runner.*.service");
	assert_int_equal(c.managed[0].unregistered, UNREGISTERED_POLICY);
	assert_string_equal(c.managed[0].policy.p, "github-runner");
	assert_int_equal(c.managed[0].registrar, 1001);
	assert_int_equal(c.managed[0].root.n, 0);
	assert_int_equal(c.managed[1].unit.n, 0);
	assert_int_equal(c.managed[1].unregistered, UNREGISTERED_DENY);
	assert_string_equal(c.managed[1].root.p, "/var/lib/docker");
	assert_true(c.managed[1].adopt_sole);
	assert_true(c.managed[1].hide_sockets);
	assert_false(c.managed[2].hide_sockets);
	assert_int_equal(c.managed[1].registrar, -1);
	assert_int_equal(c.managed[2].unregistered, UNREGISTERED_HOLD);
	assert_string_equal(c.managed[2].root.p, "/srv/docker");
	assert_true(c.managed[2].jobs_gitlab);
	assert_int_equal(c.managed[2].registrar, 65534);
	assert_int_equal(c.nidentity, 4);
	assert_string_equal(c.identity[0].kind.p, "github");
	assert_string_equal(c.identity[0].audience.p, "egret");
	assert_string_equal(c.identity[1].kind.p, "github");
	assert_string_equal(c.identity[1].audience.p, "egret");
	assert_string_equal(c.identity[2].kind.p, "gitlab");
	assert_string_equal(c.identity[3].kind.p, "generic");
	assert_true(c.ca_root);
	assert_int_equal(c.uid_identity, 70999);
	config_done(&c);
}

static void test_kubernetes(void **state)
{
	struct config c;
	char why[1024] = "";
	(void)state;

	assert_int_equal(
		config_load(put("c.json",
				"{ \"attach\": \"/kubelet.slice/pods\", \"managed\": [\n"
				"  { \"engine\": \"containerd\", \"jobs\": \"kubernetes\", "
				"\"exempt_namespaces\": [\"kube-system\", \"a\"] } ] }"),
			    &c, why, sizeof(why)),
		0);
	assert_string_equal(c.attach.p, "/kubelet.slice/pods");
	assert_true(c.managed[0].jobs_kubernetes);
	assert_false(c.managed[0].jobs_gitlab);
	assert_int_equal(c.managed[0].nexempt, 2);
	assert_string_equal(c.managed[0].exempt[1].p, "a");
	config_done(&c);
}

static void test_faults(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "{\n  \"polices\": []\n}",
		  ":2:3: polices: unknown key; did you mean \"policies\"?" },
		{ "{ \"audit\": { \"snyc\": \"each\" } }",
		  "snyc: unknown key; did you mean \"sync\"?" },
		{ "{ \"limits\": { \"connection\": 1 } }", "did you mean \"connections\"?" },
		{ "{ \"limits\": { \"connections\": 0 } }", "must be 1 to 65536 at once per job" },
		{ "{ \"limits\": { \"connections\": \"9\" } }", "must be a whole number" },
		{ "{ \"run_dir\": \"relative\" }", ":1:14: run_dir: must be: an absolute path" },
		{ "{ \"upstream\": { \"nameservers\": [\"1.2.3\"] } }", "must hold: addresses" },
		{ "{ \"upstream\": { \"nameservers\": [\"192.0.2.1:0\"] } }",
		  "must hold: addresses" },
		{ "{ \"upstream\": { \"allow_private\": [\"10.0.0.0/33\"] } }",
		  "must hold: address blocks" },
		{ "{ \"upstream\": { \"hosts\": { \"a\": [] } } }", "at least one address" },
		{ "{ \"upstream\": { \"proxy\": \"http://me:secret@10.0.0.1:3128\" } }",
		  "must be: \"http://HOST:PORT\", without a user or a path" },
		{ "{ \"upstream\": { \"netns\": \"pod\" } }", "must be \"host\" or \"job\"" },
		{ "{ \"upstream\": { \"proxy\": \"https://10.0.0.1:3128\" } }", "must be: \"http" },
		{ "{ \"upstream\": { \"proxy\": \"http://10.0.0.1\" } }", "must be: \"http" },
		{ "{ \"upstream\": { \"proxy\": \"http://[2001:db8::1:3128\" } }",
		  "must be: \"http" },
		{ "{ \"upstream\": { \"no_proxy\": [\"a.test,b.test\"] } }", "one an entry" },
		{ "{ \"require\": [\"lsn\"] }", "must hold: walls" },
		{ "{ \"synthetic\": [\"198.18.0.0/15\"] }", "one IPv4 and one IPv6 block" },
		{ "{ \"limits\": { \"ring_bytes\": 65537 } }", "power of two" },
		{ "{ \"audit\": { \"sync\": \"never\" } }", "must be \"batch\" or \"each\"" },
		{ "{ \"uids\": { \"broker\": 0 } }", "must be a uid of 1000 or more" },
		{ "{ \"run_dir\": \"/a\", \"run_dir\": \"/b\" }", "run_dir" },
		{ "{ \"managed\": {} }", ":1:14: managed: must be a list of objects" },
		{ "{ \"managed\": [ {} ] }", "needs \"unit\" or \"engine\"" },
		{ "{ \"managed\": [ { \"unit\": \"a/b.service\" } ] }",
		  ":1:26: unit: must be: a unit's name without '/'" },
		{ "{ \"managed\": [ { \"engine\": \"dokcer\" } ] }", "did you mean \"docker\"?" },
		{ "{ \"managed\": [ { \"unit\": \"a\", \"unregisterd\": \"deny\" } ] }",
		  "unregisterd: unknown key; did you mean \"unregistered\"?" },
		{ "{ \"managed\": [ { \"unit\": \"a\", \"unregistered\": \"policy:\" } ] }",
		  "unregistered: must be: \"deny\", \"hold\" or \"policy:NAME\"" },
		{ "{ \"managed\": [ { \"unit\": \"a\", \"registrar\": \"no-such-user-here\" } ] }",
		  "registrar: this host has no user \"no-such-user-here\"" },
		{ "{ \"managed\": [ { \"engine\": \"docker\", \"registrar\": 1001 } ] }",
		  "no \"unit\" whose jobs it registers" },
		{ "{ \"managed\": [ { \"unit\": \"a\", \"adopt\": \"sole\" } ] }",
		  "but no \"engine\"" },
		{ "{ \"managed\": [ { \"engine\": \"docker\", \"engine_socket\": \"no\" } ] }",
		  "engine_socket: must be: \"keep\" or \"hide\"" },
		{ "{ \"managed\": [ { \"unit\": \"a\", \"engine_socket\": \"hide\" } ] }",
		  "but no \"engine\"" },
		{ "{ \"attach\": \"pods\" }", "attach: must be: \"kubepods\", or the path" },
		{ "{ \"attach\": \"/\" }", "attach: must be" },
		{ "{ \"attach\": \"/a/../b\" }", "attach: must be" },
		{ "{ \"attach\": \"/a//b\" }", "attach: must be" },
		{ "{ \"attach\": \"/a/\" }", "attach: must be" },
		{ "{ \"attach\": \"/.\" }", "attach: must be" },
		{ "{ \"attach\": \"/egretd.slice\" }", "attach: must be" },
		{ "{ \"attach\": \"kubepods\", \"managed\": [ { \"unit\": \"a\" } ] }",
		  "take it or \"attach\" away" },
		{ "{ \"attach\": \"kubepods\", \"managed\": [ { \"engine\": \"crio\", "
		  "\"unregistered\": \"hold\" } ] }",
		  "\"hold\" does not go with \"attach\"" },
		{ "{ \"managed\": [ { \"engine\": \"docker\", \"jobs\": \"kubernetes\" } ] }",
		  "engines containerd and crio" },
		{ "{ \"managed\": [ { \"engine\": \"crio\", \"exempt_namespaces\": [\"kube-*\"] } "
		  "] }",
		  "names of Kubernetes namespaces, no patterns" },
		{ "{ \"managed\": [ { \"engine\": \"podman\", \"jobs\": \"gitlab\" } ] }",
		  "for the engine docker alone" },
		{ "{ \"managed\": [ { \"engine\": \"docker\" }, { \"engine\": \"docker\" } ] }",
		  "says again what an earlier entry said" },
		{ "{ \"identity\": [ { } ] }", "needs \"issuer\"" },
		{ "{ \"identity\": [ { \"issuer\": \"http://ci.example.test\" } ] }",
		  "issuer: must be: the https address" },
		{ "{ \"identity\": [ { \"issuer\": \"https://u@ci.example.test\" } ] }",
		  "issuer: must be: the https address" },
		{ "{ \"identity\": [ { \"issuer\": \"https://ci.test\", \"kind\": \"gitea\" } ] }",
		  "kind: must be: \"github\"" },
		{ "{ \"identity\": [ { \"issuer\": \"https://ci.test\", \"audience\": \"a b\" } ] "
		  "}",
		  "audience: must be: at most 256" },
		{ "{ \"identity\": [ { \"issuer\": \"https://ci.test\" }, { \"issuer\": "
		  "\"https://ci.test\" } ] }",
		  "names an issuer that an earlier entry names" },
		{ "{ \"identity\": [ { \"issuer\": \"https://a.test\", \"kind\": \"github\" }, { "
		  "\"issuer\": \"https://b.test\", \"kind\": \"github\", \"audience\": \"doors\" } "
		  "] "
		  "}",
		  "has another audience or replay than an earlier entry of its kind" },
		{ "{ \"identity\": [ { \"issuer\": \"https://a.test\", \"kind\": \"gitlab\" }, { "
		  "\"issuer\": \"https://b.test\", \"kind\": \"gitlab\", \"replay\": \"nonce\" } ] "
		  "}",
		  "has another audience or replay than an earlier entry of its kind" },
		{ "{ \"ca\": { \"mode\": \"none\" } }", "must be \"job\" or \"root\"" },
		{ "{ \"uids\": { \"identity\": 65603 } }",
		  "uids.identity: the same as uids.compile" },
		{ "{ \"uids\": { \"identity\": 66001 } }", "uids.identity: 66001 is a proxy's" },
		{ "{} x", ":1:4" },
		{ "[]", "must be an object" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config c;
		char why[1024] = "";

		assert_int_equal(config_load(put("c.json", rows[i].text), &c, why, sizeof(why)),
				 -EINVAL);
		if (!strstr(why, rows[i].says))
			fail_msg("%s: said %s, not %s", rows[i].text, why, rows[i].says);
	}
}

static void test_drop_ins(void **state)
{
	struct config c, d;
	char why[1024] = "", path[128];
	(void)state;

	snprintf(path, sizeof(path), "%s/conf.d", dir);
	mkdir(path, 0755);
	put("conf.d/10-a.json", "{ \"limits\": { \"jobs\": 1, \"names\": 20 } }");
	put("conf.d/20-b.json", "{ \"limits\": { \"jobs\": 2 } }");
	put("conf.d/ignored.txt", "not JSON");
	assert_int_equal(
		config_load(put("c.json", "{ \"limits\": { \"jobs\": 9 } }"), &c, why, sizeof(why)),
		0);
	assert_int_equal(c.limits.jobs, 2);
	assert_int_equal(c.limits.names, 20);
	put("conf.d/20-b.json", "{ \"limits\": { \"jobs\": 3 } }");
	assert_int_equal(
		config_load(put("c.json", "{ \"limits\": { \"jobs\": 9 } }"), &d, why, sizeof(why)),
		0);
	assert_string_not_equal(c.digest, d.digest);
	config_done(&c);
	config_done(&d);
	put("conf.d/20-b.json", "{ \"limit\": {} }");
	assert_int_equal(config_load(put("c.json", "{}"), &c, why, sizeof(why)), -EINVAL);
	assert_non_null(
		strstr(why, "conf.d/20-b.json:1:3: limit: unknown key; did you mean \"limits\"?"));
	snprintf(path, sizeof(path), "%s/conf.d/20-b.json", dir);
	unlink(path);
}

static void test_whose(void **state)
{
	struct config c;
	char why[1024] = "";
	const char *path = put("c.json", "{}");
	(void)state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(config_load(path, &c, why, sizeof(why)), -EPERM);
	assert_non_null(strstr(why, "chown root"));
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chown(path, 65534, 0), 0);
	assert_int_equal(config_load(path, &c, why, sizeof(why)), -EPERM);
	assert_int_equal(config_load("/nonexistent/egret.json", &c, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent/egret.json: No such file"));
	unlink(path);
}

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/egret-config-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const names[] = {
		"conf.d/10-a.json", "conf.d/20-b.json", "conf.d/ignored.txt", "conf.d", "c.json", ""
	};
	char path[160];
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)remove(path);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_keys),
		cmocka_unit_test(test_managed),	 cmocka_unit_test(test_kubernetes),
		cmocka_unit_test(test_faults),	 cmocka_unit_test(test_drop_ins),
		cmocka_unit_test(test_whose)
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
