/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a wrong abi.h would cost a rewrite, settled first: a job as a set of cgroups and namespaces;
 * a listener that outlives its maker and whose accepted sockets get their record; listeners held
 * twice; the cage; one attach point for all.
 */
#include "kernel/harness.h"

static void check_record(uint64_t job, const char *ip, uint16_t port)
{
	struct egret_record rec = { 0 };
	uint8_t want[16];

	addr16(ip, want);
	need(taken(W.ns.tcp4, &rec), "no record");
	assert_int_equal(rec.job, job);
	assert_memory_equal(rec.addr, want, 16);
	assert_int_equal(rec.port, port);
}

/* P1: the maker of the listener is gone, its leaf cgroup is empty, the record still comes. */
static void test_listener_outlives_maker(void **state)
{
	struct dial d = { .ip = "198.51.100.7", .port = 443, .type = SOCK_STREAM };
	bool populated = true;
	(void)state;

	need(cgroup_populated(W.cg.listen, &populated), "populated");
	assert_false(populated);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	check_record(JOB_A, "198.51.100.7", 443);
}

static void test_two_cgroups_one_job(void **state)
{
	struct dial d = { .ip = "198.51.100.8", .port = 80, .type = SOCK_STREAM };
	uint64_t id = 0;
	int fd = -1;
	(void)state;

	need(cgroup_make(W.cg.jobs, "job-a-service", &fd, &id), "cgroup");
	need(kernel_cgroup_set(W.k, id, JOB_A, EGRET_CG_READY), "set");
	assert_int_equal(task_run(fd, W.ns.netns, dial_fn, &d), 0);
	check_record(JOB_A, "198.51.100.8", 80);
	need(kernel_cgroup_del(W.k, id), "del");
	assert_int_equal(task_run(fd, W.ns.netns, dial_fn, &d), EPERM);
	close(fd);
}

static void test_two_namespaces_one_job(void **state)
{
	struct dial d = { .ip = "198.51.100.9", .port = 80, .type = SOCK_STREAM };
	struct egret_record rec = { 0 };
	struct netns second;
	char why[256] = "";
	(void)state;

	need(netns_open(W.cg.listen, NETNS_NEW, -1, &second, why, sizeof(why)), why);
	assert_true(second.cookie != W.ns.cookie);
	/* Not yet told to the kernel: refused, not let out. */
	assert_int_equal(task_run(W.a_fd, second.netns, dial_fn, &d), EPERM);
	need(kernel_listener_set(W.k, JOB_A, second.cookie, &second.listener), "set");
	assert_int_equal(task_run(W.a_fd, second.netns, dial_fn, &d), 0);
	need(taken(second.tcp4, &rec), "no record");
	assert_int_equal(rec.job, JOB_A);
	assert_int_equal(taken(W.ns.tcp4, &rec), -EAGAIN);
	/* Another job in job A's namespace finds no listener of its own. */
	assert_int_equal(task_run(W.b_fd, W.ns.netns, dial_fn, &d), EPERM);
	need(kernel_listener_del(W.k, JOB_A, second.cookie), "del");
	netns_close(&second);
}

/* A container's namespace: made by somebody else, lo down, entered by descriptor. */
static int bare_fn(void *arg)
{
	int *fd = arg;
	(void)fd;
	if (unshare(CLONE_NEWNET) < 0)
		return errno;
	said->n = 1;
	pause();
	return 0;
}

static void test_namespace_of_another(void **state)
{
	struct dial d = { .ip = "2001:db8::9", .port = 80, .type = SOCK_STREAM };
	pid_t pid = task_start(-1, -1, bare_fn, NULL);
	struct egret_record rec = { 0 };
	struct netns ns;
	char why[256] = "", path[64];
	int fd;
	(void)state;

	while (!((volatile struct said *)said)->n)
		usleep(1000);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	need(netns_open(W.cg.listen, NETNS_ENTER, fd, &ns, why, sizeof(why)), why);
	need(kernel_listener_set(W.k, JOB_A, ns.cookie, &ns.listener), "set");
	assert_int_equal(task_run(W.a_fd, fd, dial_fn, &d), 0);
	need(taken(ns.tcp6, &rec), "no record");
	need(kernel_listener_del(W.k, JOB_A, ns.cookie), "del");
	netns_close(&ns);
	close(fd);
}

/* egretd and the proxy hold the listener both; one dies, the other serves. */
static int hold_fn(void *arg)
{
	struct egret_record rec;
	int fd = *(int *)arg;

	if (taken(fd, &rec))
		return EIO;
	said->n = 1;
	pause();
	return 0;
}

static void test_listener_held_twice(void **state)
{
	struct dial d = { .ip = "198.51.100.10", .port = 80, .type = SOCK_STREAM };
	struct said before;
	pid_t pid;
	(void)state;

	pid = task_start(-1, -1, hold_fn, &W.ns.tcp4);
	before = *said;
	(void)before;
	{
		pid_t c = fork();

		if (c == 0) {
			struct sockaddr_storage ss;
			socklen_t len = sa_of(d.ip, d.port, &ss);
			int fd;

			if (cgroup_add(W.a_fd, 0) || setns(W.ns.netns, CLONE_NEWNET) < 0)
				_exit(1);
			fd = socket(AF_INET, SOCK_STREAM, 0);
			_exit(connect(fd, (void *)&ss, len) < 0);
		}
		waitpid(c, NULL, 0);
	}
	for (int i = 0; i < 500 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	assert_int_equal(said->n, 1); /* the other holder served it, with its record */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	check_record(JOB_A, "198.51.100.10", 80);
}

/* One attach point: cgroups made later, and below a job's own, are held without any further step.
 */
static void test_nested(void **state)
{
	struct dial d = { .ip = "198.51.100.11", .port = 80, .type = SOCK_STREAM };
	int mid = -1, leaf = -1, alone = -1;
	uint64_t id = 0;
	(void)state;

	need(cgroup_make(W.a_fd, "mid", &mid, &id), "cgroup");
	need(cgroup_make(mid, "leaf", &leaf, &id), "cgroup");
	need(cgroup_make(W.cg.jobs, "later", &alone, &id), "cgroup");
	assert_int_equal(task_run(leaf, W.ns.netns, dial_fn, &d), 0);
	check_record(JOB_A, "198.51.100.11", 80);
	/* The deepest registered one decides: a step that is a job of its own has no listener here.
	 */
	need(cgroup_id(mid, &id), "id");
	need(kernel_cgroup_set(W.k, id, JOB_B, EGRET_CG_READY), "set");
	assert_int_equal(task_run(leaf, W.ns.netns, dial_fn, &d), EPERM);
	need(kernel_cgroup_del(W.k, id), "del");
	assert_int_equal(task_run(alone, W.ns.netns, dial_fn, &d), EPERM);
	assert_int_equal(task_run(W.none_fd, -1, dial_fn, &d), EPERM);
	close(mid);
	close(leaf);
	close(alone);
}

static void test_cage_on_the_proxies_parent(void **state)
{
	struct dial d = { .ip = "127.0.0.1", .port = 80, .type = SOCK_STREAM };
	uint64_t was = refused(EGRET_R_CAGE_ADDRESS), id = 0;
	int fd = -1;
	(void)state;

	need(cgroup_make(W.cg.proxies, "proxy-1", &fd, &id), "cgroup");
	assert_int_equal(task_run(fd, -1, dial_fn, &d), EPERM);
	assert_int_equal(refused(EGRET_R_CAGE_ADDRESS), was + 1);
	close(fd);
}

static void test_not_ready(void **state)
{
	struct dial d = { .ip = "198.51.100.12", .port = 80, .type = SOCK_STREAM };
	(void)state;

	need(kernel_cgroup_set(W.k, W.a, JOB_A, 0), "set");
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), EPERM);
	need(kernel_cgroup_set(W.k, W.a, JOB_A, EGRET_CG_READY), "set");
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	check_record(JOB_A, "198.51.100.12", 80);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_listener_outlives_maker),
		cmocka_unit_test(test_two_cgroups_one_job),
		cmocka_unit_test(test_two_namespaces_one_job),
		cmocka_unit_test(test_namespace_of_another),
		cmocka_unit_test(test_listener_held_twice),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_cage_on_the_proxies_parent),
		cmocka_unit_test(test_not_ready),
	};

	return cmocka_run_group_tests(all, world_open, world_close);
}

int main(void)
{
	return kept(tests);
}
