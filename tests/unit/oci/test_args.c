/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's command line as engines write it, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "oci/oci.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int read_line(const char *line, struct args *a)
{
	static char text[512];
	static char *argv[64];
	char why[256];
	int argc = 0;

	argv[argc++] = (char *)"egret-runc";
	snprintf(text, sizeof(text), "%s", line);
	for (char *word = text, *end; *word; word = end) {
		end = word + strcspn(word, " ");
		argv[argc++] = word;
		if (*end)
			*end++ = 0;
	}
	argv[argc] = NULL;
	return args_read(argc, argv, a, why, sizeof(why));
}

static void is(const char *line, enum verb verb, const char *id, const char *bundle,
	       const char *passed)
{
	struct args a;
	char got[512] = "";

	assert_int_equal(read_line(line, &a), 0);
	assert_int_equal(a.verb, verb);
	if (id)
		assert_string_equal(a.id, id);
	else
		assert_null(a.id);
	assert_string_equal(a.bundle, bundle);
	for (int i = 1; i < a.nrest; i++) {
		if (i > 1)
			strncat(got, " ", sizeof(got) - strlen(got) - 1);
		strncat(got, a.rest[i], sizeof(got) - strlen(got) - 1);
	}
	assert_string_equal(got, passed);
	free(a.rest);
}

static void stays(const char *line, enum verb verb, const char *id, const char *bundle)
{
	is(line, verb, id, bundle, line);
}

static void refused(const char *line)
{
	struct args a;

	assert_int_equal(read_line(line, &a), -EINVAL);
	free(a.rest);
}

static void engines(void **state)
{
	/* containerd and docker */
	stays("--root /run/c/moby --log /b/log.json --log-format json --systemd-cgroup create "
	      "--bundle /b --pid-file /b/init.pid --console-socket /s 0123abcd",
	      VERB_CREATE, "0123abcd", "/b");
	stays("--root /r --log /b/log.json --log-format json exec --process /tmp/p "
	      "--console-socket "
	      "/s --detach --pid-file /p 0123",
	      VERB_EXEC, "0123", ".");
	stays("--root /r --log l --log-format json delete --force 0123", VERB_DELETE, "0123", ".");
	/* podman's monitor, BuildKit */
	stays("--log-format=json --log=/l create --bundle /b --pid-file /p --no-pivot id",
	      VERB_CREATE, "id", "/b");
	stays("--log /l --log-format json run --bundle /b --keep --no-pivot id", VERB_RUN, "id",
	      "/b");
	/* by hand */
	stays("run id", VERB_RUN, "id", ".");
	stays("create -b /x -- id", VERB_CREATE, "id", "/x");
	stays("create -bundle=/x id", VERB_CREATE, "id", "/x");
	stays("exec -t -u 1:1 -e A=B id sh -c true", VERB_EXEC, "id", ".");
	stays("exec id create --bundle x", VERB_EXEC, "id", ".");
	is("--egret-runtime=/r --root /x --egret-run-dir=/d --egret-engine=docker create --bundle "
	   "/b c",
	   VERB_CREATE, "c", "/b", "--root /x create --bundle /b c");
}

static void others(void **state)
{
	stays("", VERB_OTHER, NULL, ".");
	stays("--version", VERB_OTHER, NULL, ".");
	stays("features", VERB_OTHER, NULL, ".");
	stays("--root /r state --anything id", VERB_OTHER, NULL, ".");
	stays("--root /r pause id", VERB_PAUSE, "id", ".");
	stays("resume id", VERB_RESUME, "id", ".");
	stays("pause --new-option id", VERB_PAUSE, NULL, ".");
	stays("delete --new-option id", VERB_DELETE, NULL, ".");
	stays("--root /r kill --all id 9", VERB_OTHER, NULL, ".");
	stays("--new-option=1 start id", VERB_OTHER, NULL, ".");
	stays("--new-option start id", VERB_OTHER, NULL, ".");
	stays("create --help", VERB_OTHER, NULL, ".");
	stays("hook", VERB_HOOK, NULL, ".");
	is("--new-option=1 create id", VERB_CREATE, "id", ".", "--new-option=1 create id");
}

static void not_understood(void **state)
{
	refused("create");
	refused("create --bundle");
	refused("create --bundle /b");
	refused("create --new-option id");
	refused("create a/b");
	refused("create ..");
	refused("exec --cap CAP_NET_RAW id true");
	refused("exec --new x id");
	refused("--new-option create id");
	refused("--new-option value run id");
	refused("-- create id");
	refused("hook --other");
	refused("--egret-run-dir=relative create id");
}

static void options_are_read(void **state)
{
	struct args a;

	assert_int_equal(read_line("--log /l --log-format json exec --process=/p --detach id", &a),
			 0);
	assert_string_equal(a.log, "/l");
	assert_true(a.log_json);
	assert_true(a.process_joined);
	assert_string_equal(a.process, "/p");
	assert_string_equal(a.rest[a.process_at], "--process=/p");
	free(a.rest);
	assert_int_equal(read_line("exec -p /p id", &a), 0);
	assert_false(a.process_joined);
	assert_string_equal(a.rest[a.process_at], "/p");
	free(a.rest);
	assert_int_equal(read_line("hook --spliced --egret-run-dir=/d --egret-engine=podman", &a),
			 0);
	assert_true(a.spliced);
	assert_string_equal(a.run_dir, "/d");
	assert_string_equal(a.engine, "podman");
	free(a.rest);
}

static const char *called(const char *line, const char *annotation)
{
	static struct found f;
	static char words[256];
	const char *engine, *eq;
	struct args a;

	assert_int_equal(read_line(line, &a), 0);
	memset(&f, 0, sizeof(f));
	eq = strchr(annotation, '=');
	if (eq) {
		size_t n = (size_t)(eq - annotation);

		memcpy(f.pool, annotation, n);
		snprintf(f.pool + n + 1, 200, "%s", eq + 1);
		f.label_keys[0] = (struct words){ 0, (uint32_t)n };
		f.label_values[0] = (struct words){ (uint32_t)n + 1, (uint32_t)strlen(eq + 1) };
		f.nlabels = 1;
	}
	engine = engine_called(&a, eq ? &f : NULL);
	snprintf(words, sizeof(words), "%s", engine ? engine : "none");
	free(a.rest);
	return words;
}

static void engine_by_itself(void **state)
{
	static const char *const rows[][3] = {
		{ "docker", "--root /var/run/docker/runtime-runc/moby create --bundle /b id", "" },
		{ "docker", "--root=/run/containerd/runc/moby/ exec -p /p id", "" },
		{ "docker", "--root /run/user/1000/docker/runtime-runc/moby create id", "" },
		{ "containerd", "--root /run/containerd/runc/k8s.io create --bundle /b id", "" },
		{ "containerd", "--root /run/containerd/runc/default exec -p /p id", "" },
		{ "podman", "--root /run/user/1000/runc create --bundle /b id", "" },
		{ "none", "--root /run/runc create --bundle /b id", "" },
		{ "none", "create id", "" },
		{ "podman", "create id", "io.container.manager=libpod" },
		{ "crio", "--root /run/runc create id", "io.container.manager=cri-o" },
		{ "none", "create id", "io.container.manager=other" },
		{ "crio", "create id", "io.kubernetes.cri-o.Name=x" },
		{ "containerd", "create id", "io.kubernetes.cri.sandbox-id=x" },
		{ "none", "create id", "egret.job=x" },
		/* The engine's own words come before a user's. */
		{ "docker", "--root /r/moby create id", "io.container.manager=libpod" },
		{ "podman", "--egret-engine=podman --root /r/moby create id", "" },
		{ "buildkit", "--log /l run --bundle /d/buildkit/executor/x x", "" },
		{ "buildkit", "run --bundle /var/lib/buildkit/runc-overlayfs/executor/x x", "" },
		{ "buildkit", "run --bundle /b 0a1b2c3d4e5f6g7h8i9j0k1l2", "" },
		{ "none", "create --bundle /b 0a1b2c3d4e5f6g7h8i9j0k1l2", "" },
		{ "none", "run --bundle /b 0A1b2c3d4e5f6g7h8i9j0k1l2", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(called(rows[i][1], rows[i][2]), rows[i][0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines),	    cmocka_unit_test(others),
		cmocka_unit_test(not_understood),   cmocka_unit_test(options_are_read),
		cmocka_unit_test(engine_by_itself),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
