/* SPDX-License-Identifier: Apache-2.0 */
/* What cgroup paths say: the shapes of engines, and names that only look like them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "egretd/place.h"
#include <errno.h>
#include <stdio.h>

#define H16 "0123456789abcdef"
#define ID H16 H16 H16 H16
#define ID2 "f" H16 H16 H16 "123456789abcdef"
#define UPPER "0123456789ABCDEF" H16 H16 H16
#define N127 ID "a" H16 H16 H16 "a23456789abcde"
#define POD "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice"

static const struct {
	const char *path;
	const char *id; /* NULL: none */
	const char *engine;
} rows[] = {
	/* docker */
	{ "/system.slice/docker-" ID ".scope", ID, "docker" },
	{ "/docker/" ID, ID, "docker" },
	{ "/egret.slice/" ID, ID, "" },
	{ "egret.slice/docker-" ID ".scope", ID, "docker" },
	{ "/docker/" ID "/", ID, "docker" },
	/* podman */
	{ "/machine.slice/libpod-" ID ".scope", ID, "podman" },
	{ "/machine.slice/libpod-" ID ".scope/container", ID, "podman" },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope", ID,
	  "podman" },
	{ "/libpod_parent/libpod-" ID, ID, "podman" },
	/* Kubernetes */
	{ POD "/cri-containerd-" ID ".scope", ID, "containerd" },
	{ "/kubepods/burstable/pod1-2/" ID, ID, "" },
	{ POD "/crio-" ID ".scope", ID, "crio" },
	{ "/kubepods/pod1/crio-" ID, ID, "crio" },
	{ POD "/crio-conmon-" ID ".scope", NULL, NULL },
	/* PREFIX:ID */
	{ "/kubepods-besteffort-pod1.slice:cri-containerd:" ID, ID, "containerd" },
	{ "/system.slice:docker:" ID, ID, "docker" },
	{ "/some:my-job.1", "my-job.1", "" },
	{ "/some:a:b", "b", "" },
	{ "/some:" N127, N127, "" },
	/* ones inside others: the deepest */
	{ "/docker/" ID "/docker/" ID2, ID2, "docker" },
	{ "/docker/" ID "/init.scope", ID, "docker" },
	{ "/system.slice/docker-" ID ".scope/syscont-cgroup-root/init.scope", ID, "docker" },
	{ "/system.slice/docker-" ID ".scope/kubepods/pod1/" ID2, ID2, "" },
	{ "//docker///" ID, ID, "docker" },
	/* none */
	{ "", NULL, NULL },
	{ "/", NULL, NULL },
	{ "/system.slice/actions.runner.acme-web.host1.service", NULL, NULL },
	{ "/system.slice/actions.runner:web.host1.service", NULL, NULL },
	{ "/user.slice/user@1000.service", NULL, NULL },
	{ "/docker/0123456789ab", NULL, NULL },
	{ "/docker/" ID "0", NULL, NULL },
	{ "/docker/" ID ID, NULL, NULL },
	{ "/docker/x" ID, NULL, NULL },
	{ "/docker/my-" ID, NULL, NULL },
	{ "/docker/" UPPER, NULL, NULL },
	{ "/system.slice/docker-" UPPER ".scope", NULL, NULL },
	{ "/system.slice/docker-" ID ".scope.d", NULL, NULL },
	{ "/system.slice/docker-" ID, NULL, NULL },
	{ "/system.slice/xdocker-" ID ".scope", NULL, NULL },
	{ "/system.slice/docker-.scope", NULL, NULL },
	{ "/system.slice/docker-" ID "\n.scope", NULL, NULL },
	{ "/docker/" ID "\n", NULL, NULL },
	{ "/evil\n0::/docker/" ID, NULL, NULL },
	{ "/docker/" ID " (deleted)", NULL, NULL },
	{ "/system.slice/docker-" ID ".scope (deleted)", NULL, NULL },
	{ "/../docker/" ID, NULL, NULL },
	{ "/docker/" ID "/..", NULL, NULL },
	{ "/some:", NULL, NULL },
	{ "/some:-a", NULL, NULL },
	{ "/some:a b", NULL, NULL },
	{ "/some:" N127 "00", NULL, NULL },
};

static void test_container(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct place p = { .id = "before" };
		int r = place_container(str_of(rows[i].path), &p);

		if (r != (rows[i].id ? 0 : -ENOENT) ||
		    (rows[i].id &&
		     (strcmp(p.id, rows[i].id) != 0 || strcmp(p.engine, rows[i].engine) != 0))) {
			print_error("%s: %d %s %s\n", rows[i].path, r, p.id,
				    p.engine ? p.engine : "-");
			fail();
		}
	}
}

static void test_too_long(void **state)
{
	char path[8192];
	struct place p;
	size_t n;
	(void)state;

	memset(path, 'a', sizeof(path));
	for (n = 0; n < sizeof(path); n += 100)
		path[n] = '/';
	assert_int_equal(place_container((struct str){ path, sizeof(path) }, &p), -ENOENT);
	/* No byte behind the range is read. */
	assert_int_equal(place_container((struct str){ "/docker/" ID "0", 8 + 64 }, &p), 0);
	assert_string_equal(p.id, ID);
	assert_int_equal(place_container((struct str){ "/docker/" ID, 8 + 63 }, &p), -ENOENT);
	assert_int_equal(place_container((struct str){ "/docker/\0" ID, 9 + 64 }, &p), -ENOENT);
}

static const struct {
	const char *from, *to; /* NULL: -EINVAL */
} oci[] = {
	{ "/docker/" ID, "/docker/" ID },
	{ "a/b", "/a/b" },
	{ "/a//b/", "/a/b" },
	{ "/default/a:b", "/default/a:b" },
	{ "/default/a:b:c", "/default/a:b:c" },
	{ "a:b", "/a:b" },
	{ "system.slice:docker:" ID, "/system.slice/docker-" ID ".scope" },
	{ ":docker:" ID, "/system.slice/docker-" ID ".scope" },
	{ "a-b-c.slice:cri:x", "/a.slice/a-b.slice/a-b-c.slice/cri-x.scope" },
	{ "-.slice:docker:x", "/docker-x.scope" },
	{ "egret.slice::x", "/egret.slice/x.scope" },
	{ "kubepods.slice:x:pod1.slice", "/kubepods.slice/pod1.slice" },
	{ "", NULL },
	{ "/", NULL },
	{ "//", NULL },
	{ "/a/../b", NULL },
	{ "..", NULL },
	{ "/a/./b", NULL },
	{ "/a\nb", NULL },
	{ "/a\x7f", NULL },
	{ "a.scope:docker:x", NULL },
	{ ".slice:docker:x", NULL },
	{ "a-.slice:docker:x", NULL },
	{ "-a.slice:docker:x", NULL },
	{ "a--b.slice:docker:x", NULL },
	{ "a.slice:docker:", NULL },
	{ "a.slice:docker:x:y", NULL },
};

static void test_oci(void **state)
{
	char to[4096], small[8] = "before";
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(oci); i++) {
		int r;

		snprintf(to, sizeof(to), "before");
		r = place_oci(str_of(oci[i].from), to, sizeof(to));
		if (r != (oci[i].to ? 0 : -EINVAL) ||
		    strcmp(to, oci[i].to ? oci[i].to : "before") != 0) {
			print_error("%s: %d %s\n", oci[i].from, r, to);
			fail();
		}
	}
	assert_int_equal(place_oci(STR("/1234567"), small, sizeof(small)), -EINVAL);
	assert_string_equal(small, "before");
	assert_int_equal(place_oci(STR("/123456"), small, sizeof(small)), 0);
	memset(to, 'a', sizeof(to));
	to[0] = '/';
	assert_int_equal(place_oci((struct str){ to, 300 }, to, sizeof(to)), -EINVAL);
}

static void test_unit(void **state)
{
	static const char path[] = "/egret.slice/actions.runner.a-b.host.service/j-1/x";
	size_t n = 77;
	(void)state;

	assert_true(place_unit(STR("/egret.slice/actions.runner.a-b.host.service/j-1/x"),
			       "actions.runner.*.service", &n));
	assert_int_equal(n, strlen(path) - strlen("/j-1/x"));
	assert_true(place_unit(STR("egret.slice/a.service"), "*", &n));
	assert_int_equal(n, strlen("egret.slice/a.service"));
	n = 77;
	assert_false(place_unit(STR("/egret.slice/gitlab-runner.service"),
				"actions.runner.*.service", &n));
	assert_false(place_unit(STR("/egret.slice"), "*", &n));
	assert_false(place_unit(STR("/a\nb.service"), "*", &n));
	assert_false(place_unit(STR("/../b.service"), "*.service", &n));
	/* Inside a unit or a container anybody may have made it. */
	assert_false(place_unit(STR("/egret.slice/b.service/a.service"), "a.service", &n));
	assert_false(place_unit(STR("/egret.slice/docker-x.scope/a.service/c"), "a.service", &n));
	/* A star does not pass a slash, and the name is matched whole. */
	assert_false(place_unit(STR("/a/b.service"), "a*b.service", &n));
	assert_false(place_unit(STR("/xb.service.d"), "*.service", &n));
	assert_int_equal(n, 77);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_container),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_oci),
		cmocka_unit_test(test_unit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(all, NULL, NULL);
}
