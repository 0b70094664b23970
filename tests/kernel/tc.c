/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P1 at the host's side of a link: whatever sends it, what no socket of the job may send does not
 * come out of the job's veth. Each row first gets out with the wall away, seen at the stranger's
 * door or on the host's bridge, then not with it; and to show that the row is refused for what it
 * is, a frame that a member may be sent goes the same way right behind it, and arrives.
 */
#include "kernel/town.h"
#include "kernel/frames.h"
#include "egretd/trial.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <time.h>

#define MARK 4242 /* the port of the frame that must arrive */
#define PATIENCE_MS 3000

static int door[2]; /* taps: the stranger's eth0, the host's br0 */
static uint8_t mac[HOUSES][6];
static unsigned dev; /* A1's eth0 */

static unsigned told;
static struct egret_event last;

static int on_event(void *owner, void *p, size_t n)
{
	(void)owner;
	assert_int_equal(n, sizeof(last));
	memcpy(&last, p, sizeof(last));
	told += last.kind == EGRET_EV_REFUSED && last.reason == EGRET_R_LINK;
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

static int tap_open(int house, const char *name)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd;

	walk_to(house);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
	ll.sll_ifindex = (int)if_nametoindex(name);
	need(fd < 0 || bind(fd, (void *)&ll, sizeof(ll)) < 0 ? -errno : 0, "tap");
	walk_to(HOUSES);
	return fd;
}

static int only; /* an ethertype: the kernel says other things too, in its own time */

/* Frames of A1 at the doors since the last look; those to MARK by themselves. */
static void seen(unsigned *other, unsigned *marks)
{
	uint8_t b[2048];
	ssize_t n;

	for (int i = 0; i < 2; i++)
		while ((n = recv(door[i], b, sizeof(b), 0)) > 0) {
			bool mark;

			if (n < 14 || memcmp(b + 6, mac[A1], 6) != 0)
				continue;
			mark = n >= 38 && b[14] == 0x45 && (b[36] << 8 | b[37]) == MARK;
			if (mark)
				++*marks;
			else
				*other += !only || (b[12] << 8 | b[13]) == only;
		}
}

static struct frame good(int proto, const char *to, bool six)
{
	struct frame f = { .from = six ? H[A1].six : H[A1].four,
			   .to = to,
			   .proto = proto,
			   .sport = 1111,
			   .dport = 9 };

	/* Where the address says member, the frame says stranger: that is where it is seen. */
	memcpy(f.dest, mac[STRANGER], 6);
	memcpy(f.source, mac[A1], 6);
	return f;
}

struct row {
	const char *what;
	int (*way)(const struct row *r);
	struct frame f;
	int cgroup;  /* who does it; -1: of no job */
	bool silent; /* the kernel's own talk: counted only */
};

static int raw_way(const struct row *r)
{
	uint8_t p[FRAME_ROOM];

	return packet_send(SOCK_RAW, false, dev, p, frame_put(&r->f, p));
}

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

/* Joining a group needs no privilege; the kernel reports it on the link. */
static int join_way(const struct row *r)
{
	struct group_req q = { .gr_interface = dev };
	bool six = strchr(r->f.to, ':') != NULL;
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char group[64];

	/* Another one each time: the last is still being left. */
	snprintf(group, sizeof(group), "%s%u", r->f.to, r->f.dport);
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

static int row_fn(void *arg)
{
	const struct row *r = arg;

	return r->way(r);
}

static int mark_fn(void *arg)
{
	struct frame f = good(IPPROTO_UDP, H[A2].four, false);
	uint8_t p[FRAME_ROOM];

	(void)arg;
	f.dport = MARK;
	return packet_send(SOCK_RAW, false, dev, p, frame_put(&f, p));
}

static void wall(bool on)
{
	walk_to(HOST);
	need(on ? kernel_link_attach(W.k, H[A1].link) : kernel_link_detach(W.k, H[A1].link),
	     "wall");
	assert_int_equal(kernel_link_stands(W.k, H[A1].link), on);
	walk_to(HOUSES);
}

/* Does the row, waits until something of it was seen or refused; how much came out. */
static int row_try(struct row *r, uint64_t was, unsigned *ret)
{
	unsigned other = 0, marks = 0;
	int e;

	only = r->way == join_way ? (strchr(r->f.to, ':') ? ETH_P_IPV6 : ETH_P_IP) : 0;
	seen(&other, &marks);
	other = 0;
	e = task_run(r->cgroup, H[A1].netns, row_fn, r);
	if (e)
		return e;
	for (int i = 0; i < PATIENCE_MS && !other && refused(EGRET_R_LINK) == was; i++) {
		seen(&other, &marks);
		usleep(1000);
	}
	need(task_run(-1, H[A1].netns, mark_fn, NULL), "mark");
	seen(&other, &marks);
	only = 0;
	*ret = other;
	for (int i = 0; i < PATIENCE_MS && !marks; i++) {
		seen(&other, &marks);
		usleep(1000);
	}
	if (!marks)
		return ENOMSG;
	*ret = r->way == join_way ? *ret : other;
	return 0;
}

static void row_check(struct row *r)
{
	uint64_t was = refused(EGRET_R_LINK);
	unsigned out = 0;
	int e;

	wall(false);
	if (r->way == passed_way)
		post_socket();
	e = row_try(r, was, &out);
	if (e == EAFNOSUPPORT || e == EOPNOTSUPP || e == ENOPROTOOPT) {
		print_message("# skipped: %s: %s\n", r->what, strerror(e));
		wall(true);
		return;
	}
	if (e || !out) {
		print_error("%s: is not seen without the wall (%s)\n", r->what, strerror(e));
		fail();
	}
	wall(true);
	if (r->way == passed_way)
		post_socket();
	if (r->way == join_way)
		r->f.dport++;
	events();
	was = refused(EGRET_R_LINK);
	e = row_try(r, was, &out);
	if (e || out || refused(EGRET_R_LINK) == was) {
		print_error("%s: %u frames with the wall, %s\n", r->what, out, strerror(e));
		fail();
	}
	if ((events() == 0) != r->silent) {
		print_error("%s: %u events\n", r->what, told);
		fail();
	}
	if (!r->silent)
		assert_true(last.record.job == JOB_A);
}

static void sysctl_off(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "0", 1) != 1)
		print_message("# %s stays on\n", path);
	close(fd);
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

static void test_not_by_its_sockets(void **state)
{
	struct row rows[] = {
		{ .what = "a socket of others, passed in", .way = passed_way, .cgroup = W.a_fd },
		{ .what = "IGMP",
		  .way = join_way,
		  .cgroup = W.a_fd,
		  .silent = true,
		  .f.to = "239.1.2." },
		{ .what = "MLD",
		  .way = join_way,
		  .cgroup = W.a_fd,
		  .silent = true,
		  .f.to = "ff05::" },
		{ .what = "a reset of the kernel's",
		  .way = reset_way,
		  .cgroup = -1,
		  .silent = true },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
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

/* ---- who spoke first ---- */

/* A frame of TCP to the stranger's port: did it get there? */
static bool reaches(uint16_t sport, uint16_t dport, uint8_t flags)
{
	struct row r = { .what = "tcp", .way = raw_way, .cgroup = -1 };
	uint64_t was = refused(EGRET_R_LINK);
	unsigned out = 0;

	r.f = good(IPPROTO_TCP, H[STRANGER].four, false);
	r.f.sport = sport;
	r.f.dport = dport;
	r.f.flags = flags;
	need(row_try(&r, was, &out), "frame");
	assert_true((out == 0) == (refused(EGRET_R_LINK) > was));
	return out > 0;
}

static void test_answers(void **state)
{
	struct dial on = { .ip = "::", .port = 5432, .type = SOCK_STREAM };
	struct dial d = { .ip = H[A1].four, .port = 5432, .type = SOCK_STREAM };
	struct sockaddr_storage ss;
	pid_t pid;
	int fd;
	(void)state;

	flags_a(EGRET_CG_INBOUND);
	pid = serve(A1, &on);
	assert_int_equal(talk(STRANGER, H[A1].four, 5432, SOCK_STREAM), 0);
	assert_int_equal(talk(STRANGER, H[A1].six, 5432, SOCK_STREAM), 0);
	flags_a(EGRET_CG_PUBLISHED);
	assert_int_equal(talk(STRANGER, H[A1].four, 5432, SOCK_STREAM), ETIMEDOUT);
	assert_int_equal(talk(HOST, H[A1].four, 5432, SOCK_STREAM), 0);
	assert_int_equal(talk(HOST, H[A1].six, 5432, SOCK_STREAM), 0);
	flags_a(EGRET_CG_INBOUND);
	/* One that stays, from a port that is known. */
	walk_to(STRANGER);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	walk_to(HOUSES);
	assert_false(reaches(5432, 7777, 0x10));
	sa_of(H[STRANGER].four, 7777, &ss);
	need(bind(fd, (void *)&ss, sizeof(struct sockaddr_in)), "bind");
	sa_of(d.ip, d.port, &ss);
	need(connect(fd, (void *)&ss, sizeof(struct sockaddr_in)), "connect");
	assert_true(reaches(5432, 7777, 0x10));
	assert_false(reaches(5432, 7777, 0x02)); /* never a first word */
	assert_false(reaches(5432, 7778, 0x10));
	assert_false(reaches(5433, 7777, 0x10));
	/* Taken back: no answer any more. */
	flags_a(EGRET_CG_SERVICES);
	assert_false(reaches(5432, 7777, 0x10));
	flags_a(EGRET_CG_PUBLISHED); /* for the host alone */
	assert_false(reaches(5432, 7777, 0x10));
	flags_a(EGRET_CG_INBOUND);
	assert_true(reaches(5432, 7777, 0x10));
	/* Of a job that is over nobody is known. */
	need(kernel_job_forget(W.k, JOB_A), "forget");
	member_a(A1, true);
	member_a(A2, true);
	assert_false(reaches(5432, 7777, 0x10));
	for (int i = A1; i <= A2; i++)
		need(kernel_listener_set(W.k, JOB_A, H[i].ns.cookie, &H[i].ns.listener), "set");
	close(fd);
	stop(pid);
	flags_a(0);
}

/* ---- the place ---- */

static uint32_t program_at(uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)H[A1].link, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, at, .handle = handle, .priority = 1);
	int r;

	walk_to(HOST);
	r = bpf_tc_query(&hook, &at);
	walk_to(HOUSES);
	return r ? 0 : at.prog_id;
}

static bool mark_arrives(void)
{
	unsigned other = 0, marks = 0;

	seen(&other, &marks);
	marks = 0;
	need(task_run(-1, H[A1].netns, mark_fn, NULL), "mark");
	for (int i = 0; i < 100 && !marks; i++) {
		seen(&other, &marks);
		usleep(1000);
	}
	return marks > 0;
}

static void test_place(void **state)
{
	struct bpf_insn drop[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 2 },
				   { .code = BPF_JMP | BPF_EXIT } };
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)H[A1].link, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, theirs, .priority = 7, .handle = 1);
	struct kernel_where at = where(&W);
	uint32_t was = program_at(0x6567);
	uint64_t n = refused(EGRET_R_LINK);
	struct kernel *next = NULL;
	char why[256] = "";
	(void)state;

	/* Another egretd's program takes the place of the one before. */
	assert_true(was > 0);
	wall(true);
	assert_int_equal(program_at(0x6567), was);
	need(kernel_open(&at, &next, why, sizeof(why)), why);
	W.k = kernel_free(W.k);
	W.k = next;
	wall(true);
	assert_true(program_at(0x6567) != was && program_at(0x6567) > 0);
	assert_int_equal(program_at(1), 0);
	assert_true(mark_arrives());
	/* Filters of others behind it still run. */
	theirs.prog_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "theirs", "GPL", drop,
				       ARRAY_SIZE(drop), NULL);
	assert_true(theirs.prog_fd >= 0);
	walk_to(HOST);
	need(bpf_tc_attach(&hook, &theirs), "theirs");
	walk_to(HOUSES);
	assert_false(mark_arrives());
	theirs.prog_fd = 0;
	theirs.prog_id = theirs.flags = 0;
	walk_to(HOST);
	need(bpf_tc_detach(&hook, &theirs), "theirs");
	walk_to(HOUSES);
	assert_true(mark_arrives());
	/* No entry: nothing passes. */
	assert_int_equal(refused(EGRET_R_LINK), n);
	need(kernel_link_del(W.k, H[A1].link), "del");
	assert_false(mark_arrives());
	assert_true(refused(EGRET_R_LINK) > n);
	links_a(0);
	assert_true(mark_arrives());
	walk_to(HOST);
	need(kernel_link_del(W.k, 99999), "twice");
	need(kernel_link_detach(W.k, 99999), "no such link");
	assert_int_equal(kernel_link_attach(W.k, 99999), -ENODEV);
	walk_to(HOUSES);
}

/* The canary's: it stands, takes no time, and says so when what it sends does get through. */
static void test_trial(void **state)
{
	struct trial t = { .k = W.k };
	struct timespec a, b;
	char why[200] = "";
	uint8_t stranger[16];
	int64_t ms;
	(void)state;

	clock_gettime(CLOCK_MONOTONIC, &a);
	need(trial_tc(&t, why, sizeof(why)), why);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	print_message("# the trial took %d ms\n", (int)ms);
	addr16("198.51.100.2", stranger);
	need(kernel_member_set(W.k, TRIAL_JOB, stranger), "set");
	assert_int_equal(trial_tc(&t, why, sizeof(why)), -EPERM);
	assert_non_null(strstr(why, "went through"));
	need(kernel_member_del(W.k, TRIAL_JOB, stranger), "del");
	need(trial_tc(&t, why, sizeof(why)), why);
}

static int tc_open(void **state)
{
	char text[18];
	int r;

	town_by_engine = true;
	r = town_open(state);
	if (r)
		return r;
	for (int i = 0; i < HOUSES; i++)
		mac_of(i, mac[i], text);
	/* Both drop odd headers on their own. */
	ip(H[HOST].netns, "link set br0 type bridge mcast_snooping 0");
	walk_to(HOST);
	sysctl_off("/proc/sys/net/bridge/bridge-nf-call-iptables");
	sysctl_off("/proc/sys/net/bridge/bridge-nf-call-ip6tables");
	walk_to(A1);
	dev = if_nametoindex("eth0");
	walk_to(HOUSES);
	door[0] = tap_open(STRANGER, "eth0");
	door[1] = tap_open(HOST, "br0");
	return 0;
}

static int tc_close(void **state)
{
	close(door[0]);
	close(door[1]);
	return town_close(state);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_ways),	cmocka_unit_test(test_not_by_its_sockets),
		cmocka_unit_test(test_frames),	cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_answers), cmocka_unit_test(test_place),
		cmocka_unit_test(test_trial),
	};

	return cmocka_run_group_tests(all, tc_open, tc_close);
}

int main(void)
{
	return kept(tests);
}
