/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P3: what a proxy that was taken over can dial, in a namespace with loopback only: EPERM is the
 * cage; anything else (no route, nobody there) means that the cage let it through.
 */
#include "kernel/harness.h"

#define PROXY "proxy-1"

static int cage_fd = -1, other_fd = -1;
static uint64_t cage_id, other_id;

static int cage_open(void **state)
{
	uint8_t own[3][16];

	if (world_open(state))
		return -1;
	need(cgroup_make(W.cg.proxies, PROXY, &cage_fd, &cage_id), "cgroup");
	need(cgroup_make(W.cg.proxies, "proxy-2", &other_fd, &other_id), "cgroup");
	addr16("198.51.100.77", own[0]);
	addr16("2001:db8::77", own[1]);
	addr16("10.77.0.1", own[2]);
	need(kernel_hostaddr_set(W.k, (const uint8_t(*)[16])own, 3), "hostaddr");
	return 0;
}

static int cage_close(void **state)
{
	close(cage_fd);
	close(other_fd);
	return world_close(state);
}

static const struct {
	const char *ip;
	bool pass;
	enum egret_reason reason;
} rows[] = {
	{ "198.51.100.1", true, 0 },
	{ "93.184.216.34", true, 0 },
	{ "::ffff:93.184.216.34", true, 0 },
	{ "2001:db8::1", true, 0 },
	{ "2606:4700::1111", true, 0 },
	{ "2002:5db8:d822::1", true, 0 },      /* 6to4 of a public address */
	{ "64:ff9b::93.184.216.34", true, 0 }, /* NAT64 of a public address */
	{ "172.15.255.255", true, 0 },
	{ "172.32.0.0", true, 0 },
	{ "100.63.255.255", true, 0 },
	{ "100.128.0.0", true, 0 },
	{ "198.17.255.255", true, 0 },
	{ "198.20.0.0", true, 0 },
	{ "0.0.0.0", false, EGRET_R_CAGE_ADDRESS },
	{ "0.1.2.3", false, EGRET_R_CAGE_ADDRESS },
	{ "127.0.0.1", false, EGRET_R_CAGE_ADDRESS },
	{ "127.255.255.254", false, EGRET_R_CAGE_ADDRESS },
	{ "10.0.0.1", false, EGRET_R_CAGE_ADDRESS },
	{ "172.16.0.1", false, EGRET_R_CAGE_ADDRESS },
	{ "172.31.255.255", false, EGRET_R_CAGE_ADDRESS },
	{ "192.168.1.1", false, EGRET_R_CAGE_ADDRESS },
	{ "100.64.0.1", false, EGRET_R_CAGE_ADDRESS },
	{ "100.127.255.255", false, EGRET_R_CAGE_ADDRESS },
	{ "100.100.100.200", false, EGRET_R_CAGE_ADDRESS },
	{ "168.63.129.16", false, EGRET_R_CAGE_ADDRESS },
	{ "169.254.169.254", false, EGRET_R_CAGE_ADDRESS },
	{ "198.18.0.1", false, EGRET_R_CAGE_ADDRESS },
	{ "198.19.255.254", false, EGRET_R_CAGE_ADDRESS },
	{ "192.0.0.170", false, EGRET_R_CAGE_ADDRESS },
	{ "224.0.0.1", false, EGRET_R_CAGE_ADDRESS },
	{ "240.0.0.1", false, EGRET_R_CAGE_ADDRESS },
	{ "255.255.255.255", false, EGRET_R_CAGE_ADDRESS },
	{ "::", false, EGRET_R_CAGE_ADDRESS },
	{ "::1", false, EGRET_R_CAGE_ADDRESS },
	{ "::127.0.0.1", false, EGRET_R_CAGE_ADDRESS },
	{ "::93.184.216.34", false, EGRET_R_CAGE_ADDRESS },
	{ "::ffff:127.0.0.1", false, EGRET_R_CAGE_ADDRESS },
	{ "::ffff:169.254.169.254", false, EGRET_R_CAGE_ADDRESS },
	{ "::ffff:0:127.0.0.1", false, EGRET_R_CAGE_ADDRESS },
	{ "fe80::1", false, EGRET_R_CAGE_ADDRESS },
	{ "fec0::1", false, EGRET_R_CAGE_ADDRESS },
	{ "fc00::1", false, EGRET_R_CAGE_ADDRESS },
	{ "fd00:ec2::254", false, EGRET_R_CAGE_ADDRESS },
	{ "ff02::1", false, EGRET_R_CAGE_ADDRESS },
	{ "100::1", false, EGRET_R_CAGE_ADDRESS },
	{ "64:ff9b::127.0.0.1", false, EGRET_R_CAGE_ADDRESS },
	{ "64:ff9b::a9fe:a9fe", false, EGRET_R_CAGE_ADDRESS },
	{ "64:ff9b:1::1.2.3.4", false, EGRET_R_CAGE_ADDRESS },
	{ "2002:7f00:1::", false, EGRET_R_CAGE_ADDRESS },
	{ "2002:a9fe:a9fe::1", false, EGRET_R_CAGE_ADDRESS },
	{ "2002:a00:1::1", false, EGRET_R_CAGE_ADDRESS },
	{ "2001:0:7f00:1::", false, EGRET_R_CAGE_ADDRESS }, /* Teredo, server 127.0.0.1 */
	{ "2001:0:5db8:d822:0:0:5601:5601", false,
	  EGRET_R_CAGE_ADDRESS }, /* client 169.254.169.254 */
	{ "198.51.100.77", false, EGRET_R_HOST_ADDRESS },
	{ "::ffff:198.51.100.77", false, EGRET_R_HOST_ADDRESS },
	{ "2001:db8::77", false, EGRET_R_HOST_ADDRESS },
	{ "2002:c633:644d::1", false, EGRET_R_HOST_ADDRESS }, /* 6to4 of the host's own */
	{ "64:ff9b::198.51.100.77", false, EGRET_R_HOST_ADDRESS },
};

static int try_fn(void *arg)
{
	struct dial *d = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, d->type | SOCK_NONBLOCK, d->proto);

	if (fd < 0)
		return errno;
	return connect(fd, (void *)&ss, len) < 0 ? errno : 0;
}

static bool passes(int cgroup, const char *ip, uint16_t port, int type)
{
	struct dial d = { .ip = ip, .port = port, .type = type };

	return task_run(cgroup, W.ns.netns, try_fn, &d) != EPERM;
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t was = refused(rows[i].reason);

		if (passes(cage_fd, rows[i].ip, 443, SOCK_STREAM) != rows[i].pass) {
			print_error("%s: %s\n", rows[i].ip,
				    rows[i].pass ? "refused" : "let through");
			fail();
		}
		if (!rows[i].pass)
			assert_int_equal(refused(rows[i].reason), was + 1);
		/* UDP goes nowhere without a name for it. */
		assert_false(passes(cage_fd, rows[i].ip, 53, SOCK_DGRAM));
	}
}

static struct kernel_dial named(const char *ip, unsigned prefix, uint16_t lo, uint16_t hi,
				uint32_t flags)
{
	struct kernel_dial d = {
		.prefix = (uint8_t)prefix, .port_lo = lo, .port_hi = hi, .flags = flags
	};

	addr16(ip, d.addr);
	return d;
}

static int send_fn(void *arg)
{
	struct dial *d = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM, 0);

	return sendto(fd, "x", 1, 0, (void *)&ss, len) < 0 ? errno : 0;
}

static void test_named(void **state)
{
	struct kernel_dial d[] = {
		named("10.0.5.0", 96 + 24, 5432, 5440, 0),
		named("10.0.5.9", 128, 443, 443, 0),
		named("127.0.0.53", 128, 53, 53, EGRET_CAGE_UDP),
		named("198.51.100.77", 128, 443, 443, 0),
		named("fd00:1::", 32, 1, 65535, 0),
	};
	struct dial ns = { .ip = "127.0.0.53", .port = 53 };
	(void)state;

	need(kernel_cage_set(W.k, cage_id, d, ARRAY_SIZE(d)), "cage");
	assert_true(passes(cage_fd, "10.0.5.1", 5432, SOCK_STREAM));
	assert_true(passes(cage_fd, "::ffff:10.0.5.1", 5440, SOCK_STREAM));
	assert_false(passes(cage_fd, "10.0.5.1", 5431, SOCK_STREAM));
	assert_false(passes(cage_fd, "10.0.5.1", 5441, SOCK_STREAM));
	assert_false(passes(cage_fd, "10.0.6.1", 5432, SOCK_STREAM));
	assert_false(passes(cage_fd, "10.0.5.1", 5432, SOCK_DGRAM));
	/* The longer prefix adds, it does not hide the shorter. */
	assert_true(passes(cage_fd, "10.0.5.9", 443, SOCK_STREAM));
	assert_true(passes(cage_fd, "10.0.5.9", 5432, SOCK_STREAM));
	assert_false(passes(cage_fd, "10.0.5.8", 443, SOCK_STREAM));
	assert_true(passes(cage_fd, "127.0.0.53", 53, SOCK_STREAM));
	assert_true(passes(cage_fd, "127.0.0.53", 53, SOCK_DGRAM));
	assert_false(passes(cage_fd, "127.0.0.53", 54, SOCK_DGRAM));
	assert_int_not_equal(task_run(cage_fd, W.ns.netns, send_fn, &ns), EPERM);
	ns.port = 123;
	assert_int_equal(task_run(cage_fd, W.ns.netns, send_fn, &ns), EPERM);
	assert_true(passes(cage_fd, "198.51.100.77", 443, SOCK_STREAM));
	assert_false(passes(cage_fd, "198.51.100.77", 444, SOCK_STREAM));
	assert_true(passes(cage_fd, "fd00:1:2::3", 8080, SOCK_STREAM));
	/* For this proxy only. */
	assert_false(passes(other_fd, "10.0.5.1", 5432, SOCK_STREAM));
	assert_false(passes(other_fd, "127.0.0.53", 53, SOCK_DGRAM));
	/* A new list replaces the old one. */
	need(kernel_cage_set(W.k, cage_id, d + 1, 1), "cage");
	assert_true(passes(cage_fd, "10.0.5.9", 443, SOCK_STREAM));
	assert_false(passes(cage_fd, "10.0.5.9", 5432, SOCK_STREAM));
	assert_false(passes(cage_fd, "fd00:1:2::3", 8080, SOCK_STREAM));
	need(kernel_cage_del(W.k, cage_id), "del");
	assert_false(passes(cage_fd, "10.0.5.9", 443, SOCK_STREAM));
	/* Lists that cannot hold are refused whole. */
	d[0].port_hi = 0;
	assert_int_equal(kernel_cage_set(W.k, cage_id, d, 2), -EINVAL);
	assert_false(passes(cage_fd, "10.0.5.9", 443, SOCK_STREAM));
}

static int kind_fn(void *arg)
{
	const int *k = arg;

	return socket(k[0], k[1], k[2]) < 0 ? errno : 0;
}

static int bind_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of(arg, 0, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);

	return bind(fd, (void *)&ss, len) < 0 ? errno : 0;
}

static void test_sockets(void **state)
{
	int kinds[][3] = {
		{ AF_INET, SOCK_RAW, IPPROTO_ICMP }, { AF_INET6, SOCK_RAW, IPPROTO_TCP },
		{ AF_INET, SOCK_STREAM, 262 },	     { AF_INET, SOCK_DGRAM, 0 },
		{ AF_INET6, SOCK_STREAM, 0 },
	};
	(void)state;

	assert_int_equal(task_run(cage_fd, W.ns.netns, kind_fn, kinds[0]), EPERM);
	assert_int_equal(task_run(cage_fd, W.ns.netns, kind_fn, kinds[1]), EPERM);
	assert_int_not_equal(task_run(cage_fd, W.ns.netns, kind_fn, kinds[2]), 0);
	assert_int_equal(task_run(cage_fd, W.ns.netns, kind_fn, kinds[3]), 0);
	assert_int_equal(task_run(cage_fd, W.ns.netns, kind_fn, kinds[4]), 0);
	assert_int_equal(task_run(cage_fd, W.ns.netns, bind_fn, (void *)"127.0.0.1"), EPERM);
	assert_int_equal(task_run(cage_fd, W.ns.netns, bind_fn, (void *)"::"), EPERM);
}

/* Ranges of the configuration: closed also inside what is public, in every form, but not to a proxy
 * whose own list names them. */
static void test_closed(void **state)
{
	struct kernel_dial closed[] = { named("198.51.100.128", 96 + 25, 1, 65535, 0),
					named("2001:db8:5::", 48, 1, 65535, 0) };
	struct kernel_dial own[] = { named("198.51.100.130", 128, 443, 443, 0) };
	(void)state;

	assert_true(passes(cage_fd, "198.51.100.130", 443, SOCK_STREAM));
	assert_true(passes(cage_fd, "2001:db8:5::9", 443, SOCK_STREAM));
	need(kernel_cage_close(W.k, closed, 2), "close");
	assert_false(passes(cage_fd, "198.51.100.130", 443, SOCK_STREAM));
	assert_false(passes(cage_fd, "::ffff:198.51.100.130", 443, SOCK_STREAM));
	assert_false(passes(cage_fd, "64:ff9b::198.51.100.130", 443, SOCK_STREAM));
	assert_false(passes(other_fd, "2001:db8:5::9", 80, SOCK_STREAM));
	assert_true(passes(cage_fd, "198.51.100.1", 443, SOCK_STREAM));
	assert_true(passes(cage_fd, "2001:db8:6::9", 443, SOCK_STREAM));
	need(kernel_cage_set(W.k, cage_id, own, 1), "cage");
	assert_true(passes(cage_fd, "198.51.100.130", 443, SOCK_STREAM));
	assert_false(passes(cage_fd, "198.51.100.130", 80, SOCK_STREAM));
	assert_false(passes(other_fd, "198.51.100.130", 443, SOCK_STREAM));
	need(kernel_cage_del(W.k, cage_id), "del");
	assert_false(passes(cage_fd, "198.51.100.130", 443, SOCK_STREAM));
	need(kernel_cage_close(W.k, NULL, 0), "open");
	assert_true(passes(cage_fd, "198.51.100.130", 443, SOCK_STREAM));
	assert_int_equal(kernel_cage_set(W.k, EGRET_CAGE_ALL, own, 1), -EINVAL);
}

/* Addresses of the host come and go. */
static void test_host_addresses(void **state)
{
	uint8_t now[1][16];
	(void)state;

	addr16("198.51.100.78", now[0]);
	need(kernel_hostaddr_set(W.k, (const uint8_t(*)[16])now, 1), "set");
	assert_true(passes(cage_fd, "198.51.100.77", 443, SOCK_STREAM));
	assert_false(passes(cage_fd, "198.51.100.78", 443, SOCK_STREAM));
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_table),	       cmocka_unit_test(test_named),
		cmocka_unit_test(test_sockets),	       cmocka_unit_test(test_closed),
		cmocka_unit_test(test_host_addresses),
	};

	return cmocka_run_group_tests(all, cage_open, cage_close);
}

int main(void)
{
	return kept(tests);
}
