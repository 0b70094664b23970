/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job in the host's namespace (a runner's worker) and its services in containers: the ports that
 * the engine publishes for it on loopback, and the containers' own addresses. Each needs the rule,
 * each is told, and nothing beside them opens. When it cannot be told it is not done.
 */
#include "kernel/town.h"
#include <bpf/libbpf.h>

#define WORKER (EGRET_CG_READY | EGRET_CG_HOST_NET)
#define BOTH_WAYS (EGRET_PUBLISHED_4 | EGRET_PUBLISHED_6)

static struct netns of_worker;
static int worker_fd;
static uint64_t worker;
static struct dial on_any = { .ip = "::", .port = 5432, .type = SOCK_STREAM };

static unsigned told;

static int on_event(void *owner, void *p, size_t n)
{
	const struct egret_event *e = p;

	(void)owner;
	(void)n;
	told += e->kind == EGRET_EV_MEMBER;
	return 0;
}

static unsigned events(void)
{
	static struct ring_buffer *rb;
	int fd;

	if (!rb) {
		need(kernel_events_fd(W.k, &fd), "events");
		rb = ring_buffer__new(fd, on_event, NULL, NULL);
		assert_non_null(rb);
	}
	told = 0;
	assert_true(ring_buffer__consume(rb) >= 0);
	return told;
}

static int published_open(void **state)
{
	char why[256] = "";

	if (town_open(state))
		return -1;
	need(cgroup_make(W.cg.jobs, "worker", &worker_fd, &worker), "cgroup");
	need(netns_open(W.cg.listen, NETNS_SHARED, H[HOST].netns, &of_worker, why, sizeof(why)),
	     why);
	need(kernel_listener_set(W.k, JOB_A, of_worker.cookie, &of_worker.listener), "set");
	need(kernel_cgroup_set(W.k, worker, JOB_A, WORKER | EGRET_CG_SERVICES), "set");
	need(kernel_published_set(W.k, JOB_A, 5432, BOTH_WAYS), "set");
	return 0;
}

static int published_close(void **state)
{
	netns_close(&of_worker);
	close(worker_fd);
	return town_close(state);
}

static int from_worker(const char *to, uint16_t port, int type)
{
	struct dial d = { .ip = to, .port = port, .type = type };

	return task_run(worker_fd, H[HOST].netns, talk_fn, &d);
}

static void test_loopback(void **state)
{
	pid_t pid = serve(HOST, &on_any);
	(void)state;

	events();
	assert_int_equal(from_worker("127.0.0.1", 5432, SOCK_STREAM), 0);
	assert_int_equal(from_worker("::1", 5432, SOCK_STREAM), 0);
	assert_int_equal(from_worker("::ffff:127.0.0.1", 5432, SOCK_STREAM), 0);
	assert_int_equal(events(), 3);
	/* Another port, another loopback address, another protocol. */
	assert_int_equal(from_worker("127.0.0.1", 5433, SOCK_STREAM), EPERM);
	assert_int_equal(from_worker("127.0.0.2", 5432, SOCK_STREAM), EPERM);
	assert_int_equal(from_worker("127.0.0.1", 5432, SOCK_DGRAM), EPERM);
	/* Another job; the job without the rule; the port taken back. */
	need(kernel_cgroup_set(W.k, worker, JOB_B, WORKER | EGRET_CG_SERVICES), "set");
	assert_int_equal(from_worker("127.0.0.1", 5432, SOCK_STREAM), EPERM);
	need(kernel_cgroup_set(W.k, worker, JOB_A, WORKER), "set");
	assert_int_equal(from_worker("127.0.0.1", 5432, SOCK_STREAM), EPERM);
	need(kernel_cgroup_set(W.k, worker, JOB_A, WORKER | EGRET_CG_SERVICES), "set");
	need(kernel_published_del(W.k, JOB_A, 5432), "del");
	assert_int_equal(from_worker("127.0.0.1", 5432, SOCK_STREAM), EPERM);
	need(kernel_published_set(W.k, JOB_A, 5432, BOTH_WAYS), "set");
	assert_int_equal(from_worker("127.0.0.1", 5432, SOCK_STREAM), 0);
	assert_int_equal(events(), 1);
	/* At the other address somebody else may listen. */
	need(kernel_published_set(W.k, JOB_A, 5432, EGRET_PUBLISHED_4), "set");
	assert_int_equal(from_worker("127.0.0.1", 5432, SOCK_STREAM), 0);
	assert_int_equal(from_worker("::ffff:127.0.0.1", 5432, SOCK_STREAM), 0);
	assert_int_equal(from_worker("::1", 5432, SOCK_STREAM), EPERM);
	need(kernel_published_set(W.k, JOB_A, 5432, EGRET_PUBLISHED_6), "set");
	assert_int_equal(from_worker("127.0.0.1", 5432, SOCK_STREAM), EPERM);
	assert_int_equal(from_worker("::1", 5432, SOCK_STREAM), 0);
	need(kernel_published_set(W.k, JOB_A, 5432, BOTH_WAYS), "set");
	stop(pid);
}

/* A listener of egret's is nobody's service. */
static void test_not_a_listener(void **state)
{
	uint16_t port = ntohs(of_worker.listener.tcp4_be);
	(void)state;

	need(kernel_published_set(W.k, JOB_A, port, BOTH_WAYS), "set");
	assert_int_equal(from_worker("127.0.0.1", port, SOCK_STREAM), EPERM);
	need(kernel_published_del(W.k, JOB_A, port), "del");
}

/* The container's own address: it must let the host in. */
static void test_container(void **state)
{
	pid_t pid = serve(A2, &on_any);
	struct egret_record rec = { 0 };
	struct dial d = { .ip = H[A2].four, .port = 5432, .type = SOCK_STREAM };
	(void)state;

	flags_a(EGRET_CG_SERVICES);
	events();
	assert_int_equal(from_worker(H[A2].four, 5432, SOCK_STREAM), ETIMEDOUT);
	flags_a(EGRET_CG_SERVICES | EGRET_CG_PUBLISHED);
	assert_int_equal(from_worker(H[A2].four, 5432, SOCK_STREAM), 0);
	assert_int_equal(from_worker(H[A2].six, 5432, SOCK_STREAM), 0);
	assert_int_equal(events(), 3);
	/* Not one of another job's. */
	d.ip = H[B1].four;
	assert_int_equal(task_run(worker_fd, H[HOST].netns, dial_fn, &d), 0);
	need(taken(of_worker.tcp4, &rec), "not turned");
	assert_int_equal(from_worker(H[B1].four, 5432, SOCK_DGRAM), EPERM);
	stop(pid);
	leaked();
}

/* A worker may be allowed to be reached, on loopback too; it still opens nothing itself. */
static void test_worker_inbound(void **state)
{
	struct dial d = { .ip = "127.0.0.1", .port = 5432, .type = SOCK_STREAM };
	pid_t pid;
	(void)state;

	H[STRANGER].cgroup =
		worker_fd; /* for serve(): the worker serves, in the host's namespace */
	for (int on = 0; on < 2; on++) {
		int netns = H[STRANGER].netns;

		need(kernel_cgroup_set(W.k, worker, JOB_A, WORKER | (on ? EGRET_CG_INBOUND : 0)),
		     "set");
		H[STRANGER].netns = H[HOST].netns;
		pid = serve(STRANGER, &on_any);
		H[STRANGER].netns = netns;
		H[STRANGER].cgroup = -1;
		assert_int_equal(talk(HOST, "127.0.0.1", 5432, SOCK_STREAM), on ? 0 : ETIMEDOUT);
		assert_int_equal(talk(STRANGER, H[HOST].four, 5432, SOCK_STREAM),
				 on ? 0 : ETIMEDOUT);
		stop(pid);
		H[STRANGER].cgroup = worker_fd;
	}
	H[STRANGER].cgroup = -1;
	assert_int_equal(task_run(worker_fd, H[HOST].netns, talk_fn, &d), EPERM);
	need(kernel_cgroup_set(W.k, worker, JOB_A, WORKER | EGRET_CG_SERVICES), "set");
}

/* A socket that came by the door once and listens now lets nobody in. */
static int listens_fn(void *arg)
{
	struct sockaddr_storage to, none = { .ss_family = AF_UNSPEC }, at;
	socklen_t len = sa_of("127.0.0.1", 5432, &to);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	(void)arg;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (connect(fd, (void *)&to, len) < 0 || connect(fd, (void *)&none, sizeof(none)) < 0)
		return errno;
	sa_of("127.0.0.1", 5499, &at);
	if (bind(fd, (void *)&at, len) < 0 || listen(fd, 4) < 0)
		return errno;
	said->n = 1;
	pause();
	return 0;
}

static void test_listens_afterwards(void **state)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of("127.0.0.1", 5499, &ss);
	pid_t pid = serve(HOST, &on_any), evil, c;
	int st = 0;
	(void)state;

	evil = task_start(worker_fd, H[HOST].netns, listens_fn, NULL);
	for (int i = 0; i < 5000 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	assert_int_equal(said->n, 1);
	c = fork();
	if (c == 0) {
		struct timeval tv = { .tv_usec = 400000 };
		int fd;

		if (setns(H[HOST].netns, CLONE_NEWNET) < 0)
			_exit(1);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
		_exit(connect(fd, (void *)&ss, len) < 0 && errno == EINPROGRESS ? 42 : 2);
	}
	waitpid(c, &st, 0);
	assert_true(WIFEXITED(st));
	assert_int_equal(WEXITSTATUS(st), 42);
	stop(evil);
	stop(pid);
}

/* P7: the ring is full, nobody could tell of a connection: there is none. */
static int many_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of("198.51.100.1", 9, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)arg;
	for (int i = 0; i < 12000; i++)
		sendto(fd, "x", 1, 0, (void *)&ss, len);
	return 0;
}

static void test_full_ring(void **state)
{
	pid_t pid = serve(A2, &on_any);
	uint64_t was = refused(EGRET_R_STORAGE), lost = 0;
	(void)state;

	flags_a(EGRET_CG_SERVICES);
	assert_int_equal(talk(A1, H[A2].four, 5432, SOCK_STREAM), 0);
	assert_int_equal(task_run(W.a_fd, H[A1].netns, many_fn, NULL), 0);
	need(kernel_lost(W.k, &lost), "lost");
	assert_true(lost > 0);
	assert_int_equal(talk(A1, H[A2].four, 5432, SOCK_STREAM), EPERM);
	assert_int_equal(refused(EGRET_R_STORAGE), was + 1);
	stop(pid);
	pid = serve(HOST, &on_any);
	assert_int_equal(from_worker("127.0.0.1", 5432, SOCK_STREAM), EPERM);
	events();
	assert_int_equal(from_worker("127.0.0.1", 5432, SOCK_STREAM), 0);
	stop(pid);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_loopback),	   cmocka_unit_test(test_not_a_listener),
		cmocka_unit_test(test_container),	   cmocka_unit_test(test_worker_inbound),
		cmocka_unit_test(test_listens_afterwards), cmocka_unit_test(test_full_ring),
	};

	return cmocka_run_group_tests(all, published_open, published_close);
}

int main(void)
{
	return kept(tests);
}
