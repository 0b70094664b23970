/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `egret secret` with no daemon: the real command starts the real broker on a state directory of
 * the test's own, and leaves neither a process nor the value behind.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/egret-test-verb-XXXXXX";
static char program[4096];
static char out[65536]; /* what the last command printed, both streams */
static const char value[] = "canary-5f0c77aa19";

static int egret(const char *input, size_t n, const char *a, const char *b, const char *c)
{
	int in[2], back[2], status;
	size_t got = 0;
	ssize_t r;
	pid_t pid;

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(back), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(back[1], 1);
		dup2(back[1], 2);
		close(in[0]);
		close(in[1]);
		close(back[0]);
		close(back[1]);
		execl(program, "egret", "secret", a, b, c, NULL);
		_exit(127);
	}
	close(in[0]);
	close(back[1]);
	assert_int_equal(write(in[1], input, n), (ssize_t)n);
	close(in[1]);
	while ((r = read(back[0], out + got, sizeof(out) - 1 - got)) > 0)
		got += (size_t)r;
	out[got] = '\0';
	close(back[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int set(const char *name, const char *v)
{
	return egret(v, strlen(v), "set", name, NULL);
}

static void test_set_list_remove(void **state)
{
	char line[64];

	snprintf(line, sizeof(line), "%s\n", value);
	assert_int_equal(set("github-app", line), 0);
	assert_string_equal(out, "");
	assert_int_equal(set("two-newlines", "ab\n\n"), 0);
	assert_int_equal(egret("", 0, "list", "--json", NULL), 0);
	assert_non_null(strstr(out, "{\"name\": \"github-app\", \"time\": \"2"));
	assert_non_null(strstr(out, "\"size\": 17}"));
	assert_non_null(strstr(out, "\"size\": 3}")); /* one newline was dropped */
	assert_int_equal(egret("", 0, "list", NULL, NULL), 0);
	assert_non_null(strstr(out, "17 bytes"));
	assert_null(strstr(out, value));
	assert_int_equal(egret("", 0, "remove", "two-newlines", NULL), 0);
	assert_int_equal(egret("", 0, "remove", "two-newlines", NULL), 1);
	assert_non_null(strstr(out, "no secret named two-newlines"));
}

static void test_bad_use(void **state)
{
	static char big[65538];

	assert_int_equal(egret("", 0, NULL, NULL, NULL), 2);
	assert_int_equal(egret("", 0, "set", NULL, NULL), 2);
	assert_int_equal(egret("x", 1, "set", "name", "value-in-argv"), 2);
	assert_non_null(strstr(out, "stdin"));
	assert_int_equal(set("../name", "x"), 2);
	assert_int_equal(set(".name", "x"), 2);
	assert_int_equal(set("name", ""), 1);
	assert_int_equal(set("name", "\n"), 1);
	memset(big, 'x', sizeof(big));
	assert_int_equal(egret(big, 65537, "set", "big", NULL), 1);
	big[65536] = '\n';
	assert_int_equal(egret(big, 65537, "set", "big", NULL), 0);
	assert_int_equal(egret("", 0, "remove", "big", NULL), 0);
}

static void test_key_in_order(void **state)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/state/keys/store.key", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(set("name", "x"), 2);
	assert_non_null(strstr(out, "chmod 0400"));
	assert_int_equal(chmod(path, 0400), 0);
	assert_int_equal(chown(path, 65601, 0), 0);
	assert_int_equal(set("name", "x"), 2);
	assert_int_equal(chown(path, 0, 0), 0);
	snprintf(path, sizeof(path), "%s/state/store", dir);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(set("name", "x"), 2);
	assert_int_equal(chmod(path, 0700), 0);
}

static void test_no_value_left(void **state)
{
	static const char *const folders[] = { "state", "state/keys", "state/store" };
	static char bytes[200000];
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		struct dirent *de;
		DIR *d;

		snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
		d = opendir(path);
		assert_non_null(d);
		while ((de = readdir(d))) {
			int fd;
			ssize_t n;

			if (de->d_type != DT_REG)
				continue;
			snprintf(path, sizeof(path), "%s/%s/%s", dir, folders[i], de->d_name);
			fd = open(path, O_RDONLY);
			n = read(fd, bytes, sizeof(bytes));
			close(fd);
			assert_true(n > 0);
			assert_null(memmem(bytes, (size_t)n, value, strlen(value)));
		}
		closedir(d);
	}
	/* Orphans would have come to us. */
	errno = 0;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static int set_up(void **state)
{
	char path[128];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (geteuid() != 0) {
		fprintf(stderr, "# the store is root's: run as root\n");
		return -1;
	}
	if (n <= 0 || !mkdtemp(dir) || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -1;
	program[n] = '\0';
	for (int i = 0; i < 4; i++)
		*strrchr(program, '/') = '\0';
	strncat(program, "/bin/egret", sizeof(program) - strlen(program) - 1);
	snprintf(path, sizeof(path), "%s/state", dir);
	setenv("EGRET_STATE_DIR", path, 1);
	snprintf(path, sizeof(path), "%s/run", dir);
	setenv("EGRET_RUN_DIR", path, 1);
	unsetenv("CREDENTIALS_DIRECTORY");
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "state/store/github-app.sealed",
					     "state/store/name.sealed",
					     "state/store/big.sealed",
					     "state/store/two-newlines.sealed",
					     "state/store/.new",
					     "state/keys/store.key" };
	static const char *const folders[] = { "state/store", "state/keys", "state", "" };
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
		rmdir(path);
	}
	return access(dir, F_OK) == 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_list_remove),
		cmocka_unit_test(test_bad_use),
		cmocka_unit_test(test_key_in_order),
		cmocka_unit_test(test_no_value_left),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("secret verb", tests, set_up, tear_down);
}
