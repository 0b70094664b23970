/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding: a task that executes in a cgroup nobody registered, below a watched one and outside the
 * host's mount namespace, is stopped before its program's first instruction and told of. It is not
 * when it is known, when it is the host's own, or when egretd is not awake; and then it is refused.
 */
#include "kernel/harness.h"
#include <bpf/bpf.h>
#include <time.h>

static int engine_fd, box_fd, below_fd;
static uint64_t engine, box, below;

static struct egret_held held[4];
static unsigned nheld;

static void on_held(void *owner, const struct egret_held *h)
{
	(void)owner;
	if (nheld < ARRAY_SIZE(held))
		held[nheld] = *h;
	nheld++;
}

static unsigned drain(void)
{
	nheld = 0;
	kernel_held_each(W.k, on_held, NULL);
	return nheld;
}

static int hold_open(void **state)
{
	if (world_open(state))
		return -1;
	need(cgroup_make(W.cg.jobs, "engine", &engine_fd, &engine), "cgroup");
	need(cgroup_make(engine_fd, "box", &box_fd, &box), "cgroup");
	need(cgroup_make(box_fd, "below", &below_fd, &below), "cgroup");
	return 0;
}

static int hold_close(void **state)
{
	close(below_fd);
	close(box_fd);
	close(engine_fd);
	return world_close(state);
}

/* Executes itself: as the container's first program, or with the host's mounts. */
static int exec_fn(void *arg)
{
	char *own[] = { (char *)"/proc/self/exe", (char *)"--say", NULL };

	if (arg && unshare(CLONE_NEWNS) < 0)
		return errno;
	execv(own[0], own);
	return errno;
}

static void restart(void)
{
	need(kernel_hold_set(W.k, engine, 0), "hold");
	need(kernel_hold_beat(W.k), "beat");
	drain();
}

enum fate { STOPPED, ENDED };
static bool ungoverned; /* the task is not below the attach point at all */

/* Stopped, or ended with what main() below says: refused with EPERM, or not. */
static enum fate fate_of(pid_t pid)
{
	int st = 0;

	while (waitpid(pid, &st, WUNTRACED) < 0 && errno == EINTR)
		;
	if (WIFSTOPPED(st))
		return STOPPED;
	assert_true(WIFEXITED(st));
	assert_int_equal(WEXITSTATUS(st), ungoverned ? 1 : 42);
	return ENDED;
}

static void started(int cgroup, void *own_mounts, enum fate want)
{
	pid_t pid = task_start(cgroup, -1, exec_fn, own_mounts);
	enum fate got = fate_of(pid);

	if (got == STOPPED) {
		kill(pid, SIGCONT);
		assert_int_equal(fate_of(pid), ENDED);
	}
	assert_int_equal(got, want);
}

static void *const OWN = &W;

static void test_held(void **state)
{
	struct pollfd p = { .fd = kernel_held_fd(W.k), .events = POLLIN };
	pid_t pid;
	(void)state;

	restart();
	pid = task_start(box_fd, -1, exec_fn, OWN);
	assert_int_equal(fate_of(pid), STOPPED);
	assert_int_equal(poll(&p, 1, 2000), 1);
	assert_int_equal(drain(), 1);
	assert_int_equal(held[0].pid, (uint32_t)pid);
	assert_true(held[0].cgroup == box);
	/* Goes on, and is of no job still. */
	kill(pid, SIGCONT);
	assert_int_equal(fate_of(pid), ENDED);
	assert_int_equal(drain(), 0);
}

/* Deeper cgroups are held too; the watched one itself and others beside it are not. */
static void test_where(void **state)
{
	(void)state;
	restart();
	started(below_fd, OWN, STOPPED);
	assert_int_equal(drain(), 1);
	assert_true(held[0].cgroup == below);
	started(engine_fd, OWN, ENDED);
	started(W.none_fd, OWN, ENDED);
	ungoverned = true;
	started(-1, OWN, ENDED);
	ungoverned = false;
	assert_int_equal(drain(), 0);
}

static void test_known(void **state)
{
	(void)state;
	restart();
	need(kernel_cgroup_set(W.k, box, JOB_A, EGRET_CG_READY), "set");
	started(box_fd, OWN, ENDED);
	started(below_fd, OWN, ENDED);
	need(kernel_cgroup_set(W.k, box, 0, 0), "set");
	started(box_fd, OWN, ENDED);
	assert_int_equal(drain(), 0);
	need(kernel_cgroup_del(W.k, box), "del");
	started(box_fd, OWN, STOPPED);
	assert_int_equal(drain(), 1);
}

static void test_host_mounts(void **state)
{
	(void)state;
	restart();
	started(box_fd, NULL, ENDED);
	assert_int_equal(drain(), 0);
	need(kernel_hold_set(W.k, engine, EGRET_HOLD_HOST), "hold");
	started(box_fd, NULL, STOPPED);
	assert_int_equal(drain(), 1);
}

static void test_not_watched(void **state)
{
	(void)state;
	restart();
	need(kernel_hold_del(W.k, engine), "del");
	need(kernel_hold_del(W.k, engine), "del twice");
	started(box_fd, OWN, ENDED);
	assert_int_equal(drain(), 0);
	assert_int_equal(kernel_hold_set(W.k, 0, 0), -EINVAL);
}

/* Nobody would let it go on: it runs, and what it wants from the network is refused. */
static void test_asleep(void **state)
{
	struct timespec now;
	struct egret_beat b;
	uint32_t zero = 0;
	char path[128];
	int fd;
	(void)state;

	restart();
	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/egret_beat", W.instance, EGRET_ABI);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	need(bpf_map_lookup_elem(fd, &zero, &b), "lookup");
	assert_int_equal(b.holds, 1);
	clock_gettime(CLOCK_MONOTONIC, &now);
	b.time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec - EGRET_BEAT_NS;
	need(bpf_map_update_elem(fd, &zero, &b, BPF_ANY), "update");
	started(box_fd, OWN, ENDED);
	assert_int_equal(drain(), 0);
	need(kernel_hold_beat(W.k), "beat");
	started(box_fd, OWN, STOPPED);
	assert_int_equal(drain(), 1);
	close(fd);
}

/* Who was held is told to the egretd that comes after. */
static void test_taken_over(void **state)
{
	struct kernel_where at = where(&W);
	char why[256] = "";
	pid_t pid;
	(void)state;

	restart();
	pid = task_start(box_fd, -1, exec_fn, OWN);
	assert_int_equal(fate_of(pid), STOPPED);
	W.k = kernel_free(W.k);
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
	assert_true(kernel_reused(W.k));
	assert_null(kernel_no_hold(W.k));
	assert_int_equal(drain(), 1);
	assert_int_equal(held[0].pid, (uint32_t)pid);
	kill(pid, SIGCONT);
	assert_int_equal(fate_of(pid), ENDED);
	/* The watch stands; one program holds, not two. */
	need(kernel_hold_beat(W.k), "beat");
	started(box_fd, OWN, STOPPED);
	assert_int_equal(drain(), 1);
}

/* The ring is full: a task that cannot be told of is not stopped. */
static void test_full(void **state)
{
	time_t begun = time(NULL);
	unsigned n = 0;
	pid_t pid;
	(void)state;

	restart();
	for (;; n++) {
		int st = 0;

		assert_true(n < 4200);
		need(kernel_hold_beat(W.k), "beat");
		if (time(NULL) - begun > 8) {
			drain();
			return; /* an emulated machine, or a busy one */
		}
		pid = task_start(box_fd, -1, exec_fn, OWN);
		while (waitpid(pid, &st, WUNTRACED) < 0 && errno == EINTR)
			;
		if (!WIFSTOPPED(st))
			break;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	assert_int_equal(drain(), n);
	assert_true(n > 2000);
	need(kernel_hold_beat(W.k), "beat");
	started(box_fd, OWN, STOPPED);
	assert_int_equal(drain(), 1);
}

static unsigned ncgroups;

static void on_cgroup(void *owner, uint64_t id, const struct egret_cgroup *c)
{
	assert_ptr_equal(owner, &W);
	if (id == W.a)
		assert_int_equal(c->job, JOB_A);
	ncgroups++;
	if (c->job == 404)
		need(kernel_cgroup_del(W.k, id), "del");
}

/* A walk that deletes as it goes sees each once. */
static void test_walk(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 300; id++)
		need(kernel_cgroup_set(W.k, id << 40, 404, 0), "set");
	need(kernel_cgroup_each(W.k, on_cgroup, &W), "walk");
	assert_int_equal(ncgroups, 302);
	ncgroups = 0;
	need(kernel_cgroup_each(W.k, on_cgroup, &W), "walk");
	assert_int_equal(ncgroups, 2);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_held),	    cmocka_unit_test(test_where),
		cmocka_unit_test(test_known),	    cmocka_unit_test(test_host_mounts),
		cmocka_unit_test(test_not_watched), cmocka_unit_test(test_asleep),
		cmocka_unit_test(test_taken_over),  cmocka_unit_test(test_full),
		cmocka_unit_test(test_walk),
	};

	return cmocka_run_group_tests(all, hold_open, hold_close);
}

/* With --say it is the container's program: tells whether the network is closed to it. */
int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--say") == 0) {
		struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(443) };
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd < 0)
			return errno == EPERM ? 42 : 1;
		return connect(fd, (void *)&to, sizeof(to)) < 0 && errno == EPERM ? 42 : 1;
	}
	return kept(tests);
}
