/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P1 with services: the members of one job reach each other, straight, when the policy says so, and
 * nobody else; nobody reaches them but who may; and nothing of what is opened leads anywhere else.
 */
#include "kernel/town.h"
#include <bpf/libbpf.h>

static struct dial on4 = { .ip = "0.0.0.0", .port = 5432, .type = SOCK_STREAM };
static struct dial on6 = { .ip = "::", .port = 5432, .type = SOCK_STREAM };
static struct dial on_udp = { .ip = "::", .port = 5432, .type = SOCK_DGRAM };
static struct dial on_dns = { .ip = "::", .port = 53, .type = SOCK_DGRAM };

static struct egret_event last;
static unsigned told;

static int on_event(void *owner, void *p, size_t n)
{
	struct egret_event e;

	(void)owner;
	assert_int_equal(n, sizeof(e));
	memcpy(&e, p, sizeof(e));
	if (e.kind == EGRET_EV_MEMBER) {
		last = e;
		told++;
	}
	return 0;
}

/* Connections to members and published ports that were told since the last look. */
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

/* Without the rule a member is any address: TCP comes to the proxy, UDP is refused. */
static void test_without_rule(void **state)
{
	pid_t pid = serve(A2, &on4);
	struct dial d = { .ip = H[A2].four, .port = 5432, .type = SOCK_STREAM };
	struct egret_record rec = { 0 };
	(void)state;

	flags_a(0);
	events();
	assert_int_equal(task_run(W.a_fd, H[A1].netns, dial_fn, &d), 0);
	need(taken(H[A1].ns.tcp4, &rec), "no record");
	assert_int_equal(rec.flags, EGRET_REC_REDIRECTED);
	assert_int_equal(talk(A1, H[A2].four, 5432, SOCK_DGRAM), EPERM);
	assert_int_equal(events(), 0);
	assert_int_equal(server->asked, 0);
	stop(pid);
}

static void test_tcp(void **state)
{
	pid_t pid = serve(A2, &on4);
	uint8_t want[16];
	(void)state;

	flags_a(EGRET_CG_SERVICES);
	events();
	assert_int_equal(talk(A1, H[A2].four, 5432, SOCK_STREAM), 0);
	assert_int_equal(events(), 1);
	addr16(H[A2].four, want);
	assert_memory_equal(last.record.addr, want, 16);
	assert_true(last.record.job == JOB_A && last.record.cgroup == W.a);
	assert_true(last.record.port == 5432 && last.record.proto == IPPROTO_TCP);
	assert_int_equal(last.reason, EGRET_OK);
	assert_int_equal(talk(A1, "::ffff:10.77.0.3", 5432, SOCK_STREAM), 0);
	stop(pid);
	/* A dual listener; neighbour discovery passes the wall. */
	pid = serve(A2, &on6);
	assert_int_equal(talk(A1, H[A2].six, 5432, SOCK_STREAM), 0);
	assert_int_equal(talk(A1, H[A2].four, 5432, SOCK_STREAM), 0);
	assert_int_equal(events(), 3);
	/* Its own address, and from where nothing is served: as ever. */
	assert_int_equal(talk(A2, H[A2].four, 5432, SOCK_STREAM), 0);
	assert_int_equal(talk(A1, H[A2].four, 5433, SOCK_STREAM), ECONNREFUSED);
	stop(pid);
	assert_int_equal(leaked(), 0);
}

static void test_udp(void **state)
{
	pid_t pid = serve(A2, &on_udp);
	(void)state;

	flags_a(EGRET_CG_SERVICES);
	events();
	assert_int_equal(talk(A1, H[A2].four, 5432, SOCK_DGRAM), 0);
	/* One connected, one by its first datagram, and the server by its first answer. */
	assert_int_equal(events(), 3);
	assert_int_equal(talk(A1, H[A2].six, 5432, SOCK_DGRAM), 0);
	assert_int_equal(server->answer, 0);
	stop(pid);
	/* A member's own resolver is a service, too. */
	pid = serve(A2, &on_dns);
	assert_int_equal(talk(A1, H[A2].four, 53, SOCK_DGRAM), 0);
	assert_int_equal(talk(A1, H[A2].six, 53, SOCK_DGRAM), 0);
	stop(pid);
	assert_int_equal(leaked(), 0);
}

/* One may speak first, the other only answers. */
static void test_one_way(void **state)
{
	pid_t pid = serve(A2, &on4);
	(void)state;

	flags_a(0);
	need(kernel_cgroup_set(W.k, W.a, JOB_A, BOTH), "set");
	assert_int_equal(talk(A1, H[A2].four, 5432, SOCK_STREAM), 0);
	stop(pid);
	pid = serve(A1, &on4);
	assert_int_equal(talk(A2, H[A1].four, 5432, SOCK_STREAM), ETIMEDOUT);
	assert_int_equal(server->asked, 0);
	stop(pid);
}

static void test_other_jobs(void **state)
{
	pid_t pid = serve(A2, &on6);
	struct dial d = { .ip = H[A2].four, .port = 5432, .type = SOCK_STREAM };
	struct egret_record rec = { 0 };
	(void)state;

	flags_a(EGRET_CG_SERVICES);
	need(kernel_cgroup_set(W.k, W.b, JOB_B, BOTH), "set");
	assert_int_equal(task_run(W.b_fd, H[B1].netns, dial_fn, &d), 0);
	need(taken(H[B1].ns.tcp4, &rec), "no record");
	assert_true(rec.job == JOB_B && rec.flags == EGRET_REC_REDIRECTED);
	assert_int_equal(talk(B1, H[A2].six, 5432, SOCK_DGRAM), EPERM);
	/* As if B's table named it: what comes is dropped at A's door. */
	{
		uint64_t was = refused(EGRET_R_INBOUND);
		uint8_t addr[16];

		addr16(H[A2].four, addr);
		need(kernel_member_set(W.k, JOB_B, addr), "set");
		assert_int_equal(talk(B1, H[A2].four, 5432, SOCK_STREAM), ETIMEDOUT);
		need(kernel_member_del(W.k, JOB_B, addr), "del");
		assert_true(refused(EGRET_R_INBOUND) > was);
	}
	assert_int_equal(server->asked, 0);
	need(kernel_cgroup_set(W.k, W.b, JOB_B, EGRET_CG_READY), "set");
	stop(pid);
}

/* Who may come in: nobody, the host, anybody; and the answers get there. */
static void test_inbound(void **state)
{
	const struct {
		uint32_t flags;
		int host, stranger;
	} rows[] = {
		{ 0, ETIMEDOUT, ETIMEDOUT },
		{ EGRET_CG_SERVICES, ETIMEDOUT, ETIMEDOUT },
		{ EGRET_CG_PUBLISHED, 0, ETIMEDOUT },
		{ EGRET_CG_INBOUND, 0, 0 },
		{ EGRET_CG_PUBLISHED | EGRET_CG_HOST_NET, ETIMEDOUT, ETIMEDOUT },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t pid = serve(A2, &on6);

		flags_a(rows[i].flags);
		assert_int_equal(talk(HOST, H[A2].four, 5432, SOCK_STREAM), rows[i].host);
		assert_int_equal(talk(HOST, H[A2].six, 5432, SOCK_STREAM), rows[i].host);
		assert_int_equal(talk(STRANGER, H[A2].four, 5432, SOCK_STREAM), rows[i].stranger);
		assert_int_equal(talk(STRANGER, H[A2].six, 5432, SOCK_STREAM), rows[i].stranger);
		if (rows[i].host) /* nobody was let in: nobody was answered */
			assert_int_equal(leaked(), 0);
		leaked();
		stop(pid);
	}
	/* A datagram comes in where anybody may; its answer is not one that the wall could know. */
	{
		pid_t pid = serve(A2, &on_udp);

		flags_a(EGRET_CG_INBOUND);
		assert_int_equal(talk(STRANGER, H[A2].four, 5432, SOCK_DGRAM), ETIMEDOUT);
		assert_int_equal(server->answer, EPERM);
		stop(pid);
		assert_int_equal(leaked(), 0);
	}
}

/* ---- a member that is none any more ---- */

static int two_words_fn(void *arg)
{
	const struct dial *d = arg;
	struct timeval tv = { .tv_usec = 300000 };
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);
	char b;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(fd, (void *)&ss, len) < 0)
		return errno;
	if (send(fd, "x", 1, 0) != 1 || recv(fd, &b, 1, 0) != 1)
		return EIO;
	said->n = 1;
	while (!((volatile struct said *)said)->text[0])
		usleep(1000);
	if (send(fd, "x", 1, 0) != 1)
		return errno;
	return recv(fd, &b, 1, 0) == 1 ? 0 : ETIMEDOUT;
}

static void test_member_gone(void **state)
{
	struct dial d = { .ip = H[A2].four, .port = 5432, .type = SOCK_STREAM };
	(void)state;

	/* Nothing; the address is gone; the rule is gone. */
	for (int gone = 0; gone < 3; gone++) {
		pid_t pid = serve(A2, &on4), c;

		flags_a(EGRET_CG_SERVICES);
		c = task_start(W.a_fd, H[A1].netns, two_words_fn, &d);
		for (int i = 0; i < 5000 && !((volatile struct said *)said)->n; i++)
			usleep(1000);
		if (gone == 1)
			member_a(A2, false);
		if (gone == 2)
			flags_a(0);
		said->text[0] = 1;
		assert_int_equal(task_wait(c), gone ? ETIMEDOUT : 0);
		assert_int_equal(server->asked, gone ? 1 : 2);
		member_a(A2, true);
		stop(pid);
	}
	leaked();
}

static void test_tables(void **state)
{
	const char *never[] = { "0.0.0.0",	   "127.0.0.11", "::1",
				"169.254.169.254", "fe80::1",	 "100.100.100.200",
				"224.0.0.1",	   "::",	 "ff02::1" };
	struct dial d = { .ip = H[A2].four, .port = 5432, .type = SOCK_STREAM };
	struct egret_record rec;
	uint8_t addr[16];
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		addr16(never[i], addr);
		assert_int_equal(kernel_member_set(W.k, JOB_A, addr), -EINVAL);
	}
	addr16(H[A2].four, addr);
	assert_int_equal(kernel_member_set(W.k, 0, addr), -EINVAL);
	need(kernel_member_set(W.k, JOB_A, addr), "twice");
	need(kernel_member_set(W.k, JOB_B, addr), "of another");
	need(kernel_published_set(W.k, JOB_A, 5432, EGRET_PUBLISHED_4), "set");
	assert_int_equal(kernel_published_set(W.k, JOB_A, 0, EGRET_PUBLISHED_4), -EINVAL);
	need(kernel_published_del(W.k, JOB_A, 1), "not there");
	/* Of a job that is over nothing is left, of others all. */
	flags_a(EGRET_CG_SERVICES);
	need(kernel_job_forget(W.k, JOB_A), "forget");
	assert_int_equal(task_run(W.a_fd, H[A1].netns, dial_fn, &d), EPERM);
	need(kernel_listener_set(W.k, JOB_A, H[A1].ns.cookie, &H[A1].ns.listener), "set");
	assert_int_equal(task_run(W.a_fd, H[A1].netns, dial_fn, &d), 0);
	need(taken(H[A1].ns.tcp4, &rec), "not turned");
	need(kernel_job_forget(W.k, JOB_A), "forget twice");
	need(kernel_member_del(W.k, JOB_B, addr), "del");
	need(kernel_listener_set(W.k, JOB_A, H[A1].ns.cookie, &H[A1].ns.listener), "set");
	need(kernel_listener_set(W.k, JOB_A, H[A2].ns.cookie, &H[A2].ns.listener), "set");
	member_a(A1, true);
	member_a(A2, true);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_without_rule), cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_udp),	     cmocka_unit_test(test_one_way),
		cmocka_unit_test(test_other_jobs),   cmocka_unit_test(test_inbound),
		cmocka_unit_test(test_member_gone),  cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(all, town_open, town_close);
}

int main(void)
{
	return kept(tests);
}
