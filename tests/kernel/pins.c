/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P6: egretd is killed, the programs stand. A loader process opens the kernel side and is killed
 * with SIGKILL; what its job then gets is looked at; another loader takes over, and the job is
 * served again, its open sockets' records included.
 */
#include "kernel/harness.h"
#include <bpf/bpf.h>
#include <sys/stat.h>

static int load_fn(void *arg)
{
	(void)arg;
	if (world_open(NULL))
		return EIO;
	/* The descriptors that egretd's fd store or a proxy would keep are closed with this
	 * process. */
	said->n = 1;
	pause();
	return 0;
}

static pid_t loader;

/* Loads and dies; leaves only pins and cgroups. */
static int dead_loader(void **state)
{
	(void)state;
	loader = task_start(-1, -1, load_fn, NULL);
	for (int i = 0; i < 5000 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	assert_int_equal(said->n, 1);
	return 0;
}

static void test_stands_without_loader(void **state)
{
	struct dial d = { .ip = "198.51.100.1", .port = 443, .type = SOCK_STREAM };
	struct dial raw = { .ip = "198.51.100.1", .port = 443, .type = SOCK_RAW, .proto = 1 };
	char path[128], why[256] = "";
	struct stat st;
	(void)state;

	need(cgroups_open(W.instance, NULL, &W.cg, why, sizeof(why)), why);
	need(cgroup_make(W.cg.jobs, "job-a", &W.a_fd, &W.a), "cgroup");
	need(cgroup_make(W.cg.jobs, "nobody", &W.none_fd, &W.none), "cgroup");
	need(cgroup_make(W.cg.jobs, "job-b", &W.b_fd, &W.b), "cgroup");
	kill(loader, SIGKILL);
	waitpid(loader, NULL, 0);

	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d", W.instance, EGRET_ABI);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	/* In the host's namespace the job has no listener; raw sockets and strangers get nothing
	 * either. */
	assert_int_equal(task_run(W.a_fd, -1, dial_fn, &d), EPERM);
	assert_int_equal(task_run(W.a_fd, -1, dial_fn, &raw), EPERM);
	assert_int_equal(task_run(W.none_fd, -1, dial_fn, &d), EPERM);
	d.type = SOCK_DGRAM;
	assert_int_equal(task_run(W.a_fd, -1, dial_fn, &d), EPERM);
}

static void test_taken_over(void **state)
{
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at = where(&W);
	struct egret_record rec = { 0 };
	char why[256] = "";
	(void)state;

	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
	assert_true(kernel_reused(W.k));
	need(kernel_accepted_fd(W.k, &W.accepted), "accepted");
	/* The job is still known: only its listener was lost with the loader's namespace. */
	need(netns_open(W.cg.listen, NETNS_NEW, -1, &W.ns, why, sizeof(why)), why);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), EPERM);
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &W.ns.listener), "set");
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(taken(W.ns.tcp4, &rec), "no record");
	assert_int_equal(rec.job, JOB_A);
}

/* Programs are replaced while a job connects without pause: no connection comes without its record,
 * none gets out. */
static int busy_fn(void *arg)
{
	struct dial d = { .ip = "198.51.100.3", .port = 443, .type = SOCK_STREAM };
	unsigned n = 0;

	(void)arg;
	while (!((volatile struct said *)said)->text[0]) {
		int r = dial_fn(&d);

		if (r)
			return r;
		said->n = (int)++n;
	}
	return 0;
}

static void test_replaced_without_a_gap(void **state)
{
	struct kernel_where at = where(&W);
	pid_t pid = task_start(W.a_fd, W.ns.netns, busy_fn, NULL);
	unsigned served = 0;
	char why[256] = "";
	(void)state;

	for (unsigned i = 0; i < (slow() ? 2 : 5); i++) {
		struct kernel *next = NULL;
		struct egret_record rec;

		need(kernel_open(&at, &next, why, sizeof(why)), why);
		W.k = kernel_free(W.k);
		W.k = next;
		for (int got = 0; got < 200; got++) {
			int r = taken(W.ns.tcp4, &rec);

			assert_int_equal(r, 0);
			served++;
		}
	}
	said->text[0] = 1;
	assert_int_equal(task_wait(pid), 0);
	assert_int_equal(served, slow() ? 400 : 1000);
}

/* A jobs' slice that was removed and made again: the pinned links point nowhere and are made anew.
 */
static void test_slice_made_again(void **state)
{
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at;
	char why[256] = "";
	(void)state;

	need(cgroup_kill(W.cg.jobs), "kill");
	need(cgroup_wait_empty(W.cg.jobs, 5000), "empty");
	close(W.a_fd);
	close(W.b_fd);
	close(W.none_fd);
	need(cgroups_remove(&W.cg), "remove");
	cgroups_close(&W.cg);
	need(cgroups_open(W.instance, NULL, &W.cg, why, sizeof(why)), why);
	at = where(&W);
	W.k = kernel_free(W.k);
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
	need(cgroup_make(W.cg.jobs, "job-a", &W.a_fd, &W.a), "cgroup");
	need(cgroup_make(W.cg.jobs, "job-b", &W.b_fd, &W.b), "cgroup");
	need(cgroup_make(W.cg.jobs, "nobody", &W.none_fd, &W.none), "cgroup");
	assert_int_equal(task_run(W.a_fd, -1, dial_fn, &d), EPERM);
}

static void pin_path(const char *name, char *to, size_t n)
{
	snprintf(to, n, "/sys/fs/bpf/egret/%s/v%d/%s", W.instance, EGRET_ABI, name);
}

/* The folder of an egretd that did not hold and knew no members yet: what is missing is made, what
 * stands goes on standing. */
static void test_older_folder(void **state)
{
	const char *later[] = { "egret_members", "egret_published", "egret_holds",
				"egret_beat",	 "egret_held",	    "link_egret_hold" };
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at = where(&W);
	char path[128], why[256] = "";
	uint8_t addr[16];
	(void)state;

	need(kernel_cgroup_set(W.k, W.a, JOB_A, EGRET_CG_READY), "set");
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &W.ns.listener), "set");
	W.k = kernel_free(W.k);
	for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
		pin_path(later[i], path, sizeof(path));
		need(unlink(path), path);
	}
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
	assert_true(kernel_reused(W.k));
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
		pin_path(later[i], path, sizeof(path));
		assert_int_equal(access(path, F_OK), 0);
	}
	addr16("10.77.0.2", addr);
	need(kernel_member_set(W.k, JOB_A, addr), "set");
	need(kernel_hold_set(W.k, W.none, 0), "set");
}

/* One whose maps are of another make is refused, in a sentence that says which; nothing is touched.
 */
static void test_other_folder(void **state)
{
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at = where(&W);
	char path[128], why[256] = "";
	struct kernel *k = NULL;
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "other", 4, 4, 8, NULL);
	(void)state;

	pin_path("egret_members", path, sizeof(path));
	need(unlink(path), path);
	assert_true(fd >= 0);
	need(bpf_obj_pin(fd, path), "pin");
	assert_int_equal(kernel_open(&at, &k, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "are another version's"));
	assert_non_null(strstr(why, "egret_members"));
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(unlink(path), path);
	close(fd);
	W.k = kernel_free(W.k);
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
}

static void test_unpinned(void **state)
{
	char path[128], why[256] = "";
	(void)state;

	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s", W.instance);
	need(kernel_unpin(W.instance, why, sizeof(why)), why);
	assert_int_equal(access(path, F_OK), -1);
	need(kernel_unpin(W.instance, why, sizeof(why)), why);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_stands_without_loader),
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_replaced_without_a_gap),
		cmocka_unit_test(test_slice_made_again),
		cmocka_unit_test(test_older_folder),
		cmocka_unit_test(test_other_folder),
		cmocka_unit_test(test_unpinned),
	};

	return cmocka_run_group_tests(all, dead_loader, world_close);
}

int main(void)
{
	return kept(tests);
}
