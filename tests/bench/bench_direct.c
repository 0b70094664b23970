/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound: with 1,000 rules `direct` in each of many policies, and 200 jobs, a connect() costs at
 * most 1.10 times (median) what it costs with ten rules. Two jobs take turns, each in a namespace
 * with a link and its wall, connecting to the same server by a rule `direct`: the one's policy has
 * ten entries; the other's 1,000, in a table of 50,000 that 200 jobs share. Before that, ten
 * against ten: what the two sides differ by themselves. As in bench_connect.c: the median over the
 * pairs' own ratios, on one CPU.
 *
 *   bench_direct [PAIRS]      prints TAP and the figures
 */
#include "kernel/direct.h"
#include <time.h>

#define BOUND 1.10
#define JOBS 200
#define POLICIES 50 /* of 1,000 entries each, shared by the jobs */
#define ENTRIES 1000
#define TEN 10
#define FIRST 100u

static unsigned pairs = 5000;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Blocks all around the server's, and its own among them. */
static void entries(uint32_t policy, unsigned n)
{
	struct kernel_direct *list = calloc(n, sizeof(*list));

	assert_non_null(list);
	for (unsigned i = 0; i < n; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.%u.%u.0/24", i == 0 ? 77 : 80 + i / 256,
			 i == 0 ? 0 : i % 256);
		list[i] = rule(text, 5432, 5432, false);
	}
	need(kernel_direct_set(W.k, policy, list, n), "entries");
	free(list);
}

static int one_connect(uint64_t *ret)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct sockaddr_storage ss;
	socklen_t len = sa_of(FAR4, 5432, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;
	uint64_t t = now_ns();

	if (fd < 0 || connect(fd, (void *)&ss, len) < 0)
		r = errno;
	*ret = now_ns() - t;
	if (fd < 0)
		return r;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	return r;
}

struct turn {
	int in, out, cpu;
	uint64_t *times;
};

static int side_fn(void *arg)
{
	struct turn *t = arg;
	cpu_set_t one;
	char c;

	alarm(0);
	CPU_ZERO(&one);
	CPU_SET(t->cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	for (unsigned i = 0; i < pairs + 100; i++) {
		uint64_t took = 0;
		int r;

		if (read(t->in, &c, 1) != 1)
			return EPIPE;
		/* One untimed first: the caches are this side's then. */
		r = one_connect(&took);
		if (!r)
			r = one_connect(&took);
		if (r)
			return r;
		if (i >= 100)
			t->times[i - 100] = took;
		if (write(t->out, &c, 1) != 1)
			return EPIPE;
	}
	return 0;
}

/* Told connections are read away, or the ring would be full. */
static int wait_reading(pid_t pid)
{
	siginfo_t si = { 0 };

	while (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && !si.si_pid) {
		events();
		usleep(20000);
	}
	return task_wait(pid);
}

/* Median ratio of job A's (many) to job B's (ten) connects. */
static double measure(const char *what)
{
	uint64_t *times = mmap(NULL, (size_t)pairs * 2 * sizeof(*times), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t *ratios = calloc(pairs, sizeof(*ratios));
	int a[2], b[2], ra, rb;
	struct turn ta, tb;
	pid_t pa, pb;
	double ratio;

	assert_true(times != MAP_FAILED && ratios);
	assert_int_equal(pipe2(a, O_CLOEXEC) | pipe2(b, O_CLOEXEC), 0);
	ta = (struct turn){ a[0], b[1], sched_getcpu(), times };
	tb = (struct turn){ b[0], a[1], ta.cpu, times + pairs };
	pa = task_start(W.a_fd, H[A1].netns, side_fn, &ta);
	pb = task_start(W.b_fd, H[A2].netns, side_fn, &tb);
	assert_int_equal(write(a[1], "", 1), 1);
	ra = wait_reading(pa);
	rb = wait_reading(pb);
	assert_int_equal(ra | rb, 0);
	for (unsigned i = 0; i < pairs; i++)
		ratios[i] = times[i] * 1000 / (times[pairs + i] ? times[pairs + i] : 1);
	qsort(ratios, pairs, sizeof(*ratios), by_size);
	ratio = (double)ratios[pairs / 2] / 1000;
	qsort(times, pairs, sizeof(*times), by_size);
	qsort(times + pairs, pairs, sizeof(*times), by_size);
	printf("# %s, %u interleaved pairs: medians %lu and %lu ns, median ratio %.3f\n", what,
	       pairs, (unsigned long)times[pairs / 2], (unsigned long)times[pairs + pairs / 2],
	       ratio);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
	free(ratios);
	munmap(times, (size_t)pairs * 2 * sizeof(*times));
	return ratio;
}

static void test_ratio(void **state)
{
	struct dial on = { .ip = "0.0.0.0", .port = 5432, .type = SOCK_STREAM };
	struct egret_cgroup a = { JOB_A, EGRET_CG_READY | EGRET_CG_DIRECT, OTHER };
	struct egret_cgroup b = { JOB_B, EGRET_CG_READY | EGRET_CG_DIRECT, POLICY };
	struct egret_link link = { JOB_A, a.flags, OTHER }, ten = { JOB_A, a.flags, POLICY };
	uint64_t ids[JOBS];
	pid_t pid = serve(STRANGER, &on);
	double same, ratio;
	(void)state;

	need(kernel_listener_set(W.k, JOB_B, H[A2].ns.cookie, &H[A2].ns.listener), "listener");
	need(kernel_link_set(W.k, H[A1].link, &link), "link");
	need(kernel_link_set(W.k, H[A2].link, &ten), "link");
	entries(POLICY, TEN);
	entries(OTHER, TEN);
	need(kernel_cgroup_put(W.k, W.a, &a), "put");
	need(kernel_cgroup_put(W.k, W.b, &b), "put");
	same = measure("ten rules and ten rules");
	for (unsigned i = 0; i < POLICIES; i++)
		entries(FIRST + i, ENTRIES);
	for (unsigned i = 0; i < JOBS; i++) {
		struct egret_cgroup v = { 1000 + i, a.flags, FIRST + i % POLICIES };
		char name[32];
		int fd = -1;

		snprintf(name, sizeof(name), "many-%u", i);
		need(cgroup_make(W.cg.jobs, name, &fd, &ids[i]), "cgroup");
		close(fd);
		need(kernel_cgroup_put(W.k, ids[i], &v), "put");
	}
	link.policy = a.policy = FIRST + POLICIES / 2;
	need(kernel_link_set(W.k, H[A1].link, &link), "link");
	need(kernel_cgroup_put(W.k, W.a, &a), "put");
	ratio = measure("1,000 rules of 50,000 in the table, and ten");
	printf("# the same sides alike %.3f; bound %.2f\n", same, BOUND);
	stop(pid);
	assert_true(ratio <= BOUND);
}

static int tests(void)
{
	const struct CMUnitTest all[] = { cmocka_unit_test(test_ratio) };

	return cmocka_run_group_tests(all, town_open, town_close);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		pairs = (unsigned)strtoul(argv[1], NULL, 10);
	if (pairs < 100 || pairs > 1000000)
		pairs = 5000;
	return kept(tests);
}
