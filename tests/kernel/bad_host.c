/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that lack something: one sentence that says what and what to do, and nothing left
 * half-started. Each case breaks a mount namespace of its own, or gives up root, in a child.
 */
#include "kernel/harness.h"
#include "egretd/hostaddr.h"
#include "egretd/probe.h"
#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mount.h>

/* The sentence that starting gives, and from where: said->text; said->n is 1 probe, 2 cgroups, 3
 * kernel. */
static int start(void)
{
	struct cgroups cg;
	struct kernel *k = NULL;
	struct kernel_where at;
	char *why = said->text;
	size_t size = sizeof(said->text);
	int r = cgroups_open("bad", NULL, &cg, why, size);

	said->n = 2;
	if (r)
		return -r;
	W.cg = cg;
	at = where(&W);
	at.instance = "bad";
	r = kernel_open(&at, &k, why, size);
	said->n = 3;
	if (!r)
		r = kernel_unpin("bad", why, size);
	kernel_free(k);
	if (cgroups_remove(&cg))
		said->n = 9;
	cgroups_close(&cg);
	return -r;
}

static int probe_only(void)
{
	said->n = 1;
	return -probe_required(said->text, sizeof(said->text));
}

static int private_mounts(void)
{
	return unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0;
}

static int no_btf_fn(void *arg)
{
	if (private_mounts() || mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL) < 0)
		return ENOSYS;
	return arg ? probe_only() : start();
}

static int no_cgroup_fn(void *arg)
{
	struct cgroup_mount m;
	char why[64];

	if (private_mounts())
		return ENOSYS;
	while (cgroup_mount_find(&m, why, sizeof(why)) == 0)
		if (umount2(m.path, MNT_DETACH) < 0 && mount("none", m.path, "tmpfs", 0, NULL) < 0)
			return ENOSYS;
	return arg ? probe_only() : start();
}

static int no_root_fn(void *arg)
{
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return ENOSYS;
	return arg ? probe_only() : start();
}

static int cgroupns_fn(void *arg)
{
	if (unshare(CLONE_NEWCGROUP) < 0)
		return ENOSYS;
	return arg ? probe_only() : start();
}

static int good_fn(void *arg)
{
	return arg ? probe_only() : start();
}

static void expect(int (*fn)(void *), int n, const char *word)
{
	for (int probe = 0; probe < 2; probe++) {
		int r = task_run(-1, -1, fn, probe ? (void *)"" : NULL);

		assert_int_not_equal(r, ENOSYS);
		assert_int_not_equal(r, 0);
		if (!strstr(said->text, word))
			print_error("said (%d): %s\n", said->n, said->text);
		assert_non_null(strstr(said->text, word));
		assert_null(strchr(said->text, '\n'));
		assert_int_equal(said->n, probe ? 1 : n);
	}
	assert_int_equal(access("/sys/fs/bpf/egret/bad", F_OK), -1);
}

static void test_no_btf(void **state)
{
	(void)state;
	expect(no_btf_fn, 3, "CONFIG_DEBUG_INFO_BTF");
}

static void test_no_cgroup2(void **state)
{
	(void)state;
	expect(no_cgroup_fn, 2, "cgroup2");
}

static void test_not_root(void **state)
{
	(void)state;
	expect(no_root_fn, 2, "root");
}

static void test_cgroup_namespace(void **state)
{
	(void)state;
	expect(cgroupns_fn, 2, "cgroup namespace");
}

/* As on a kernel booted with lsm= lacking landlock. */
static int no_landlock_fn(void *arg)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_create_ruleset, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(f) / sizeof(f[0]), .filter = f };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return ENOSYS;
	(void)arg;
	return probe_only();
}

static void test_no_landlock(void **state)
{
	(void)state;
	assert_int_equal(task_run(-1, -1, no_landlock_fn, NULL), EOPNOTSUPP);
	assert_non_null(strstr(said->text, "Landlock"));
}

static void test_good(void **state)
{
	struct probe p[PROBES_MAX];
	size_t n = probe_all(p);
	(void)state;

	assert_int_equal(task_run(-1, -1, good_fn, NULL), 0);
	assert_int_equal(said->n, 3);
	assert_int_equal(task_run(-1, -1, good_fn, (void *)""), 0);
	assert_true(n >= 7);
	for (size_t i = 0; i < n; i++) {
		assert_true(p[i].sentence[0] != 0);
		if (p[i].required)
			assert_true(p[i].ok);
	}
}

static void test_netns_failures(void **state)
{
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC), before = 0, after = 0;
	struct cgroups cg;
	struct netns ns;
	char why[256] = "";
	DIR *d;
	(void)state;

	need(cgroups_open(W.instance, NULL, &cg, why, sizeof(why)), why);
	d = opendir("/proc/self/fd");
	while (readdir(d))
		before++;
	closedir(d);
	assert_true(netns_open(cg.listen, NETNS_ENTER, file, &ns, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "entered"));
	assert_true(netns_open(file, NETNS_NEW, -1, &ns, why, sizeof(why)) < 0);
	for (int i = 0; i < 3; i++) {
		need(netns_open(cg.listen, NETNS_NEW, -1, &ns, why, sizeof(why)), why);
		netns_close(&ns);
	}
	d = opendir("/proc/self/fd");
	while (readdir(d))
		after++;
	closedir(d);
	assert_int_equal(before, after);
	close(file);
	cgroups_close(&cg);
}

/* 127.0.0.1 is among the host's addresses, in the mapped form; watching opens and drains. */
static void test_host_addresses(void **state)
{
	uint8_t(*list)[16] = NULL, want[16];
	char text[HOSTADDR_TEXT_MAX];
	bool found = false;
	size_t n = 0;
	int fd = -1;
	(void)state;

	need(hostaddr_list(&list, &n), "list");
	addr16("127.0.0.1", want);
	for (size_t i = 0; i < n; i++)
		found |= memcmp(list[i], want, 16) == 0;
	assert_true(found);
	hostaddr_text(want, text);
	assert_string_equal(text, "127.0.0.1");
	addr16("2001:db8::1", want);
	hostaddr_text(want, text);
	assert_string_equal(text, "2001:db8::1");
	free(list);
	need(hostaddr_watch_open(false, &fd), "watch");
	hostaddr_drain(fd);
	close(fd);
}

static int spin_fn(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	said->n++;
	if (pid == 0)
		setsid();
	pause();
	return 0;
}

static void test_cgroup_kill(void **state)
{
	struct cgroups cg;
	char why[256] = "";
	bool populated = false;
	int fd = -1, deep = -1, st;
	uint64_t id = 0, again = 0;
	pid_t a;
	(void)state;

	need(cgroups_open(W.instance, NULL, &cg, why, sizeof(why)), why);
	need(cgroup_make(cg.jobs, "k", &fd, &id), "make");
	need(cgroup_make(fd, "deep", &deep, NULL), "make");
	need(cgroup_id(fd, &again), "id");
	assert_true(id == again && id != 0);
	a = task_start(deep, -1, spin_fn, NULL);
	for (int i = 0; i < 1000 && ((volatile struct said *)said)->n < 2; i++)
		usleep(1000);
	need(cgroup_populated(fd, &populated), "populated");
	assert_true(populated);
	assert_int_equal(cgroup_wait_empty(fd, 30), -ETIMEDOUT);
	assert_int_equal(cgroup_remove(cg.jobs, "k"), -EBUSY);
	need(cgroup_kill(fd), "kill");
	waitpid(a, &st, 0);
	need(cgroup_wait_empty(fd, 5000), "empty");
	close(fd);
	close(deep);
	need(cgroup_remove(cg.jobs, "k"), "remove");
	need(cgroup_remove(cg.jobs, "k"), "removed again");
	cgroups_close(&cg);
	assert_int_equal(cgroups_open("../x", NULL, &cg, why, sizeof(why)), -EINVAL);
	assert_int_equal(cgroups_open("", NULL, &cg, why, sizeof(why)), -EINVAL);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_good),	       cmocka_unit_test(test_no_btf),
		cmocka_unit_test(test_no_cgroup2),     cmocka_unit_test(test_not_root),
		cmocka_unit_test(test_no_landlock),    cmocka_unit_test(test_cgroup_namespace),
		cmocka_unit_test(test_netns_failures), cmocka_unit_test(test_host_addresses),
		cmocka_unit_test(test_cgroup_kill),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return kept(tests);
}
