/* SPDX-License-Identifier: Apache-2.0 */
/* Places in an engine's JSON and what is spliced there: every byte outside the changes stays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "oci/json.h"
#include "oci/splice.h"
#include "trust/trust.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const env[] = { "JAVA_TOOL_OPTIONS=-J", "SSL_CERT_FILE=/b", "EGRET_JOB=j",
				   NULL };
#define ENV "\"JAVA_TOOL_OPTIONS=-J\",\"SSL_CERT_FILE=/b\",\"EGRET_JOB=j\""
#define ENV_NO_JAVA "\"SSL_CERT_FILE=/b\",\"EGRET_JOB=j\""
#define HOOK "{\"path\":\"/x/egret-runc\"}"
#define HOOKS "{\"createRuntime\":[" HOOK "]}"
#define MOUNT "{\"destination\":\"/run/egret\",\"source\":\"/r/oci/c/in\"}"

static struct splice all(void)
{
	return (struct splice){ .env = (char *const *)env,
				.java = "-J",
				.mounts = STR(MOUNT),
				.hook = STR(HOOK),
				.our_folder = STR("/r/oci"),
				.our_hook = STR("/x/egret-runc") };
}

static int splice_kind(enum found_kind kind, const char *text, const struct splice *s, char **ret)
{
	struct found *f = calloc(1, sizeof(*f));
	struct buf to;
	char why[256] = "";
	int r;

	found_read(kind, str_of(text), f);
	r = f->r;
	buf_init(&to, 2 * OCI_CONFIG_MAX);
	if (r == 0)
		r = splice_text(str_of(text), f, s, &to, why, sizeof(why));
	*ret = r == 0 ? mem_dup(buf_str(&to)) : NULL;
	buf_done(&to);
	free(f);
	return r;
}

static void becomes_by(const struct splice *s, enum found_kind kind, const char *text,
		       const char *want)
{
	char *got, *again;

	assert_int_equal(splice_kind(kind, text, s, &got), 0);
	assert_string_equal(got, want);
	/* What was spliced once is left as it is: an engine may create the bundle again. */
	assert_int_equal(splice_kind(kind, got, s, &again), 0);
	assert_string_equal(again, want);
	free(got);
	free(again);
}

static void becomes(const char *text, const char *want)
{
	struct splice s = all();

	becomes_by(&s, FOUND_CONFIG, text, want);
}

static void refused(enum found_kind kind, const char *text)
{
	struct splice s = all();
	char *got;

	assert_int_equal(splice_kind(kind, text, &s, &got), -EINVAL);
}

static void absent_and_null(void **state)
{
	becomes("{\"process\":{}}",
		"{\"mounts\":[" MOUNT "],\"hooks\":" HOOKS ",\"process\":{\"env\":[" ENV "]}}");
	becomes("{\"mounts\":null,\"hooks\":null,\"process\":{\"env\":null}}",
		"{\"mounts\":[" MOUNT "],\"hooks\":" HOOKS ",\"process\":{\"env\":[" ENV "]}}");
	becomes("{\"mounts\":[],\"hooks\":{},\"process\":{\"env\":[]}}",
		"{\"mounts\":[" MOUNT "],\"hooks\":{\"createRuntime\":[" HOOK
		"]},\"process\":{\"env\":[" ENV "]}}");
	becomes("{\"mounts\":[ ],\"hooks\":{\"createRuntime\":null},\"process\":{\"env\":[ ]}}",
		"{\"mounts\":[" MOUNT " ],\"hooks\":{\"createRuntime\":[" HOOK
		"]},\"process\":{\"env\":[" ENV " ]}}");
}

/* Around a given environment; mounts and hooks are in place already. */
static void env_becomes(const char *list, const char *want)
{
	char *text, *expected;

	assert_true(asprintf(&text,
			     "{\"mounts\":[" MOUNT "],\"hooks\":" HOOKS
			     ",\"process\":{\"env\":%s}}",
			     list) > 0);
	assert_true(asprintf(&expected,
			     "{\"mounts\":[" MOUNT "],\"hooks\":" HOOKS
			     ",\"process\":{\"env\":%s}}",
			     want) > 0);
	becomes(text, expected);
	free(text);
	free(expected);
}

static void environment(void **state)
{
	env_becomes("[\"A=1\"]", "[\"A=1\"," ENV "]");
	env_becomes("[\n\t\"A=1\" ,\n\t\"B=\\u00e9\\\"\"\n]",
		    "[\n\t\"A=1\" ,\n\t\"B=\\u00e9\\\"\"," ENV "\n]");
	/* Proxies and what is set anew go: first, last, in between, in a row, all. */
	env_becomes("[\"http_proxy=x\",\"A=1\"]", "[\"A=1\"," ENV "]");
	env_becomes("[\"HTTP_PROXY=x\" , \"no_proxy=y\", \"A=1\"]", "[\"A=1\"," ENV "]");
	env_becomes("[\"A=1\" , \"https_proxy=x\"]", "[\"A=1\"," ENV "]");
	env_becomes("[\"A=1\",\"ALL_proxy=x\",\"B=2\"]", "[\"A=1\",\"B=2\"," ENV "]");
	env_becomes("[\"A=1\",\"SSL_CERT_FILE=/c\",\"PIP_CERT=/c\",\"B=2\",\"EGRET_JOB=k\"]",
		    "[\"A=1\",\"B=2\"," ENV "]");
	env_becomes("[\"http_proxy=x\",\"SSL_CERT_FILE=/c\"]", "[" ENV "]");
	/* Names that only look like them stay. */
	env_becomes("[\"http_proxy\",\"XSSL_CERT_FILE=/c\",\"SSL_CERT_FILES=/c\",\"\",\"=\"]",
		    "[\"http_proxy\",\"XSSL_CERT_FILE=/c\",\"SSL_CERT_FILES=/c\",\"\",\"=\"," ENV
		    "]");
	/* Java's options are lengthened where they stand, escapes and all. */
	env_becomes("[\"JAVA_TOOL_OPTIONS=-Da=\\\"b\\\"\",\"A=1\"]",
		    "[\"JAVA_TOOL_OPTIONS=-Da=\\\"b\\\" -J\",\"A=1\"," ENV_NO_JAVA "]");
	env_becomes("[\"JAVA_TOOL_OPTIONS=\"]", "[\"JAVA_TOOL_OPTIONS= -J\"," ENV_NO_JAVA "]");
}

static void no_job(void **state)
{
	struct splice s = { .hook = STR(HOOK), .our_hook = STR("/x/egret-runc") };

	becomes_by(&s, FOUND_CONFIG, "{\"process\":{\"env\":[\"http_proxy=x\"]},\"mounts\":[{}]}",
		   "{\"hooks\":" HOOKS
		   ",\"process\":{\"env\":[\"http_proxy=x\"]},\"mounts\":[{}]}");
}

static void capabilities(void **state)
{
	struct splice s = { .env = NULL };
	static const char text[] =
		"{\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_NET_RAW\",\"CAP_KILL\"],"
		"\"effective\":[\"CAP_NET_RAW\",\"CAP_NET_ADMIN\"],\"permitted\":[\n\"CAP_NET_"
		"ADMIN\" "
		",\n\"CAP_KILL\"],\"ambient\":null,\"inheritable\":[\"cap_net_raw\",\"NET_ADMIN\","
		"\"CAP_NET_BIND_SERVICE\"]}}";

	becomes_by(&s, FOUND_PROCESS, text,
		   "{\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_KILL\"],"
		   "\"effective\":[],\"permitted\":[\n\"CAP_KILL\"],\"ambient\":null,"
		   "\"inheritable\":[\"CAP_NET_BIND_SERVICE\"]}}");
	s.net_raw = true;
	s.net_admin = true;
	becomes_by(&s, FOUND_PROCESS, text, text);
	s.net_raw = false;
	refused(FOUND_PROCESS, "{\"capabilities\":{\"bounding\":[\"CAP_NET\\u005fRAW\"]}}");
}

static void others_stay(void **state)
{
	/* A pretty text, keys in escapes elsewhere, numbers that no integer holds, foreign hooks
	 * and mounts. */
	becomes("{\n  \"ociVersion\": \"1.0\",\n  \"x\": [18446744073709551616, -1.5e+300, 0.0],\n"
		"  \"annotations\": {\"\\u00fc\": \"\\ud800\", \"a\": \"b\", \"a\": \"c\"},\n"
		"  \"hooks\": {\n    \"prestart\": [{\"path\": \"/a\"}],\n    \"createRuntime\": "
		"[\n"
		"      {\"path\": \"/b\", \"args\": [\"b\"]}\n    ]\n  },\n"
		"  \"mounts\": [\n    {\"destination\": \"/proc\"}\n  ],\n"
		"  \"process\": {\"user\": {\"uid\": 0}}\n}\n",
		"{\n  \"ociVersion\": \"1.0\",\n  \"x\": [18446744073709551616, -1.5e+300, 0.0],\n"
		"  \"annotations\": {\"\\u00fc\": \"\\ud800\", \"a\": \"b\", \"a\": \"c\"},\n"
		"  \"hooks\": {\n    \"prestart\": [{\"path\": \"/a\"}],\n    \"createRuntime\": "
		"[\n"
		"      {\"path\": \"/b\", \"args\": [\"b\"]}," HOOK "\n    ]\n  },\n"
		"  \"mounts\": [\n    {\"destination\": \"/proc\"}," MOUNT "\n  ],\n"
		"  \"process\": {\"env\":[" ENV "],\"user\": {\"uid\": 0}}\n}\n");
}

static void faults(void **state)
{
	static const char *const configs[] = {
		"",
		"null",
		"[]",
		"{}",
		"{\"process\":null}",
		"{\"process\":[]}",
		"{\"process\":{}} x",
		"{\"process\":{},\"process\":{}}",
		"{\"process\":{},\"Process\":{}}",
		"{\"proce\\u017f\\u017f\":{},\"process\":{}}",
		"{\"process\":{\"env\":{}}}",
		"{\"process\":{\"env\":[1]}}",
		"{\"process\":{\"env\":[],\"env\":[]}}",
		"{\"process\":{\"Env\":[]}}",
		"{\"process\":{},\"mounts\":{}}",
		"{\"process\":{},\"mounts\":[\"x\"]}",
		"{\"process\":{},\"hooks\":[]}",
		"{\"process\":{},\"hooks\":{\"createRuntime\":{}}}",
		"{\"process\":{},\"linux\":{\"cgroupsPath\":\"a\\u0000b\"}}",
		"{\"process\":{},}",
		"{\"process\":{\"env\":[\"a\",]}}",
		"{\"process\":{\"env\":[\"a\n\"]}}",
		"{\"process\":{\"env\":[\"\\x\"]}}",
		"{\"process\":01}",
		"{\"process\":{}",
		"{\"\\u0070rocess\":{},\"process\":{}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(configs); i++)
		refused(FOUND_CONFIG, configs[i]);
	/* An escape in a key is still that key. */
	becomes("{\"\\u0070rocess\":{}}", "{\"mounts\":[" MOUNT "],\"hooks\":" HOOKS
					  ",\"\\u0070rocess\":{\"env\":[" ENV "]}}");
}

static void nesting(void **state)
{
	char text[512] = "{\"process\":{},\"x\":";
	size_t n = strlen(text);
	struct found *f = calloc(1, sizeof(*f));

	for (size_t depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX; depth++) {
		memset(text + n, '[', depth);
		memset(text + n + depth, ']', depth);
		text[n + 2 * depth] = '}';
		found_read(FOUND_CONFIG, (struct str){ text, n + 2 * depth + 1 },
			   memset(f, 0, sizeof(*f)));
		assert_int_equal(f->r, depth < JSON_DEPTH_MAX ? 0 : -EINVAL);
	}
	free(f);
}

static void facts(void **state)
{
	struct found *f = calloc(1, sizeof(*f));

	found_read(
		FOUND_CONFIG,
		STR("{\"process\":{},\"root\":{\"path\":\"root\\u0066s\",\"readonly\":true},"
		    "\"linux\":{\"cgroupsPath\":\"egret.slice:docker:ab\"},\"annotations\":{"
		    "\"io.kubernetes.pod.name\":\"web\\n\",\"other\":\"x\",\"egret.job\":\"\"},"
		    "\"mounts\":[{\"destination\":\"/a\",\"source\":\"/b\",\"options\":[\"rbind\","
		    "\"ro\"]},{\"destination\":\"/t\",\"type\":\"tmpfs\"}]}"),
		f);
	assert_int_equal(f->r, 0);
	assert_true(str_is(found_words(f, f->root), "rootfs"));
	assert_true(f->root_readonly);
	assert_true(str_is(found_words(f, f->cgroup), "egret.slice:docker:ab"));
	assert_int_equal(f->nlabels, 2);
	assert_true(str_is(found_words(f, f->label_keys[0]), "io.kubernetes.pod.name"));
	assert_true(str_is(found_words(f, f->label_values[0]), "web\n"));
	assert_true(f->mount_of[0].bind && f->mount_of[0].readonly);
	assert_false(f->mount_of[1].bind);
	memset(f, 0, sizeof(*f));
	found_read(FOUND_STATE, STR("{\"id\":\"c\",\"pid\":42,\"bundle\":\"/b\"}"), f);
	assert_int_equal(f->r, 0);
	assert_int_equal(f->pid, 42);
	memset(f, 0, sizeof(*f));
	found_read(FOUND_STATE, STR("{\"id\":\"c\",\"pid\":-1,\"bundle\":\"/b\"}"), f);
	assert_int_equal(f->r, -EINVAL);
	memset(f, 0, sizeof(*f));
	found_read(FOUND_STATE, STR("{\"id\":\"c\",\"pid\":0,\"bundle\":\"/b\"}"), f);
	assert_int_equal(f->r, -EINVAL);
	free(f);
}

/* The reader's places are believed only where the bytes are what they must be. */
static void lying_reader(void **state)
{
	static const char text[] =
		"{\"process\":{\"env\":[\"A=x\\\"SSL_CERT_FILE=y\\\" \",\"B=1\"]},\"hooks\":{},"
		"\"mounts\":[]}";
	struct found *f = calloc(1, sizeof(*f));
	struct splice s = all();
	struct place *items = f->items;
	struct buf to;
	char why[256];

	buf_init(&to, 1 << 20);
	found_read(FOUND_CONFIG, str_of(text), f);
	assert_int_equal(f->r, 0);
	/* Inside a string, from one escaped quote to the other. */
	items[f->env.first].at = (uint32_t)(strstr(text, "\"SSL") - text);
	items[f->env.first].end = (uint32_t)(strstr(text, "\\\" \"") - text + 2);
	assert_int_equal(splice_text(str_of(text), f, &s, &to, why, sizeof(why)), -EINVAL);
	found_read(FOUND_CONFIG, str_of(text), memset(f, 0, sizeof(*f)));
	f->env.whole.at++;
	assert_int_equal(splice_text(str_of(text), f, &s, &to, why, sizeof(why)), -EINVAL);
	found_read(FOUND_CONFIG, str_of(text), memset(f, 0, sizeof(*f)));
	f->hooks.hole++;
	assert_int_equal(splice_text(str_of(text), f, &s, &to, why, sizeof(why)), -EINVAL);
	buf_done(&to);
	free(f);
}

/* The child and its checks, as they run. */
static void looking(void **state)
{
	struct found *f = NULL;
	char why[256];

	assert_int_equal(found_look(FOUND_CONFIG, STR("{\"process\":{\"env\":[\"A=1\"]}}"), 65534,
				    &f, why, sizeof(why)),
			 0);
	assert_int_equal(f->env.count, 1);
	found_free(f);
	assert_int_equal(found_look(FOUND_CONFIG, STR("{\"process\":{\"env\":[1]}}"), 65534, &f,
				    why, sizeof(why)),
			 -EINVAL);
	assert_string_equal(why, "at byte 19: not of the kind that belongs here");
}

static void big(void **state)
{
	size_t room = OCI_CONFIG_MAX, n = 0;
	char *text = malloc(room + 64);
	struct found *f = calloc(1, sizeof(*f));

	n += (size_t)snprintf(text, 64, "{\"process\":{\"env\":[\"A=");
	memset(text + n, 'x', room - n - 8);
	n = room - 8;
	n += (size_t)snprintf(text + n, 64, "\"]}}");
	found_read(FOUND_CONFIG, (struct str){ text, n }, f);
	assert_int_equal(f->r, 0);
	/* More elements than there is room for. */
	n = (size_t)snprintf(text, 64, "{\"process\":{\"env\":[\"\"");
	for (unsigned i = 0; i < FOUND_ITEMS_MAX; i++)
		n += (size_t)snprintf(text + n, 64, ",\"\"");
	n += (size_t)snprintf(text + n, 64, "]}}");
	found_read(FOUND_CONFIG, (struct str){ text, n }, memset(f, 0, sizeof(*f)));
	assert_int_equal(f->r, -EINVAL);
	free(text);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absent_and_null),
		cmocka_unit_test(environment),
		cmocka_unit_test(no_job),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(others_stay),
		cmocka_unit_test(faults),
		cmocka_unit_test(nesting),
		cmocka_unit_test(facts),
		cmocka_unit_test(lying_reader),
		cmocka_unit_test(looking),
		cmocka_unit_test(big),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
