/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P1 at the host's side of a link: whatever sends it, what no socket of the job may send does not
 * come out of the job's veth. Each row first gets out with the wall away, seen at the stranger's
 * door or on the host's bridge, then not with it; and to show that the row is refused for what it
 * is, a frame that a member may be sent goes the same way right behind it, and arrives.
 */
#include "kernel/rows.h"

static int dgram_way(const struct row *r)
{
	uint8_t p[FRAME_ROOM];

	return packet_send(SOCK_DGRAM, false, dev, p, frame_put(&r->f, p));
}

static int bypass_way(const struct row *r)
{
	uint8_t p[FRAME_ROOM];

	return packet_send(SOCK_RAW, true, dev, p, frame_put(&r->f, p));
}

static int xdp_way(const struct row *r)
{
	uint8_t p[FRAME_ROOM];

	return xdp_send(dev, p, frame_put(&r->f, p));
}

/* A socket of others, which came by SCM_RIGHTS (post), used by a task of the job. */
static int post = -1;

static void post_socket(void)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)"s", 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	struct sockaddr_storage to;
	socklen_t len = sa_of(H[STRANGER].four, 9, &to);
	int pair[2], fd;

	walk_to(A1);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	need(connect(fd, (void *)&to, len), "connect");
	walk_to(HOUSES);
	need(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "pair");
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	assert_int_equal(sendmsg(pair[0], &m, 0), 1);
	close(fd);
	close(pair[0]);
	post = pair[1];
}

static int passed_way(const struct row *r)
{
	char room[CMSG_SPACE(sizeof(int))], b;
	struct iovec iov = { &b, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *h;
	int fd;

	(void)r;
	if (recvmsg(post, &m, 0) != 1 || !(h = CMSG_FIRSTHDR(&m)))
		return errno;
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return send(fd, "x", 1, 0) == 1 ? 0 : errno;
}

/* A group joined by a socket of others (the job's own may not): the kernel reports it on the link.
 */
static int join_way(const struct row *r)
{
	struct group_req q = { .gr_interface = dev };
	bool six = strchr(r->f.to, ':') != NULL;
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char group[64];

	/* Another one each time: the last is still being left. */
	snprintf(group, sizeof(group), "%s%u", r->f.to, 1u + r->again);
	sa_of(group, 0, &q.gr_group);

	if (setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, MCAST_JOIN_GROUP, &q, sizeof(q)))
		return errno;
	return 0;
}

/* A stranger knocks at a closed port: the kernel says so. */
static int reset_way(const struct row *r)
{
	struct dial d = { .ip = H[A1].four, .port = 6, .type = SOCK_STREAM };
	int e;

	(void)r;
	need(setns(H[STRANGER].netns, CLONE_NEWNET), "setns");
	e = talk_fn(&d);
	return e == ECONNREFUSED || e == ETIMEDOUT ? 0 : e;
}

static int arp_way(const struct row *r)
{
	uint8_t p[60] = { 0 };

	memset(p, 0xff, 6);
	memcpy(p + 6, mac[A1], 6);
	put16(p + 12, ETH_P_ARP);
	memcpy(p + 14, (uint8_t[]){ 0, 1, 8, 0, 6, 4, 0, 1 }, 8);
	memcpy(p + 22, mac[A1], 6);
	inet_pton(AF_INET, r->f.from, p + 28);
	inet_pton(AF_INET, r->f.to, p + 38);
	if (r->f.flags == 1)
		memcpy(p + 32, "carry", 5);
	return packet_send(SOCK_RAW, false, dev, p, r->f.flags == 2 ? 60 : 42);
}

/* A solicitation; flags: its hop limit, sport: the last byte of the group it goes to. */
static int nd_way(const struct row *r)
{
	uint8_t p[L3 + 40 + 24] = { 0 };

	memcpy(p, (uint8_t[]){ 0x33, 0x33, 0xff, 0, 0, (uint8_t)r->f.sport }, 6);
	memcpy(p + 6, mac[A1], 6);
	put16(p + 12, ETH_P_IPV6);
	p[L3] = 0x60;
	p[L3 + 5] = 24;
	p[L3 + 6] = IPPROTO_ICMPV6;
	p[L3 + 7] = r->f.flags;
	inet_pton(AF_INET6, r->f.from, p + L3 + 8);
	inet_pton(AF_INET6, "ff02::1:ff00:0", p + L3 + 24);
	p[L3 + 39] = (uint8_t)r->f.sport;
	p[L3 + 40] = 135;
	inet_pton(AF_INET6, r->f.to, p + L3 + 48);
	return packet_send(SOCK_RAW, false, dev, p, sizeof(p));
}

/* ---- ways to send ---- */

static void test_ways(void **state)
{
	struct row rows[] = {
		{ .what = "packet socket", .way = raw_way },
		{ .what = "packet socket, datagrams", .way = dgram_way },
		{ .what = "packet socket past the queue", .way = bypass_way },
		{ .what = "AF_XDP", .way = xdp_way },
	};
	uint8_t want[16];
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rows[i].f = good(IPPROTO_UDP, H[STRANGER].four, false);
		rows[i].cgroup = -1;
		row_check(&rows[i]);
	}
	addr16(H[STRANGER].four, want);
	assert_memory_equal(last.record.addr, want, 16);
	assert_true(last.record.port == 9 && last.record.proto == IPPROTO_UDP);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rows[i].f = good(IPPROTO_TCP, H[STRANGER].six, true);
		rows[i].f.flags = 2;
		row_check(&rows[i]);
	}
}

static int packet_fn(void *arg)
{
	(void)arg;
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0) < 0 ? errno : 0;
}

static void test_not_by_its_sockets(void **state)
{
	struct row rows[] = {
		{ .what = "a socket of others, passed in",
		  .way = passed_way,
		  .first = post_socket,
		  .cgroup = W.a_fd },
		{ .what = "IGMP",
		  .way = join_way,
		  .only = ETH_P_IP,
		  .cgroup = -1,
		  .silent = true,
		  .f.to = "239.1.2." },
		{ .what = "MLD",
		  .way = join_way,
		  .only = ETH_P_IPV6,
		  .cgroup = -1,
		  .silent = true,
		  .f.to = "ff05::" },
		{ .what = "a reset of the kernel's",
		  .way = reset_way,
		  .cgroup = -1,
		  .silent = true },
	};
	(void)state;

	/* Where LSM programs bite, the socket is refused before it could send. */
	for (size_t i = task_run(W.a_fd, W.ns.netns, packet_fn, NULL) == EPERM ? 1 : 0;
	     i < ARRAY_SIZE(rows); i++)
		row_check(&rows[i]);
}

/* ---- frames ---- */

static void test_frames(void **state)
{
	static const struct {
		const char *what;
		enum twist twist;
		int families; /* 4, 6, 10: both */
	} twists[] = {
		{ "a VLAN tag", VLAN, 10 },
		{ "IP options", IHL_6, 4 },
		{ "a header that is too short", IHL_4, 4 },
		{ "a first fragment", MORE, 4 },
		{ "a later fragment", LATER, 4 },
		{ "bytes behind the packet", TAIL, 10 },
		{ "a packet cut short", SHORT, 4 },
		{ "hop-by-hop options", HOPBYHOP, 6 },
		{ "a routing header", ROUTING, 6 },
		{ "a fragment header", FRAGMENT, 6 },
		{ "destination options", DESTOPTS, 6 },
		{ "a UDP length of its own", UDP_LONGER, 10 },
		{ "another ethertype", TYPE, 4 },
		{ "IPv6 that says it is IPv4", VERSION, 6 },
		{ "to all stations", FLOOD, 10 },
		{ "UDP-Lite", PROTO, 4 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(twists); i++)
		for (int family = 4; family <= 6; family += 2) {
			bool six = family == 6;
			struct row r = { .what = twists[i].what, .way = raw_way, .cgroup = -1 };

			if (twists[i].families != family && twists[i].families != 10)
				continue;
			r.f = good(IPPROTO_UDP, six ? H[A2].six : H[A2].four, six);
			r.f.twist = twists[i].twist;
			r.silent = r.f.twist == TYPE || r.f.twist == HOPBYHOP;
			row_check(&r);
		}
}

static void test_addresses(void **state)
{
	struct row rows[] = {
		{ .what = "a forged source", .f.from = "10.77.0.200", .f.to = H[A2].four },
		{ .what = "a forged source (6)", .f.from = "2001:db8:77::200", .f.to = H[A2].six },
		{ .what = "the host's address as source",
		  .f.from = H[HOST].four,
		  .f.to = H[A2].four },
		{ .what = "a member of another job", .f.from = H[A1].four, .f.to = H[B1].four },
		{ .what = "the host", .f.from = H[A1].four, .f.to = H[HOST].four },
		{ .what = "TCP with a short header", .f.from = H[A1].four, .f.to = H[A2].four },
		{ .what = "ARP for a stranger",
		  .way = arp_way,
		  .f.from = H[A1].four,
		  .f.to = H[STRANGER].four },
		{ .what = "ARP of a forged sender",
		  .way = arp_way,
		  .f.from = "10.77.0.200",
		  .f.to = H[A2].four },
		{ .what = "ARP that carries something",
		  .way = arp_way,
		  .f.from = H[A1].four,
		  .f.to = H[A2].four,
		  .f.flags = 1 },
		{ .what = "ARP with bytes behind it",
		  .way = arp_way,
		  .f.from = H[A1].four,
		  .f.to = H[A2].four,
		  .f.flags = 2 },
		{ .what = "ND for a stranger",
		  .way = nd_way,
		  .f.from = H[A1].six,
		  .f.to = H[STRANGER].six,
		  .f.flags = 255,
		  .f.sport = 9 },
		{ .what = "ND that was routed",
		  .way = nd_way,
		  .f.from = H[A1].six,
		  .f.to = H[A2].six,
		  .f.flags = 64,
		  .f.sport = 3 },
		{ .what = "ND to another group than its target's",
		  .way = nd_way,
		  .f.from = H[A1].six,
		  .f.to = H[A2].six,
		  .f.flags = 255,
		  .f.sport = 9 },
	};
	(void)state;

	links_a(0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct frame f = good(IPPROTO_UDP, rows[i].f.to, strchr(rows[i].f.to, ':') != NULL);

		rows[i].cgroup = -1;
		rows[i].silent = rows[i].way != NULL;
		if (rows[i].way) {
			row_check(&rows[i]);
			continue;
		}
		rows[i].way = raw_way;
		f.from = rows[i].f.from;
		if (!strncmp(rows[i].what, "TCP", 3)) {
			f.proto = IPPROTO_TCP;
			f.twist = TCP_OFFSET;
		}
		rows[i].f = f;
		row_check(&rows[i]);
	}
}

/* What is let pass of the job's proxy opens nothing to others. */
static void test_where_the_proxy_dials(void **state)
{
	links_a(EGRET_CG_DIALS);
	test_ways(state);
	test_not_by_its_sockets(state);
	test_frames(state);
	links_a(0);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_not_by_its_sockets),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_where_the_proxy_dials),
	};

	return cmocka_run_group_tests(all, tc_open, tc_close);
}

int main(void)
{
	return kept(tests);
}
