/* SPDX-License-Identifier: Apache-2.0 */
/* Secret memory, job specs, and the checks over the store's key and folder. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/secret.h"
#include "base/spec.h"
#include "base/storekey.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef EGRET_ASAN
#define IS_ASAN true
#else
#define IS_ASAN false
#endif

static void test_arena(void **state)
{
	struct secret list[64], s;
	uint8_t *was;

	assert_int_equal(secret_new(1, &s), -ENOMEM); /* no arena yet */
	assert_int_equal(secret_arena_init(64 * 64), 0);
	assert_int_equal(secret_arena_init(4096), -EBUSY);
	for (int i = 0; i < 64; i++) {
		assert_int_equal(secret_new(64, &list[i]), 0);
		memset(list[i].p, 0xa5, 64);
	}
	assert_int_equal(secret_new(1, &s), -ENOMEM);
	was = list[10].p;
	secret_done(&list[10]);
	assert_null(list[10].p);
	secret_done(&list[10]);
	for (int i = 0; i < 64; i++)
		assert_int_equal(was[i], 0); /* wiped */
	assert_int_equal(secret_new(65, &s), -ENOMEM);
	assert_int_equal(secret_dup("abc", 3, &s), 0);
	assert_ptr_equal(s.p, was);
	assert_memory_equal(s.p, "abc", 3);
	secret_done(&s);
	for (int i = 0; i < 64; i++)
		secret_done(&list[i]);
	assert_int_equal(secret_new(64 * 64, &s), 0);
	secret_done(&s);
	assert_int_equal(secret_new(SIZE_MAX, &s), -ENOMEM);
}

/* Locked, out of dumps, empty in a child: as the kernel lists it. */
static void test_marks(void **state)
{
	char line[512];
	unsigned long from, to, at;
	bool here = false, marked = false;
	struct secret s;
	int status;
	pid_t pid;
	FILE *f;

	assert_int_equal(secret_dup("canary", 6, &s), 0);
	at = (unsigned long)s.p;
	f = fopen("/proc/self/smaps", "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from <= at && at < to;
		if (here && strncmp(line, "VmFlags:", 8) == 0)
			/* The sanitizers' mlock does nothing. */
			marked = (strstr(line, " lo") || IS_ASAN) && strstr(line, " dd") &&
				 strstr(line, " wf");
	}
	fclose(f);
	assert_true(marked);
	pid = fork();
	if (pid == 0)
		_exit(s.p[0] == 0 && s.p[5] == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	secret_done(&s);
}

static void test_eq(void **state)
{
	assert_true(secret_eq(STR("same"), STR("same")));
	assert_false(secret_eq(STR("same"), STR("sane")));
	assert_false(secret_eq(STR("same"), STR("sam")));
	assert_true(secret_eq(STR(""), STR("")));
}

static void test_spec(void **state)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"", NULL };
	char *envp[] = { (char *)"A=1", NULL }, *none[] = { NULL };
	struct spec s;
	int fd = -1;

	assert_int_equal(spec_write(argv, envp, &fd), 0);
	assert_true(write(fd, "x", 1) < 0); /* sealed */
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(spec_read(fd, &s), 0);
		assert_string_equal(s.argv[1], "-c");
		assert_string_equal(s.argv[2], "");
		assert_null(s.argv[3]);
		assert_string_equal(s.envp[0], "A=1");
		assert_null(s.envp[1]);
		spec_done(&s);
	}
	close(fd);
	assert_int_equal(spec_write(none, envp, &fd), -EINVAL);
	assert_int_equal(spec_write(argv, none, &fd), 0);
	assert_int_equal(spec_read(fd, &s), 0);
	assert_null(s.envp[0]);
	spec_done(&s);
	close(fd);
}

static void test_spec_hostile(void **state)
{
	static const struct {
		struct str bytes;
		int err;
	} cases[] = {
		{ STR("EPC1\1\0\0\0\0\0\0\0a\0"), 0 },
		{ STR(""), -EBADMSG },
		{ STR("EPC1\1\0\0\0\0\0\0"), -EBADMSG },
		{ STR("EPC2\1\0\0\0\0\0\0\0a\0"), -EBADMSG },
		{ STR("EPC1\0\0\0\0\0\0\0\0"), -EBADMSG },
		{ STR("EPC1\1\0\0\0\0\0\0\0a"), -EBADMSG },
		{ STR("EPC1\2\0\0\0\0\0\0\0a\0"), -EBADMSG },
		{ STR("EPC1\1\0\0\0\0\0\0\0a\0b\0"), -EBADMSG },
		{ STR("EPC1\xff\xff\xff\xff\1\0\0\0a\0"), -EBADMSG },
		{ STR("EPC1\1\0\0\0\xff\xff\xff\xff"
		      "a\0"),
		  -EBADMSG },
	};
	struct spec s;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = memfd_create("t", MFD_CLOEXEC), r;

		assert_int_equal(write(fd, cases[i].bytes.p, cases[i].bytes.n), cases[i].bytes.n);
		r = spec_read(fd, &s);
		assert_int_equal(r, cases[i].err);
		if (r == 0)
			spec_done(&s);
		assert_int_equal(ftruncate(fd, (off_t)SPEC_SIZE_MAX + 1), 0);
		assert_int_equal(spec_read(fd, &s), -E2BIG);
		close(fd);
	}
}

static char dir[] = "/tmp/egret-test-key-XXXXXX";

static void in_dir(char *to, size_t size, const char *name)
{
	snprintf(to, size, "%s%s", dir, name);
}

static void test_store_key(void **state)
{
	char why[512] = "", path[256], a[80] = "", b[80] = "";
	struct stat st;
	int fd;

	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(storekey_open(dir, &fd, why, sizeof(why)), 0);
	assert_int_equal(read(fd, a, sizeof(a)), 65);
	assert_int_equal(strspn(a, "0123456789abcdef"), 64);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	close(fd);
	assert_int_equal(storekey_open(dir, &fd, why, sizeof(why)), 0);
	assert_int_equal(read(fd, b, sizeof(b)), 65);
	assert_string_equal(a, b);
	close(fd);
	in_dir(path, sizeof(path), "/keys/store.key");
	assert_int_equal(chmod(path, 0440), 0);
	assert_int_equal(storekey_open(dir, &fd, why, sizeof(why)), -EPERM);
	assert_non_null(strstr(why, "0400"));
	assert_int_equal(chmod(path, 0400), 0);
	assert_int_equal(chown(path, 1, 0), 0);
	assert_int_equal(storekey_open(dir, &fd, why, sizeof(why)), -EPERM);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/hostname", path), 0);
	assert_true(storekey_open(dir, &fd, why, sizeof(why)) < 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0400)), 0);
	assert_int_equal(storekey_open(dir, &fd, why, sizeof(why)), -EINVAL); /* empty */
	assert_int_equal(unlink(path), 0);
	in_dir(path, sizeof(path), "/keys");
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(storekey_open(dir, &fd, why, sizeof(why)), -EPERM);
	assert_int_equal(chmod(path, 0700), 0);
	/* systemd's credential goes first. */
	in_dir(path, sizeof(path), "/egret-store-key");
	fd = open(path, O_CREAT | O_WRONLY, 0440);
	assert_int_equal(write(fd, a, 32), 32);
	close(fd);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	assert_int_equal(storekey_open(dir, &fd, why, sizeof(why)), 0);
	assert_int_equal(read(fd, b, sizeof(b)), 32);
	close(fd);
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(unlink(path), 0);
	/* The folder of secrets. */
	assert_int_equal(store_dir_open(dir, 65601, &fd, why, sizeof(why)), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_uid, 65601);
	assert_int_equal(st.st_mode & 07777, 0700);
	close(fd);
	assert_int_equal(store_dir_open(dir, 65602, &fd, why, sizeof(why)), -EPERM);
	in_dir(path, sizeof(path), "/store");
	assert_int_equal(rmdir(path), 0);
	in_dir(path, sizeof(path), "/keys");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena),	     cmocka_unit_test(test_marks),
		cmocka_unit_test(test_eq),	     cmocka_unit_test(test_spec),
		cmocka_unit_test(test_spec_hostile), cmocka_unit_test(test_store_key),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
