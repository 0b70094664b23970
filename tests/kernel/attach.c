/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An attach point that is others' too, two levels deep: whom nobody registered passes untouched,
 * who was registered does not, and who is known as nobody's is refused. Programs that stand at one
 * cgroup are not moved to another. Real kernel, own cgroups.
 */
#include "harness.h"

static char at[64], other[64];

static int attach_open(void **state)
{
	char why[256] = "";
	struct kernel_where w;
	(void)state;

	need(cgroups_open(W.instance, at, &W.cg, why, sizeof(why)), why);
	assert_int_equal(W.cg.jobs_level, 2);
	assert_true(W.cg.attached);
	w = where(&W);
	w.unknown_pass = true;
	need(kernel_open(&w, &W.k, why, sizeof(why)), why);
	need(kernel_accepted_fd(W.k, &W.accepted), "accepted fd");
	need(cgroup_make(W.cg.jobs, "job-a", &W.a_fd, &W.a), "cgroup");
	need(cgroup_make(W.cg.jobs, "job-b", &W.b_fd, &W.b), "cgroup");
	need(cgroup_make(W.cg.jobs, "others", &W.none_fd, &W.none), "cgroup");
	need(netns_open(W.cg.listen, NETNS_NEW, -1, &W.ns, why, sizeof(why)), why);
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &W.ns.listener), "listener");
	need(kernel_cgroup_set(W.k, W.a, JOB_A, EGRET_CG_READY), "cgroup");
	need(kernel_cgroup_set(W.k, W.b, 0, 0), "cgroup");
	return 0;
}

/* A server on the namespace's own loopback, which is neither the proxy's nor in a job. */
static int serve_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of("127.0.0.1", 0, &ss);
	struct dial d = { .ip = "127.0.0.1", .type = SOCK_STREAM };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct dial *u = arg;
	int r;

	if (fd < 0 || bind(fd, (void *)&ss, len) < 0 || listen(fd, 4) < 0)
		return errno;
	len = sizeof(ss);
	if (getsockname(fd, (void *)&ss, &len) < 0)
		return errno;
	d.port = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	r = dial_fn(&d);
	if (r == 0 && ntohs(((struct sockaddr_in *)&said->peer)->sin_port) != d.port)
		return EXDEV; /* it was turned */
	return r ? r : dial_fn(u);
}

static int raw_fn(void *arg)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
	(void)arg;

	return fd < 0 ? errno : 0;
}

static void test_others_pass(void **state)
{
	struct dial udp = { .ip = "127.0.0.1", .port = 99, .type = SOCK_DGRAM };
	struct dial port = { .ip = "127.0.0.1",
			     .type = SOCK_STREAM,
			     .port = be16toh(W.ns.listener.tcp4_be) };
	uint64_t was[EGRET_R_MAX], now[EGRET_R_MAX];
	uint64_t id = 0;
	int deep = -1;
	(void)state;

	need(kernel_refused(W.k, was), "counters");
	assert_int_equal(task_run(W.none_fd, W.ns.netns, serve_fn, &udp), 0);
	assert_int_equal(task_run(W.none_fd, W.ns.netns, raw_fn, NULL), 0);
	need(cgroup_make(W.none_fd, "deep", &deep, &id), "cgroup");
	assert_int_equal(task_run(deep, W.ns.netns, serve_fn, &udp), 0);
	/* The listener is reached, but its connection has no record: the proxy refuses it. */
	assert_int_equal(task_run(W.none_fd, W.ns.netns, dial_fn, &port), 0);
	{
		struct egret_record rec;

		assert_int_equal(taken(W.ns.tcp4, &rec), -ENOENT);
	}
	need(kernel_refused(W.k, now), "counters");
	assert_memory_equal(was, now, sizeof(was));
	close(deep);
}

static void test_registered_do_not(void **state)
{
	struct dial d = { .ip = "198.51.100.7", .port = 80, .type = SOCK_STREAM };
	struct dial udp = { .ip = "198.51.100.7", .port = 99, .type = SOCK_DGRAM };
	struct egret_record rec;
	int deep = -1;
	uint64_t id = 0;
	(void)state;

	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(taken(W.ns.tcp4, &rec), "no record");
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &udp), EPERM);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, raw_fn, NULL), EPERM);
	/* Of no job: neither it nor what is made below it. */
	assert_int_equal(task_run(W.b_fd, W.ns.netns, serve_fn, &udp), EPERM);
	need(cgroup_make(W.b_fd, "deep", &deep, &id), "cgroup");
	assert_int_equal(task_run(deep, W.ns.netns, dial_fn, &d), EPERM);
	close(deep);
}

/* A socket goes with its maker into another cgroup: who registered there is judged by both. */
static int move_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of("127.0.0.1", 99, &ss);
	struct timeval tv = { .tv_sec = 1 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || cgroup_add(*(int *)arg, 0) < 0)
		return EXDEV;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	return connect(fd, (void *)&ss, len) < 0 ? errno : 0;
}

static void test_moved(void **state)
{
	int r;
	(void)state;

	assert_int_equal(task_run(W.none_fd, W.ns.netns, move_fn, &W.none_fd), ECONNREFUSED);
	assert_int_equal(task_run(W.none_fd, W.ns.netns, move_fn, &W.b_fd), EPERM);
	assert_int_equal(task_run(W.none_fd, W.ns.netns, move_fn, &W.a_fd), EPERM);
	/* Its own loopback is a job's; another's port of it is reached as before. */
	r = task_run(W.a_fd, W.ns.netns, move_fn, &W.none_fd);
	assert_true(r == ECONNREFUSED || r == EPERM || r == EINPROGRESS);
}

static void test_gone(void **state)
{
	uint64_t id = 0;
	int fd = -1;
	(void)state;

	need(cgroup_make(W.cg.jobs, "short", &fd, &id), "cgroup");
	close(fd);
	assert_false(cgroup_is_gone(W.cg.root, id));
	need(kernel_cgroup_set(W.k, id, 0, 0), "set");
	assert_true(kernel_cgroup_known(W.k, id));
	need(cgroup_remove(W.cg.jobs, "short"), "remove");
	assert_true(cgroup_is_gone(W.cg.root, id));
	need(kernel_cgroup_del(W.k, id), "del");
	assert_false(kernel_cgroup_known(W.k, id));
}

static void test_not_moved(void **state)
{
	struct dial d = { .ip = "127.0.0.1", .port = 99, .type = SOCK_STREAM };
	char why[256] = "";
	struct cgroups cg;
	struct kernel *k = NULL;
	struct kernel_where w;
	(void)state;

	need(cgroups_open(W.instance, other, &cg, why, sizeof(why)), why);
	w = where(&W);
	w.jobs = cg.jobs;
	w.jobs_level = cg.jobs_level;
	w.unknown_pass = true;
	assert_int_equal(kernel_open(&w, &k, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "stand at another cgroup"));
	assert_int_equal(task_run(W.b_fd, W.ns.netns, dial_fn, &d), EPERM);
	/* Nor does the end of an instance take away what is not its own. */
	need(cgroup_kill(W.cg.jobs), "kill");
	need(cgroup_wait_empty(W.cg.jobs, 5000), "empty");
	cgroups_close(&cg);
	assert_int_equal(faccessat(W.cg.jobs, "others", F_OK, 0), 0);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_others_pass), cmocka_unit_test(test_registered_do_not),
		cmocka_unit_test(test_moved),	    cmocka_unit_test(test_gone),
		cmocka_unit_test(test_not_moved),
	};

	return cmocka_run_group_tests(all, attach_open, world_close);
}

int main(void)
{
	struct cgroup_mount m;
	char why[256] = "", top[32];
	int r, root = -1;

	snprintf(top, sizeof(top), "egret-a%d", (int)getpid());
	snprintf(at, sizeof(at), "/%s/pods", top);
	snprintf(other, sizeof(other), "/%s/other", top);
	r = kept(tests);
	if (cgroup_mount_find(&m, why, sizeof(why)) == 0)
		root = open(m.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0 && cgroup_remove(root, top) < 0)
		r = 1;
	return r;
}
