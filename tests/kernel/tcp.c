/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P1 for TCP: every form in which a job can say where it wants to go, over real sockets, with what
 * the caller gets, what the proxy's listener gets and the record beside it.
 */
#include "kernel/harness.h"
#include <linux/io_uring.h>

/* Where a connection of job A ends. */
enum end { TURNED4, TURNED6, RESOLVER4, RESOLVER6, STRAIGHT, REFUSED };

static int listener_of(enum end e)
{
	switch (e) {
	case TURNED4:
		return W.ns.tcp4;
	case TURNED6:
		return W.ns.tcp6;
	case RESOLVER4:
		return W.ns.dns_tcp4;
	default:
		return W.ns.dns_tcp6;
	}
}

static const struct {
	const char *ip;
	uint16_t port;
	enum end end;
	enum egret_reason reason;
	int proto;
	const char *device;
} rows[] = {
	{ "198.51.100.1", 443, TURNED4, 0, 0, NULL },
	{ "198.51.100.1", 1, TURNED4, 0, 0, NULL },
	{ "198.51.100.1", 65535, TURNED4, 0, 0, NULL },
	{ "10.77.3.4", 22, TURNED4, 0, 0, NULL },
	{ "198.18.0.9", 443, TURNED4, 0, 0, NULL },
	{ "168.63.129.16", 80, TURNED4, 0, 0, NULL }, /* the proxy and the cage judge it */
	{ NETNS_ADDR4, 80, TURNED4, 0, 0, NULL },
	{ "2001:db8::1", 443, TURNED6, 0, 0, NULL },
	{ "2001:db8::1", 65535, TURNED6, 0, 0, NULL },
	{ "fd00::5", 80, TURNED6, 0, 0, NULL },
	{ "::ffff:198.51.100.1", 443, TURNED4, 0, 0, NULL },
	{ "::ffff:10.77.0.1", 8080, TURNED4, 0, 0, NULL },
	{ "198.51.100.1", 53, RESOLVER4, 0, 0, NULL },
	{ "2001:db8::53", 53, RESOLVER6, 0, 0, NULL },
	{ "::ffff:198.51.100.1", 53, RESOLVER4, 0, 0, NULL },
	{ "127.0.0.53", 53, RESOLVER4, 0, 0, NULL },
	{ "127.0.0.11", 53, RESOLVER4, 0, 0, NULL },
	{ "127.0.0.11", 40123, RESOLVER4, 0, 0, NULL },
	{ "::ffff:127.0.0.11", 40123, RESOLVER4, 0, 0, NULL },
	{ "169.254.169.254", 53, RESOLVER4, 0, 0, NULL },
	{ "::1", 53, RESOLVER6, 0, 0, NULL },
	{ "0.0.0.0", 80, REFUSED, EGRET_R_UNSPECIFIED, 0, NULL },
	{ "0.0.0.0", 53, REFUSED, EGRET_R_UNSPECIFIED, 0, NULL },
	{ "0.1.2.3", 80, REFUSED, EGRET_R_UNSPECIFIED, 0, NULL },
	{ "::", 80, REFUSED, EGRET_R_UNSPECIFIED, 0, NULL },
	{ "::ffff:0.0.0.0", 80, REFUSED, EGRET_R_UNSPECIFIED, 0, NULL },
	{ "169.254.169.254", 80, REFUSED, EGRET_R_LINK_LOCAL, 0, NULL },
	{ "::ffff:169.254.169.254", 80, REFUSED, EGRET_R_LINK_LOCAL, 0, NULL },
	{ "fe80::1", 80, REFUSED, EGRET_R_LINK_LOCAL, 0, NULL },
	{ "169.254.170.2", 80, TURNED4, 0, 0, NULL },
	{ "169.254.170.2", 443, REFUSED, EGRET_R_LINK_LOCAL, 0, NULL },
	{ "169.254.170.3", 80, REFUSED, EGRET_R_LINK_LOCAL, 0, NULL },
	{ "224.0.0.1", 80, REFUSED, EGRET_R_MULTICAST, 0, NULL },
	{ "255.255.255.255", 80, REFUSED, EGRET_R_MULTICAST, 0, NULL },
	{ "ff02::1", 80, REFUSED, EGRET_R_MULTICAST, 0, NULL },
	{ "198.51.100.2", 443, TURNED4, 0, IPPROTO_MPTCP, NULL },
	{ "2001:db8::2", 443, TURNED6, 0, IPPROTO_MPTCP, NULL },
	{ "198.51.100.2", 53, RESOLVER4, 0, IPPROTO_MPTCP, NULL },
	{ "198.51.100.3", 443, TURNED4, 0, 0, "lo" },
};

static void check_turned(size_t i)
{
	struct egret_record rec = { 0 };
	uint8_t want[16];
	bool dns = rows[i].end == RESOLVER4 || rows[i].end == RESOLVER6;

	need(taken(listener_of(rows[i].end), &rec), rows[i].ip);
	addr16(rows[i].ip, want);
	assert_memory_equal(rec.addr, want, 16);
	assert_int_equal(rec.port, rows[i].port);
	assert_int_equal(rec.job, JOB_A);
	assert_int_equal(rec.cgroup, W.a);
	assert_int_equal(rec.family, strchr(rows[i].ip, ':') ? AF_INET6 : AF_INET);
	assert_int_equal(rec.proto, IPPROTO_TCP);
	assert_int_equal(rec.pid, said->pid);
	assert_int_equal(rec.tid, said->tid);
	assert_int_equal(rec.uid, 0);
	assert_int_equal(rec.flags, EGRET_REC_REDIRECTED | (dns ? EGRET_REC_DNS : 0));
	assert_string_equal(rec.comm, comm());
	assert_true(rec.cookie != 0 && rec.time_ns != 0);
	/* The job sees the peer that it asked for; MPTCP shows the listener (the record is on the
	 * subflow). */
	if (rows[i].proto != IPPROTO_MPTCP) {
		struct sockaddr_storage ss;
		socklen_t len = sa_of(rows[i].ip, rows[i].port, &ss);

		assert_memory_equal(&said->peer, &ss, len);
	}
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct dial d = { .ip = rows[i].ip,
				  .port = rows[i].port,
				  .type = SOCK_STREAM,
				  .proto = rows[i].proto,
				  .device = rows[i].device };
		uint64_t was = rows[i].reason ? refused(rows[i].reason) : 0;
		int r = task_run(W.a_fd, W.ns.netns, dial_fn, &d);

		if (rows[i].proto == IPPROTO_MPTCP && (r == EPROTONOSUPPORT || r == ENOPROTOOPT))
			continue; /* a kernel without MPTCP */
		if (rows[i].end != REFUSED && r)
			print_error("row %zu: %s port %u: %s\n", i, rows[i].ip, rows[i].port,
				    strerror(r));
		assert_int_equal(r, rows[i].end == REFUSED ? EPERM : 0);
		if (rows[i].end == REFUSED)
			assert_int_equal(refused(rows[i].reason), was + 1);
		else
			check_turned(i);
	}
}

/* The job's own services on its own loopback. */
static int own_fn(void *arg)
{
	const char *ip = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(ip, 0, &ss), slen = sizeof(ss);
	int s = socket(ss.ss_family, SOCK_STREAM, 0), c, a;
	char b[4] = "";

	if (bind(s, (void *)&ss, len) < 0 || listen(s, 1) < 0)
		return errno;
	getsockname(s, (void *)&ss, &slen);
	c = socket(ss.ss_family, SOCK_STREAM, 0);
	if (connect(c, (void *)&ss, len) < 0)
		return errno;
	a = accept(s, NULL, NULL);
	if (a < 0 || write(c, "hi", 2) != 2 || read(a, b, 2) != 2 || write(a, b, 2) != 2 ||
	    read(c, b, 2) != 2)
		return EIO;
	return memcmp(b, "hi", 2) ? EIO : 0;
}

static void test_own_loopback(void **state)
{
	(void)state;
	assert_int_equal(task_run(W.a_fd, W.ns.netns, own_fn, (void *)"127.0.0.1"), 0);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, own_fn, (void *)"127.4.5.6"), 0);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, own_fn, (void *)"::1"), 0);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, own_fn, (void *)"::ffff:127.0.0.1"), 0);
}

/* Straight to egret's listener: it connects, but there is no record, so the proxy refuses it; also
 * from a port whose SYN left a record behind. */
static void test_straight_has_no_record(void **state)
{
	struct dial d = { .ip = "127.0.0.1",
			  .port = ntohs(W.ns.listener.tcp4_be),
			  .type = SOCK_STREAM };
	struct dial lost = {
		.ip = "198.51.100.1", .port = 80, .type = SOCK_STREAM, .sport = 23456
	};
	struct egret_listener dead = W.ns.listener;
	struct egret_record rec;
	(void)state;

	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	assert_int_equal(taken(W.ns.tcp4, &rec), -ENOENT);
	d.ip = "::1";
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	assert_int_equal(taken(W.ns.tcp6, &rec), -ENOENT);

	dead.tcp4_be = htons(9); /* nobody listens */
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &dead), "set");
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &lost), ECONNREFUSED);
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &W.ns.listener), "set");
	d = (struct dial){ .ip = "127.0.0.1",
			   .port = ntohs(W.ns.listener.tcp4_be),
			   .type = SOCK_STREAM,
			   .sport = 23456 };
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	assert_int_equal(taken(W.ns.tcp4, &rec), -ENOENT);
}

/* A namespace without IPv6 has no such listener: refused with a reason, and IPv4 goes on. */
static void test_no_ipv6_listener(void **state)
{
	struct dial six = { .ip = "2001:db8::1", .port = 80, .type = SOCK_STREAM };
	struct dial four = { .ip = "198.51.100.1", .port = 80, .type = SOCK_STREAM };
	struct egret_listener l = W.ns.listener;
	uint64_t was = refused(EGRET_R_NO_LISTENER);
	struct egret_record rec;
	(void)state;

	l.tcp6_be = l.dns6_be = 0;
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &l), "set");
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &six), EPERM);
	six.port = 53;
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &six), EPERM);
	assert_int_equal(refused(EGRET_R_NO_LISTENER), was + 2);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &four), 0);
	need(taken(W.ns.tcp4, &rec), "no record");
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &W.ns.listener), "set");
}

static int tfo_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of(arg, 443, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);

	return sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&ss, len) < 0 ? errno : 0;
}

static void test_fast_open(void **state)
{
	struct egret_record rec = { 0 };
	(void)state;

	assert_int_equal(task_run(W.a_fd, W.ns.netns, tfo_fn, (void *)"198.51.100.5"), 0);
	need(taken(W.ns.tcp4, &rec), "no record");
	assert_int_equal(rec.addr[15], 5);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, tfo_fn, (void *)"169.254.169.254"), EPERM);
}

/* IORING_OP_CONNECT by hand: one entry, submitted and awaited. */
static int uring_fn(void *arg)
{
	struct io_uring_params p = { 0 };
	struct sockaddr_storage ss;
	socklen_t len = sa_of(arg, 443, &ss);
	int ring = (int)syscall(SYS_io_uring_setup, 2, &p);
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	char *sq, *cq;

	if (ring < 0)
		return ENOSYS;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		  IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*cqe), PROT_READ | PROT_WRITE,
		  MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		   IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqe == MAP_FAILED)
		return ENOMEM;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_CONNECT;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)&ss;
	sqe->off = len;
	((uint32_t *)(void *)(sq + p.sq_off.array))[0] = 0;
	__atomic_store_n((uint32_t *)(void *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return errno;
	cqe = (void *)(cq + p.cq_off.cqes);
	return -cqe->res;
}

static void test_io_uring(void **state)
{
	struct egret_record rec = { 0 };
	int r;
	(void)state;

	r = task_run(W.a_fd, W.ns.netns, uring_fn, (void *)"198.51.100.6");
	if (r == ENOSYS)
		skip();
	assert_int_equal(r, 0);
	need(taken(W.ns.tcp4, &rec), "no record");
	assert_int_equal(rec.addr[15], 6);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, uring_fn, (void *)"169.254.169.254"), EPERM);
}

/* Many connections that nobody accepts leave no flow behind, and records never mix. */
static void test_many(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		struct egret_record rec = { 0 };
		struct dial d = { .ip = "198.51.100.20",
				  .port = (uint16_t)(1000 + i),
				  .type = SOCK_STREAM,
				  .sport = (uint16_t)(i % 2 ? 0 : 24000 + i % 7) };

		assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
		need(taken(W.ns.tcp4, &rec), "no record");
		assert_int_equal(rec.port, 1000 + i);
	}
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_table),	  cmocka_unit_test(test_own_loopback),
		cmocka_unit_test(test_fast_open), cmocka_unit_test(test_straight_has_no_record),
		cmocka_unit_test(test_io_uring),  cmocka_unit_test(test_no_ipv6_listener),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(all, world_open, world_close);
}

int main(void)
{
	return kept(tests);
}
