/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P1 round the edges of connect(): sockets that jobs may not have, sockets made elsewhere, egret's
 * ports, devices, source routes, and a shared network namespace. Where a packet might leave, a veth
 * leads to a namespace in which frames are counted.
 */
#include "kernel/harness.h"
#include <linux/if_ether.h>
#include <linux/if_packet.h>

/* ---- what a job may create ---- */

static const struct {
	int family, type, proto;
	int r; /* 0, or the errno; -1: EPERM or "the kernel has no such protocol" */
} kinds[] = {
	{ AF_INET, SOCK_STREAM, 0, 0 },
	{ AF_INET6, SOCK_STREAM, IPPROTO_TCP, 0 },
	{ AF_INET, SOCK_DGRAM, 0, 0 },
	{ AF_INET6, SOCK_DGRAM, IPPROTO_UDP, 0 },
	{ AF_UNIX, SOCK_STREAM, 0, 0 },
	{ AF_NETLINK, SOCK_RAW, 0, 0 },
	{ AF_INET, SOCK_RAW, IPPROTO_RAW, EPERM },
	{ AF_INET, SOCK_RAW, IPPROTO_ICMP, EPERM },
	{ AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, EPERM },
	{ AF_INET, SOCK_RAW, IPPROTO_UDP, EPERM },
	{ AF_INET, SOCK_RAW, IPPROTO_TCP, EPERM },
	{ AF_INET, SOCK_DGRAM, IPPROTO_ICMP, -1 },
	{ AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, -1 },
	{ AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, -1 },
	{ AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE, -1 },
	{ AF_INET, SOCK_STREAM, IPPROTO_SCTP, -1 },
	{ AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP, -1 },
	{ AF_INET, SOCK_DCCP, IPPROTO_DCCP, -1 },
};

static int create_fn(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;
	int fd = socket(kinds[i].family, kinds[i].type, kinds[i].proto);

	return fd < 0 ? errno : 0;
}

static void test_create(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int r = task_run(W.a_fd, W.ns.netns, create_fn, (void *)(uintptr_t)i);

		if (kinds[i].r >= 0)
			assert_int_equal(r, kinds[i].r);
		else
			assert_true(r == EPERM || r == EPROTONOSUPPORT || r == ESOCKTNOSUPPORT ||
				    r == EACCES);
	}
	assert_true(refused(EGRET_R_FAMILY) >= 5);
	/* Below the attach point but of no job: nothing at all. */
	assert_int_equal(task_run(W.none_fd, W.ns.netns, create_fn, (void *)0), EPERM);
	assert_true(refused(EGRET_R_UNREGISTERED) >= 1);
}

/* ---- sockets of others ---- */

static int make_fn(void *arg)
{
	struct dial *d = arg;
	int fd = socket(AF_INET, d->type, 0), r = 0;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);

	/* Made here; then this task moves to job A, as an inherited or passed socket would. */
	r = cgroup_add(W.a_fd, 0);
	if (r)
		return -r;
	if (d->type == SOCK_DGRAM)
		return sendto(fd, "x", 1, 0, (void *)&ss, len) < 0 ? errno : 0;
	return connect(fd, (void *)&ss, len) < 0 ? errno : 0;
}

static void test_foreign(void **state)
{
	struct dial tcp = { .ip = "198.51.100.1", .port = 443, .type = SOCK_STREAM };
	struct dial local = { .ip = "127.0.0.1", .port = 443, .type = SOCK_STREAM };
	struct dial dns = { .ip = "198.51.100.1", .port = 53, .type = SOCK_DGRAM };
	struct egret_record rec;
	uint64_t was = refused(EGRET_R_FOREIGN_SOCKET), id;
	int sibling = -1;
	(void)state;

	assert_int_equal(task_run(W.b_fd, W.ns.netns, make_fn, &tcp), EPERM);
	assert_int_equal(task_run(W.b_fd, W.ns.netns, make_fn, &local), EPERM);
	assert_int_equal(task_run(W.b_fd, W.ns.netns, make_fn, &dns), EPERM);
	assert_int_equal(refused(EGRET_R_FOREIGN_SOCKET), was + 3);
	/* Another cgroup of the same job is no stranger, at whatever depth it was made. */
	need(cgroup_make(W.cg.jobs, "job-a-two", &sibling, &id), "cgroup");
	need(kernel_cgroup_set(W.k, id, JOB_A, EGRET_CG_READY), "set");
	assert_int_equal(task_run(sibling, W.ns.netns, make_fn, &tcp), 0);
	need(taken(W.ns.tcp4, &rec), "no record");
	{
		int deep = -1;

		need(cgroup_make(sibling, "deep", &deep, &id), "cgroup");
		assert_int_equal(task_run(deep, W.ns.netns, make_fn, &tcp), 0);
		need(taken(W.ns.tcp4, &rec), "no record");
		close(deep);
	}
	/* Its registration gone, it is one. */
	need(cgroup_id(sibling, &id), "id");
	need(kernel_cgroup_set(W.k, id, JOB_B, EGRET_CG_READY), "set");
	assert_int_equal(task_run(sibling, W.ns.netns, make_fn, &tcp), EPERM);
	need(kernel_cgroup_del(W.k, id), "del");
	close(sibling);
}

/* ---- egret's own ports ---- */

static int bind_fn(void *arg)
{
	struct dial *d = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, d->type, 0);

	return bind(fd, (void *)&ss, len) < 0 ? errno : 0;
}

static void test_bind(void **state)
{
	const uint16_t ports[] = { ntohs(W.ns.listener.tcp4_be), ntohs(W.ns.listener.dns4_be) };
	const char *ips[] = { "0.0.0.0", "127.0.0.1", "127.0.0.9", "::", "::1" };
	struct dial d = { .type = SOCK_STREAM };
	uint64_t was = refused(EGRET_R_PORT);
	unsigned n = 0;
	(void)state;

	for (size_t p = 0; p < ARRAY_SIZE(ports); p++)
		for (size_t i = 0; i < ARRAY_SIZE(ips); i++)
			for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++, n++) {
				d = (struct dial){ .ip = ips[i], .port = ports[p], .type = type };
				assert_int_equal(task_run(W.a_fd, W.ns.netns, bind_fn, &d), EPERM);
			}
	assert_int_equal(refused(EGRET_R_PORT), was + n);
	d = (struct dial){ .ip = "127.0.0.1", .port = 8080, .type = SOCK_STREAM };
	assert_int_equal(task_run(W.a_fd, W.ns.netns, bind_fn, &d), 0);
	d.port = 0;
	assert_int_equal(task_run(W.a_fd, W.ns.netns, bind_fn, &d), 0);
}

/* ---- a way out exists ---- */

static struct netns outside;
static int tap = -1;

static int ip_fn(void *arg)
{
	char line[256], *argv[24] = { (char *)"ip" };
	char *save = NULL;
	int n = 1, st = 0;
	pid_t pid;

	snprintf(line, sizeof(line), "%s", (char *)arg);
	for (char *w = strtok_r(line, " ", &save); w && n < 23; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	pid = fork();
	if (pid == 0) {
		execvp("ip", argv);
		_exit(127);
	}
	waitpid(pid, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : 1;
}

static int tap_fn(void *arg)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };

	(void)arg;
	if (setns(outside.netns, CLONE_NEWNET) < 0)
		return -1;
	tap = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
	return tap < 0 || bind(tap, (void *)&ll, sizeof(ll)) < 0 ? -1 : 0;
}

/* A veth from job A's namespace to one where frames are counted. */
static int way_out(void **state)
{
	char line[128], why[256];
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), r;

	if (world_open(state))
		return -1;
	need(netns_open(W.cg.listen, NETNS_NEW, -1, &outside, why, sizeof(why)), why);
	snprintf(line, sizeof(line), "link add v0 type veth peer name v1 netns /proc/%d/fd/%d",
		 (int)getpid(), outside.netns);
	if (task_run(-1, W.ns.netns, ip_fn, line)) {
		print_message("# no veth: the walls' tests are skipped\n");
		return 0;
	}
	need(task_run(-1, W.ns.netns, ip_fn, (void *)"link set v0 up"), "v0");
	need(task_run(-1, outside.netns, ip_fn, (void *)"link set v1 up"), "v1");
	need(task_run(-1, W.ns.netns, ip_fn, (void *)"addr add 198.51.100.2/24 dev v0"), "a");
	need(task_run(-1, W.ns.netns, ip_fn, (void *)"-6 addr add 2001:db8::2/64 dev v0 nodad"),
	     "a");
	need(task_run(-1, outside.netns, ip_fn, (void *)"addr add 198.51.100.1/24 dev v1"), "a");
	need(task_run(-1, outside.netns, ip_fn, (void *)"-6 addr add 2001:db8::1/64 dev v1 nodad"),
	     "a");
	need(task_run(-1, W.ns.netns, ip_fn, (void *)"route add default via 198.51.100.1"), "r");
	need(task_run(-1, W.ns.netns, ip_fn, (void *)"-6 route add default via 2001:db8::1"), "r");
	r = tap_fn(NULL);
	need(setns(here, CLONE_NEWNET), "back");
	close(here);
	return r;
}

static int way_closed(void **state)
{
	if (tap >= 0)
		close(tap);
	netns_close(&outside);
	return world_close(state);
}

/* TCP and UDP packets that came out since the last look (neighbour discovery and the like are not a
 * job's). */
static unsigned leaked(void)
{
	unsigned n = 0;
	uint8_t b[2048];
	ssize_t got;

	usleep(30000);
	while ((got = recv(tap, b, sizeof(b), 0)) > 0) {
		if (got >= 20 && b[0] >> 4 == 4 && (b[9] == IPPROTO_TCP || b[9] == IPPROTO_UDP))
			n++;
		if (got >= 40 && b[0] >> 4 == 6 &&
		    (b[6] == IPPROTO_TCP || b[6] == IPPROTO_UDP || b[6] == IPPROTO_ROUTING))
			n++;
	}
	return n;
}

/* What is to come out may have to look for its neighbour first, on a busy machine. */
static unsigned leaks(unsigned least)
{
	unsigned n = leaked();

	for (int i = 0; i < 60 && n < least; i++)
		n += leaked();
	return n;
}

/* The tap counts: the same packet from outside the job arrives. */
static int plain_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of(arg, 9, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM, 0);

	return sendto(fd, "x", 1, 0, (void *)&ss, len) < 0 ? errno : 0;
}

static void test_tap_sees(void **state)
{
	(void)state;
	if (tap < 0)
		skip();
	assert_int_equal(task_run(-1, W.ns.netns, plain_fn, (void *)"198.51.100.1"), 0);
	assert_int_equal(task_run(-1, W.ns.netns, plain_fn, (void *)"2001:db8::1"), 0);
	assert_int_equal(leaks(2), 2);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, plain_fn, (void *)"198.51.100.1"), EPERM);
	assert_int_equal(leaked(), 0);
}

/* A socket bound to the device that leads out: turned all the same. */
static void test_bound_to_device(void **state)
{
	struct dial d = { .ip = "198.51.100.1", .port = 443, .type = SOCK_STREAM, .device = "v0" };
	struct egret_record rec = { 0 };
	(void)state;

	if (tap < 0)
		skip();
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(taken(W.ns.tcp4, &rec), "no record");
	d.ip = "2001:db8::1";
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(taken(W.ns.tcp6, &rec), "no record");
	assert_int_equal(leaked(), 0);
}

static int device_send_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of(arg, 53, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM, 0);

	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "v0", 3) < 0)
		return ENODEV;
	return sendto(fd, "x", 1, 0, (void *)&ss, len) < 0 ? errno : 0;
}

static void test_bound_to_device_unconnected(void **state)
{
	(void)state;
	if (tap < 0)
		skip();
	assert_int_equal(task_run(W.a_fd, W.ns.netns, device_send_fn, (void *)"198.51.100.1"),
			 EPERM);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, device_send_fn, (void *)"2001:db8::1"),
			 EPERM);
	assert_int_equal(leaked(), 0);
}

/* The name says loopback, the route says elsewhere. */
static int lsrr_fn(void *arg)
{
	/* NOP, LSRR, length 7, pointer 4, one hop */
	const uint8_t opt[] = { 1, 131, 7, 4, 198, 51, 100, 1 };
	struct sockaddr_storage ss;
	socklen_t len = sa_of("127.0.0.1", 9999, &ss);
	bool udp = arg != NULL;
	int fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);

	if (setsockopt(fd, IPPROTO_IP, IP_OPTIONS, opt, sizeof(opt)) < 0)
		return ENOPROTOOPT;
	if (udp)
		return sendto(fd, "x", 1, 0, (void *)&ss, len) < 0 ? errno : 0;
	if (connect(fd, (void *)&ss, len) < 0 && errno != EINPROGRESS)
		return errno;
	usleep(20000);
	return 0;
}

static int srh_fn(void *arg)
{
	/* Next header, length in 8 bytes, type 4, segments left, last entry, flags, tag; the last
	 * segment is the first hop. */
	uint8_t srh[8 + 32] = { 0, 4, 4, 1, 1 };
	struct sockaddr_storage ss;
	socklen_t len = sa_of("::1", 9999, &ss);
	bool udp = arg != NULL;
	int fd = socket(AF_INET6, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET6, "2001:db8::1", srh + 8 + 16);
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, srh, sizeof(srh)) < 0)
		return ENOPROTOOPT;
	if (udp)
		return sendto(fd, "x", 1, 0, (void *)&ss, len) < 0 ? errno : 0;
	if (connect(fd, (void *)&ss, len) < 0 && errno != EINPROGRESS)
		return errno;
	usleep(20000);
	return 0;
}

static void test_source_routes(void **state)
{
	uint64_t was;
	(void)state;

	if (tap < 0)
		skip();
	was = refused(EGRET_R_PACKET);
	for (int udp = 0; udp < 2; udp++) {
		void *arg = udp ? (void *)"" : NULL;

		/* From outside the job the same call leaks: the test tests something. */
		if (task_run(-1, W.ns.netns, lsrr_fn, arg) == 0)
			assert_true(leaks(1) > 0);
		task_run(W.a_fd, W.ns.netns, lsrr_fn, arg);
		assert_int_equal(leaked(), 0);
		if (task_run(-1, W.ns.netns, srh_fn, arg) == 0)
			assert_true(leaks(1) > 0);
		task_run(W.a_fd, W.ns.netns, srh_fn, arg);
		assert_int_equal(leaked(), 0);
	}
	assert_true(refused(EGRET_R_PACKET) >= was + 4);
}

/* Somebody outside connects to a service of the job: no answer leaves. */
static int serve_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of("0.0.0.0", 7777, &ss);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd p = { .fd = s, .events = POLLIN };

	(void)arg;
	if (bind(s, (void *)&ss, len) < 0 || listen(s, 5) < 0)
		return errno;
	said->n = 1;
	return poll(&p, 1, 700) == 0 ? 0 : EISCONN;
}

static void test_inbound(void **state)
{
	uint64_t was = refused(EGRET_R_INBOUND);
	struct sockaddr_storage ss;
	socklen_t len = sa_of("198.51.100.2", 7777, &ss);
	pid_t server, c;
	(void)state;

	if (tap < 0)
		skip();
	server = task_start(W.a_fd, W.ns.netns, serve_fn, NULL);
	for (int i = 0; i < 500 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	c = fork();
	if (c == 0) {
		int fd;

		if (setns(outside.netns, CLONE_NEWNET) < 0)
			_exit(1);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fd, (void *)&ss, len);
		usleep(100000);
		_exit(0);
	}
	waitpid(c, NULL, 0);
	assert_int_equal(task_wait(server), 0);
	assert_true(refused(EGRET_R_INBOUND) > was);
	leaked();
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_tap_sees),
		cmocka_unit_test(test_bound_to_device),
		cmocka_unit_test(test_bound_to_device_unconnected),
		cmocka_unit_test(test_source_routes),
		cmocka_unit_test(test_inbound),
	};

	return cmocka_run_group_tests(all, way_out, way_closed);
}

int main(void)
{
	return kept(tests);
}
