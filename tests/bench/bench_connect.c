/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound: connect() through hooks and turn costs at most 1.25 times (median) what it costs to
 * the same listener with hooks off, and 1.35 times where the LSM programs stand too. Two tasks take
 * turns: "on" makes its sockets in the job's cgroup, so that all programs of the attach point run;
 * "off" is one of a task in the same namespace but in no cgroup of egret's, connected straight to
 * the listener. Only the connect() itself is timed; the connection is accepted and closed with a
 * reset by the same process before the next one. Both run on one CPU. The figure is the median over
 * the pairs' own ratios, so that what other work on the machine slows for a while weighs on both
 * sides of a pair alike.
 *
 * The LSM programs are the machine's, so "off" pays for being asked about too: its median on a
 * machine without them is the other half of that comparison (tests/vm/run.sh, part bench).
 *
 *   bench_connect [PAIRS]      prints TAP and the figures
 */
#include "kernel/harness.h"
#include <time.h>

#define BOUND 1.25
#define BOUND_LSM 1.35

static unsigned pairs = 20000;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int one_connect(int listener, const struct sockaddr_in *to, uint64_t *ret)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), got;
	uint64_t t;

	if (fd < 0)
		return errno;
	t = now_ns();
	if (connect(fd, (const void *)to, sizeof(*to)) < 0) {
		int e = errno;

		close(fd);
		return e;
	}
	*ret = now_ns() - t;
	got = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	if (got >= 0)
		close(got);
	return got < 0 ? EIO : 0;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Two tasks take turns, one in the job, one outside, so that neither pays for moving between
 * cgroups. */
static int side(bool on, int in, int out, uint64_t *times)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = on ? htons(443) : W.ns.listener.tcp4_be };
	char c;

	inet_pton(AF_INET, on ? "198.51.100.7" : "127.0.0.1", &to.sin_addr);
	for (unsigned i = 0; i < pairs + 200; i++) {
		uint64_t t = 0;
		int r;

		if (read(in, &c, 1) != 1)
			return EPIPE;
		/* One untimed first: the caches are this side's then. */
		r = one_connect(W.ns.tcp4, &to, &t);
		if (!r)
			r = one_connect(W.ns.tcp4, &to, &t);
		if (r)
			return r;
		if (i >= 200)
			times[i - 200] = t;
		if (write(out, &c, 1) != 1)
			return EPIPE;
	}
	return 0;
}

struct turn {
	bool on;
	int in, out;
	uint64_t *times;
	int cpu;
};

static int side_fn(void *arg)
{
	struct turn *t = arg;
	cpu_set_t one;

	alarm(0);
	CPU_ZERO(&one);
	CPU_SET(t->cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	return side(t->on, t->in, t->out, t->times);
}

static void test_ratio(void **state)
{
	size_t room = (size_t)pairs * 2 * sizeof(uint64_t);
	uint64_t *times =
		mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int a[2], b[2], flags = fcntl(W.ns.tcp4, F_GETFL), st_on, st_off;
	struct turn on, off;
	pid_t p1, p2;
	uint64_t *ratios = calloc(pairs, sizeof(*ratios));
	double ratio, bound = kernel_no_guard(W.k) ? BOUND : BOUND_LSM;
	(void)state;

	assert_true(times != MAP_FAILED && ratios);
	assert_int_equal(pipe2(a, O_CLOEXEC) | pipe2(b, O_CLOEXEC), 0);
	fcntl(W.ns.tcp4, F_SETFL, flags & ~O_NONBLOCK);
	on = (struct turn){ true, a[0], b[1], times, sched_getcpu() };
	off = (struct turn){ false, b[0], a[1], times + pairs, on.cpu };
	p1 = task_start(W.a_fd, W.ns.netns, side_fn, &on);
	p2 = task_start(-1, W.ns.netns, side_fn, &off);
	assert_int_equal(write(a[1], "", 1), 1);
	st_on = task_wait(p1);
	st_off = task_wait(p2);
	assert_int_equal(st_on | st_off, 0);
	for (unsigned i = 0; i < pairs; i++)
		ratios[i] = times[i] * 1000 / (times[pairs + i] ? times[pairs + i] : 1);
	qsort(ratios, pairs, sizeof(*ratios), by_size);
	ratio = (double)ratios[pairs / 2] / 1000;
	qsort(times, pairs, sizeof(*times), by_size);
	qsort(times + pairs, pairs, sizeof(*times), by_size);
	printf("# connect(), %u interleaved pairs, ns: off median %lu p99 %lu, on median %lu p99 "
	       "%lu\n",
	       pairs, (unsigned long)times[pairs + pairs / 2],
	       (unsigned long)times[2 * pairs - 1 - pairs / 100], (unsigned long)times[pairs / 2],
	       (unsigned long)times[pairs - 1 - pairs / 100]);
	printf("# median ratio %.3f (bound %.2f, %s)\n", ratio, bound,
	       kernel_no_guard(W.k) ? "no LSM programs" : "with the LSM programs");
	free(ratios);
	assert_true(ratio <= bound);
	munmap(times, room);
}

static int tests(void)
{
	const struct CMUnitTest all[] = { cmocka_unit_test(test_ratio) };

	return cmocka_run_group_tests(all, world_open, world_close);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		pairs = (unsigned)strtoul(argv[1], NULL, 10);
	if (pairs < 100 || pairs > 1000000)
		pairs = 20000;
	return kept(tests);
}
