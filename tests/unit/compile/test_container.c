/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What docker's files say of a container. The inputs are tests/fuzz/corpus/inspect: written by a
 * real dockerd 20.10 (the data folder's name replaced), but docker28, which is written by hand from
 * the documented fields of later versions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "compile/container.h"
#include "compile/mounts.h"

static struct arena arena;
static char why[512];

static int read_case(const char *name, struct container_facts *ret)
{
	static char bytes[65536];
	char path[256];
	size_t n;
	FILE *f;
	char *nul;

	snprintf(path, sizeof(path), "tests/fuzz/corpus/inspect/%s", name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	nul = memchr(bytes, 0, n);
	assert_non_null(nul);
	return container_read(&arena, (struct str){ bytes, (size_t)(nul - bytes) },
			      (struct str){ nul + 1, n - (size_t)(nul + 1 - bytes) }, ret, why,
			      sizeof(why));
}

static bool has(const struct container_list *l, const char *what)
{
	for (unsigned i = 0; i < l->n; i++)
		if (str_is(l->at[i], what))
			return true;
	return false;
}

static void test_plain(void **state)
{
	struct container_facts c;
	(void)state;

	assert_int_equal(read_case("plain", &c), 0);
	assert_true(str_is(c.image, "bb:1"));
	assert_true(c.name.n > 0 && c.name.p[0] != '/');
	assert_int_equal(c.labels.n, 0);
	assert_int_equal(c.networks.n, 1);
	assert_true(has(&c.networks, "bridge"));
	assert_int_equal(c.ports.n, 0);
	assert_int_equal(c.flags, 0);
}

static void test_github(void **state)
{
	struct container_facts c;
	(void)state;

	assert_int_equal(read_case("github", &c), 0);
	assert_true(str_is(c.name, "0f3f_bb_1a2b3c"));
	assert_int_equal(c.labels.n, 1);
	assert_true(has(&c.labels, "1a2b3c="));
	assert_true(has(&c.networks, "github_network_abc"));
	assert_true(has(&c.aliases, "bb"));
	assert_int_equal(c.flags, INSPECT_ENGINE_SOCKET_FILE);
}

static void test_service(void **state)
{
	struct container_facts c;
	(void)state;

	assert_int_equal(read_case("service", &c), 0);
	assert_true(has(&c.aliases, "postgres"));
	assert_true(has(&c.ports, "tcp4:5432:5432"));
	assert_true(has(&c.ports, "tcp6:5432:5432"));
	assert_true(has(&c.ports, "tcp4:32768:6379")); /* chosen by the engine */
	assert_int_equal(c.ports.n, 4);		       /* UDP is not carried */
	assert_int_equal(c.flags, 0);
}

static void test_gitlab(void **state)
{
	struct container_facts c;
	(void)state;

	assert_int_equal(read_case("gitlab", &c), 0);
	assert_int_equal(c.labels.n, 4);
	assert_true(has(&c.labels, "com.gitlab.gitlab-runner.job.id=77"));
	assert_true(has(&c.labels, "com.gitlab.gitlab-runner.type=build"));
	assert_true(has(&c.labels, "egret.job=j-1"));
	assert_int_equal(c.flags, 0);
}

static void test_powers(void **state)
{
	struct container_facts c;
	(void)state;

	assert_int_equal(read_case("privileged", &c), 0);
	assert_int_equal(c.flags, INSPECT_PRIVILEGED | INSPECT_ENGINE_SOCKET | INSPECT_HOST_NET |
					  INSPECT_HOST_PID | INSPECT_DEVICES);
	assert_int_equal(read_case("caps", &c), 0);
	assert_int_equal(c.flags, INSPECT_ENGINE_SOCKET | INSPECT_CAPABILITIES);
}

static void test_later_docker(void **state)
{
	struct container_facts c;
	(void)state;

	assert_int_equal(read_case("docker28", &c), 0);
	assert_true(has(&c.labels, "com.gitlab.gitlab-runner.job.id=9007199254740993"));
	assert_true(has(&c.aliases, "db"));
	assert_true(has(&c.aliases, "runner-abc-postgres"));
	assert_int_equal(c.aliases.n, 3);
	assert_int_equal(c.ports.n, 0); /* asked for only: whose the port is, is not known yet */
	assert_int_equal(c.flags, INSPECT_CAPABILITIES | INSPECT_DEVICES | INSPECT_ENGINE_SOCKET);
}

static void test_mounts(void **state)
{
	static const struct {
		const char *path;
		uint64_t flags;
	} rows[] = {
		{ "volume", 0 },
		{ "/srv/_work", 0 },
		{ "/etc/localtime", 0 },
		{ "/dev/shm", 0 },
		{ "/dev/null", 0 },
		{ "/var/lib/docker/volumes/v/_data", 0 },
		{ "/run/docker.sock.d", 0 },
		{ "/var/running", 0 },
		{ "/run/user/1000/dbus", 0 },
		{ "/", INSPECT_ENGINE_SOCKET | INSPECT_DEVICES },
		{ "/srv/..", INSPECT_ENGINE_SOCKET | INSPECT_DEVICES },
		{ "/var/run/docker.sock", INSPECT_ENGINE_SOCKET_FILE },
		{ "//run/./docker.sock/", INSPECT_ENGINE_SOCKET_FILE },
		{ "/srv/../var/run", INSPECT_ENGINE_SOCKET },
		{ "/var", INSPECT_ENGINE_SOCKET | INSPECT_DEVICES },
		{ "/run/", INSPECT_ENGINE_SOCKET },
		{ "/run/containerd", INSPECT_ENGINE_SOCKET },
		{ "/var/run/podman/podman.sock", INSPECT_ENGINE_SOCKET_FILE },
		{ "/run/crio/crio.sock", INSPECT_ENGINE_SOCKET_FILE },
		{ "/srv/engine/docker.sock", INSPECT_ENGINE_SOCKET_FILE },
		{ "/run/user/1000", INSPECT_ENGINE_SOCKET },
		{ "/run/user/1000/podman", INSPECT_ENGINE_SOCKET },
		{ "/proc/1", INSPECT_DEVICES },
		{ "/sys", INSPECT_DEVICES },
		{ "/sys/fs/cgroup/x", INSPECT_DEVICES },
		{ "/dev/sda", INSPECT_DEVICES },
		{ "/etc", INSPECT_DEVICES },
		{ "/var/lib/docker/volumes", INSPECT_DEVICES },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (mount_flags(str_of(rows[i].path)) != rows[i].flags)
			fail_msg("%s: %llu", rows[i].path,
				 (unsigned long long)mount_flags(str_of(rows[i].path)));
}

static void test_faults(void **state)
{
#define CONFIG(config) "{ \"Config\": " config ", \"NetworkSettings\": {} }"
#define HOST "{ \"Privileged\": false, \"NetworkMode\": \"none\" }"
	static const struct {
		const char *config, *host, *says;
	} rows[] = {
		{ "", HOST, "config.v2.json:1:1: " },
		{ "[]", HOST, "config.v2.json: is not an object" },
		{ "{}", HOST, "config.v2.json: Config: is missing" },
		{ CONFIG("[]"), HOST, "config.v2.json: Config: is not of the form" },
		{ CONFIG("{ \"Labels\": { \"egret.x\": 1 } }"), HOST, "Labels: a label" },
		{ CONFIG("{ \"Labels\": { \"egret.x\": \"a\\nb\" } }"), HOST, "Labels: a label" },
		{ CONFIG("{ \"Labels\": { \"egret.x=y\": \"a\" } }"), HOST, "Labels: a label" },
		{ CONFIG("{ \"Labels\": { \"egret.x\": \"a\", \"egret.x\": \"b\" } }"), HOST,
		  "twice" },
		{ CONFIG("{ \"Image\": \"a\\u0007\" }"), HOST, "Image: is too long or holds" },
		{ CONFIG("{}"), "{}", "hostconfig.json: Privileged: is missing" },
		{ CONFIG("{}"), "{ \"Privileged\": \"no\", \"NetworkMode\": \"none\" }",
		  "Privileged: is not of the form" },
		{ CONFIG("{}"), "{ \"Privileged\": false }", "NetworkMode: is missing" },
		{ CONFIG("{}"), "{ \"Privileged\": false, \"NetworkMode\": \"none\" } x",
		  "text behind the end" },
		{ CONFIG("{}"),
		  "{ \"Privileged\": false, \"NetworkMode\": \"none\", \"Binds\": {} }",
		  "Binds: is not of the form" },
		{ CONFIG("{}"),
		  "{ \"Privileged\": false, \"NetworkMode\": \"none\", \"CapAdd\": [ 1 ] }",
		  "CapAdd: is not of the form" },
	};
	struct container_facts c;
	char many[8192] = "{ \"Config\": { \"Labels\": {";
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(container_read(&arena, str_of(rows[i].config),
						str_of(rows[i].host), &c, why, sizeof(why)),
				 -EINVAL);
		if (!strstr(why, rows[i].says))
			fail_msg("%s: said %s, not %s", rows[i].config, why, rows[i].says);
	}
	for (int i = 0; i < 65; i++) {
		size_t at = strlen(many);

		snprintf(many + at, sizeof(many) - at, "%s\"egret.%d\": \"\"", i ? ", " : "", i);
	}
	strncat(many, "} }, \"NetworkSettings\": {} }", sizeof(many) - strlen(many) - 1);
	assert_int_equal(container_read(&arena, str_of(many), STR(HOST), &c, why, sizeof(why)),
			 -EINVAL);
	assert_non_null(strstr(why, "Labels: more than 64 of them"));
}

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, CONTAINER_ARENA_MAX);
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),	cmocka_unit_test(test_github),
		cmocka_unit_test(test_service), cmocka_unit_test(test_gitlab),
		cmocka_unit_test(test_powers),	cmocka_unit_test(test_later_docker),
		cmocka_unit_test(test_mounts),	cmocka_unit_test(test_faults),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, begin, end);
}
