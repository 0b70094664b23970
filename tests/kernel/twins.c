/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two jobs whose listeners have the same port, each in its own network namespace, and whose clients
 * have the same address and port: nothing of the one is ever taken for the other's, also when the
 * one's listener is gone.
 */
#include "kernel/harness.h"
#include "egretd/nstask.h"

#define SPORT 31007

static struct netns other;

/* A listener at the port of job A's, made as egretd makes them. */
static int listen_fn(struct nstask *t, void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of("127.0.0.1", *(uint16_t *)arg, &ss);

	t->fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return bind(t->fds[0], (void *)&ss, len) < 0 || listen(t->fds[0], 64) < 0 ? -errno : 0;
}

static int twins_open(void **state)
{
	struct egret_listener same;
	uint16_t port;
	struct nstask t;
	char why[256] = "";

	if (world_open(state))
		return -1;
	need(netns_open(W.cg.listen, NETNS_NEW, -1, &other, why, sizeof(why)), why);
	same = other.listener;
	same.tcp4_be = W.ns.listener.tcp4_be;
	port = ntohs(same.tcp4_be);
	if (other.listener.tcp4_be != same.tcp4_be) {
		need(nstask_run(W.cg.listen, other.netns, listen_fn, &port, &t, why, sizeof(why)),
		     why);
		close(other.tcp4);
		other.tcp4 = t.fds[0];
	}
	need(kernel_listener_set(W.k, JOB_B, other.cookie, &same), "set");
	return 0;
}

static int twins_close(void **state)
{
	netns_close(&other);
	return world_close(state);
}

static void is_record(int listener, uint64_t job, uint64_t cgroup, const char *ip)
{
	struct egret_record rec = { 0 };
	uint8_t addr[16];

	need(taken(listener, &rec), "a connection and its record");
	addr16(ip, addr);
	assert_int_equal(rec.job, job);
	assert_int_equal(rec.cgroup, cgroup);
	assert_memory_equal(rec.addr, addr, sizeof(addr));
}

/* Both wait at their listeners before either is accepted: four equal numbers, two records. */
static void test_same_ports(void **state)
{
	struct dial a = { .ip = "198.51.100.1", .port = 443, .type = SOCK_STREAM, .sport = SPORT };
	struct dial b = a;
	(void)state;

	b.ip = "198.51.100.2";
	for (int i = 0; i < 50; i++) {
		a.sport = b.sport = (uint16_t)(SPORT + i);
		assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &a), 0);
		assert_int_equal(task_run(W.b_fd, other.netns, dial_fn, &b), 0);
		is_record(i % 2 ? W.ns.tcp4 : other.tcp4, i % 2 ? JOB_A : JOB_B, i % 2 ? W.a : W.b,
			  i % 2 ? a.ip : b.ip);
		is_record(i % 2 ? other.tcp4 : W.ns.tcp4, i % 2 ? JOB_B : JOB_A, i % 2 ? W.b : W.a,
			  i % 2 ? b.ip : a.ip);
	}
}

/* In the other's namespace a job has no listener, whoever has one at that port there. */
static void test_in_the_others(void **state)
{
	struct dial d = { .ip = "198.51.100.1", .port = 443, .type = SOCK_STREAM };
	uint64_t was = refused(EGRET_R_NO_LISTENER);
	struct egret_record rec;
	(void)state;

	assert_int_equal(task_run(W.a_fd, other.netns, dial_fn, &d), EPERM);
	assert_int_equal(task_run(W.b_fd, W.ns.netns, dial_fn, &d), EPERM);
	assert_int_equal(refused(EGRET_R_NO_LISTENER), was + 2);
	assert_int_equal(taken(W.ns.tcp4, &rec), -EAGAIN);
	assert_int_equal(taken(other.tcp4, &rec), -EAGAIN);
}

static void test_one_is_gone(void **state)
{
	struct dial a = { .ip = "198.51.100.1", .port = 443, .type = SOCK_STREAM };
	struct dial b = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	(void)state;

	close(W.ns.tcp4);
	W.ns.tcp4 = -1;
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &a), ECONNREFUSED);
	assert_int_equal(task_run(W.b_fd, other.netns, dial_fn, &b), 0);
	is_record(other.tcp4, JOB_B, W.b, b.ip);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_same_ports),
		cmocka_unit_test(test_in_the_others),
		cmocka_unit_test(test_one_is_gone),
	};

	return cmocka_run_group_tests(all, twins_open, twins_close);
}

int main(void)
{
	return kept(tests);
}
