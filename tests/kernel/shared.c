/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that share a network namespace (the host's, with --net host; here a namespace of the test
 * plays it): no loopback, ports kept, and the last wall lets only sockets through that came by the
 * door.
 */
#include "kernel/harness.h"

static struct netns host, of_a, of_b;

static int shared_open(void **state)
{
	char why[256] = "";

	if (world_open(state))
		return -1;
	need(netns_open(W.cg.listen, NETNS_NEW, -1, &host, why, sizeof(why)), why);
	need(netns_open(W.cg.listen, NETNS_SHARED, host.netns, &of_a, why, sizeof(why)), why);
	need(netns_open(W.cg.listen, NETNS_SHARED, host.netns, &of_b, why, sizeof(why)), why);
	assert_true(of_a.cookie == host.cookie && of_b.cookie == host.cookie);
	need(kernel_listener_set(W.k, JOB_A, of_a.cookie, &of_a.listener), "set");
	need(kernel_listener_set(W.k, JOB_B, of_b.cookie, &of_b.listener), "set");
	need(kernel_cgroup_set(W.k, W.a, JOB_A, EGRET_CG_READY | EGRET_CG_HOST_NET), "set");
	need(kernel_cgroup_set(W.k, W.b, JOB_B, EGRET_CG_READY | EGRET_CG_HOST_NET), "set");
	return 0;
}

static int shared_close(void **state)
{
	netns_close(&host);
	netns_close(&of_a);
	netns_close(&of_b);
	return world_close(state);
}

/* Each job's connections come to its own listener, with its own record. */
static void test_each_to_its_own(void **state)
{
	struct dial d = { .ip = "198.51.100.1", .port = 443, .type = SOCK_STREAM };
	struct egret_record rec = { 0 };
	(void)state;

	assert_int_equal(task_run(W.a_fd, host.netns, dial_fn, &d), 0);
	need(taken(of_a.tcp4, &rec), "no record");
	assert_int_equal(rec.job, JOB_A);
	d.ip = "2001:db8::1";
	assert_int_equal(task_run(W.b_fd, host.netns, dial_fn, &d), 0);
	need(taken(of_b.tcp6, &rec), "no record");
	assert_int_equal(rec.job, JOB_B);
	assert_int_equal(taken(of_a.tcp4, &rec), -EAGAIN);
	d = (struct dial){ .ip = "127.0.0.1", .port = 53, .type = SOCK_STREAM };
	assert_int_equal(task_run(W.a_fd, host.netns, dial_fn, &d), 0);
	need(taken(of_a.dns_tcp4, &rec), "no record");
	assert_int_equal(rec.flags, EGRET_REC_REDIRECTED | EGRET_REC_DNS);
}

static void test_loopback_closed(void **state)
{
	const char *ips[] = { "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1" };
	const uint16_t ports[] = { 80, ntohs(of_a.listener.tcp4_be), ntohs(of_b.listener.tcp4_be) };
	uint64_t was = refused(EGRET_R_LOOPBACK);
	unsigned n = 0;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(ips); i++)
		for (size_t p = 0; p < ARRAY_SIZE(ports); p++)
			for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++, n++) {
				struct dial d = { .ip = ips[i], .port = ports[p], .type = type };

				assert_int_equal(task_run(W.a_fd, host.netns, dial_fn, &d), EPERM);
			}
	assert_int_equal(refused(EGRET_R_LOOPBACK), was + n);
}

static int bind_fn(void *arg)
{
	struct dial *d = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, d->type, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	return bind(fd, (void *)&ss, len) < 0 ? errno : 0;
}

/* P6: nobody listens any more, and still no job can take the port and catch another's connections.
 */
static void test_ports_are_kept(void **state)
{
	struct netns gone;
	struct dial d = { .ip = "127.0.0.1", .type = SOCK_STREAM };
	char why[256] = "";
	(void)state;

	need(netns_open(W.cg.listen, NETNS_SHARED, host.netns, &gone, why, sizeof(why)), why);
	need(kernel_listener_set(W.k, 303, gone.cookie, &gone.listener), "set");
	netns_close(&gone);
	d.port = ntohs(gone.listener.tcp4_be);
	assert_int_equal(task_run(W.a_fd, host.netns, bind_fn, &d), EPERM);
	d.ip = "::";
	assert_int_equal(task_run(W.b_fd, host.netns, bind_fn, &d), EPERM);
	need(kernel_listener_del(W.k, 303, gone.cookie), "del");
	assert_int_equal(task_run(W.b_fd, host.netns, bind_fn, &d), 0);
	/* Ports are outside the range from which others are given. */
	assert_false(ntohs(of_a.listener.tcp4_be) >= 32768 &&
		     ntohs(of_a.listener.tcp4_be) <= 60999);
}

/* A service of the job: what strangers send does not come in. */
static int serve_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of("127.0.0.1", 7777, &ss);
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd p = { .fd = s, .events = POLLIN };

	(void)arg;
	if (bind(s, (void *)&ss, len) < 0)
		return errno;
	said->n = 1;
	return poll(&p, 1, 300) == 0 ? 0 : EISCONN;
}

static void test_inbound(void **state)
{
	uint64_t was = refused(EGRET_R_INBOUND);
	struct sockaddr_storage ss;
	socklen_t len = sa_of("127.0.0.1", 7777, &ss);
	pid_t server = task_start(W.a_fd, host.netns, serve_fn, NULL), c;
	(void)state;

	for (int i = 0; i < 500 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	c = fork();
	if (c == 0) {
		if (setns(host.netns, CLONE_NEWNET) < 0)
			_exit(1);
		sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void *)&ss, len);
		_exit(0);
	}
	waitpid(c, NULL, 0);
	assert_int_equal(task_wait(server), 0);
	assert_true(refused(EGRET_R_INBOUND) > was);
}

/* Sockets in the shared namespace of somebody who is in no job. */
static int stranger(int type, const char *ip, uint16_t port_be)
{
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(ip, ntohs(port_be), &ss);

	need(setns(host.netns, CLONE_NEWNET) < 0 ? errno : 0, "enter");
	fd = socket(ss.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	need(bind(fd, (void *)&ss, len) < 0 ? errno : 0, "bind");
	if (type == SOCK_STREAM)
		need(listen(fd, 8) < 0 ? errno : 0, "listen");
	need(setns(here, CLONE_NEWNET) < 0 ? errno : 0, "back");
	close(here);
	return fd;
}

/* Connects, or sends a datagram; with little patience. */
static int knock_fn(void *arg)
{
	struct dial *d = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, d->type, 0);
	struct timeval tv = { .tv_usec = 400000 };

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (void *)&ss, len) < 0)
		return errno;
	return send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

static bool comes(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;
	int one;

	if (poll(&p, 1, 200) != 1)
		return false;
	one = accept(fd, NULL, NULL);
	if (one >= 0)
		close(one);
	else
		(void)!recv(fd, &c, 1, MSG_DONTWAIT);
	return true;
}

/* P6: all that held the listeners is dead, and who is in no job, and so may, has their ports: what
 * is turned there does not come to him. */
static void test_captured(void **state)
{
	const struct {
		int type;
		bool dns;
		const char *at, *to;
		int r; /* a datagram is refused, a connection's first packet is dropped */
	} rows[] = {
		{ SOCK_STREAM, false, "127.0.0.1", "198.51.100.1", EINPROGRESS },
		{ SOCK_STREAM, false, "::1", "2001:db8::1", EINPROGRESS },
		{ SOCK_STREAM, true, "127.0.0.1", "198.51.100.1", EINPROGRESS },
		{ SOCK_DGRAM, true, "127.0.0.1", "198.51.100.1", EPERM },
		{ SOCK_DGRAM, true, "::1", "2001:db8::1", EPERM },
	};
	struct netns gone;
	char why[256] = "";
	(void)state;

	need(netns_open(W.cg.listen, NETNS_SHARED, host.netns, &gone, why, sizeof(why)), why);
	need(kernel_listener_set(W.k, JOB_A, gone.cookie, &gone.listener), "set");
	netns_close(&gone);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint16_t port_be = rows[i].dns ? gone.listener.dns4_be : gone.listener.tcp4_be;
		struct dial d = { .ip = rows[i].at, .port = ntohs(port_be), .type = rows[i].type };
		uint64_t was;
		int fd;

		/* Nobody there: the kernel's own refusal. */
		d.ip = rows[i].to;
		d.port = rows[i].dns ? 53 : 443;
		if (rows[i].type == SOCK_STREAM)
			assert_int_equal(task_run(W.a_fd, host.netns, knock_fn, &d), ECONNREFUSED);
		fd = stranger(rows[i].type, rows[i].at, port_be);
		was = refused(EGRET_R_CAPTURED);
		assert_int_equal(task_run(W.a_fd, host.netns, knock_fn, &d), rows[i].r);
		assert_false(comes(fd));
		assert_true(refused(EGRET_R_CAPTURED) > was);
		/* That he can be reached. */
		d.ip = rows[i].at;
		d.port = ntohs(port_be);
		assert_int_equal(task_run(-1, host.netns, knock_fn, &d), 0);
		assert_true(comes(fd));
		close(fd);
	}
	need(kernel_listener_del(W.k, JOB_A, gone.cookie), "del");
	need(kernel_listener_set(W.k, JOB_A, of_a.cookie, &of_a.listener), "set");
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_each_to_its_own), cmocka_unit_test(test_loopback_closed),
		cmocka_unit_test(test_ports_are_kept),	cmocka_unit_test(test_captured),
		cmocka_unit_test(test_inbound),
	};

	return cmocka_run_group_tests(all, shared_open, shared_close);
}

int main(void)
{
	return kept(tests);
}
