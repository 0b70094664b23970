/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound: the last wall (egret_egress, egret_ingress) and the wall at a link (egret_link) cost
 * at most 150 ns a packet each, by the kernel's own run-time statistics (what `sysctl
 * kernel.bpf_stats_enabled=1` switches on; held here by a descriptor, so it ends with the test).
 * One byte goes there and back many times, between members of a job on two veths and a bridge, from
 * the host to a published port, and over the job's own loopback. The statistics' own clock is in
 * the figure: `nothing` is a program that answers at once, behind egret's own. One at a time, a
 * packet comes to CPUs that slept meanwhile and have forgotten all.
 *
 *	bench_packets [ROUND TRIPS [PART OF A NAME]]	prints TAP and the figures
 */
#include "kernel/direct.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define BOUND_NS 150
#define ELSEWHERE "198.51.100.10" /* where no rule leads: turned to the listener */
#define ASKED "198.51.100.53"	  /* a nameserver, which is never asked */
#define OTHERS 0x0a4d0014u	  /* 10.77.0.20 and those after it */
#define NOTHERS 40
#define PORT 5432
#define WINDOW 16 /* packets under way: a stream, not a ping */

static unsigned trips = 30000;
static const char *only;

enum { EGRESS, INGRESS, LINK, NOTHING, PROGRAMS };
static const char *const names[] = { "egret_egress", "egret_ingress", "egret_link", "nothing" };
static int nothing = -1;

struct runs {
	uint64_t ns, n;
};

static uint32_t id_of(int which)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)H[A1].link, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, at, .handle = 0x6567, .priority = 1);
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	char path[128];
	int fd;

	if (which == LINK) {
		walk_to(HOST);
		need(bpf_tc_query(&hook, &at), "tc");
		walk_to(HOUSES);
		return at.prog_id;
	}
	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/link_%s", W.instance, EGRET_ABI,
		 names[which]);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	need(bpf_obj_get_info_by_fd(fd, &info, &len), "link");
	close(fd);
	return info.prog_id;
}

static struct runs runs_of(int which)
{
	struct bpf_prog_info info = { 0 };
	int fd = which == NOTHING ? dup(nothing) : bpf_prog_get_fd_by_id(id_of(which));
	__u32 len = sizeof(info);

	assert_true(fd >= 0);
	need(bpf_obj_get_info_by_fd(fd, &info, &len), "program");
	close(fd);
	return (struct runs){ info.run_time_ns, info.run_cnt };
}

struct way {
	const char *what;
	int from;
	const char *to;
	int type;
	uint32_t flags;
	bool one_way; /* nobody answers */
	int peers;    /* that one socket sends to in turns; 0: it is connected */
	bool anew;    /* each by a new socket */
	bool ping;    /* one at a time */
};

static int open_one(const struct way *w, const struct sockaddr_storage *to, socklen_t len)
{
	int fd = socket(to->ss_family, w->type | SOCK_CLOEXEC, 0), one = 1;
	struct timeval tv = { .tv_sec = 5 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd < 0 || (!w->peers && connect(fd, (const void *)to, len) < 0) ? -1 : fd;
}

static int trips_fn(void *arg)
{
	const struct way *w = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(w->to, strcmp(w->to, ASKED) == 0 ? 53 : PORT, &ss);
	struct sockaddr_in *in = (void *)&ss;
	unsigned window = w->ping ? 1 : WINDOW;
	int fds[WINDOW];
	char b;

	alarm(300);
	for (unsigned i = 0; i < trips; i += window) {
		for (unsigned k = 0; k < window; k++) {
			if (w->anew || i + k == 0)
				fds[k] = open_one(w, &ss, len);
			else
				fds[k] = fds[0];
			if (fds[k] < 0)
				return errno;
			if (w->peers)
				in->sin_addr.s_addr = htonl(OTHERS + (i + k) % (unsigned)w->peers);
			if (sendto(fds[k], "x", 1, MSG_NOSIGNAL, w->peers ? (void *)&ss : NULL,
				   w->peers ? len : 0) != 1)
				return errno;
		}
		for (unsigned k = 0; k < window; k++) {
			if (!w->one_way && recv(fds[k], &b, 1, 0) != 1)
				return errno ? errno : EPIPE;
			if (w->anew)
				close(fds[k]);
		}
	}
	return 0;
}

/* In the proxy's place: answers on what is turned to the job's listener or resolver. */
static int proxy_fn(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };
	struct sockaddr_storage from;
	socklen_t len;
	char b;

	alarm(300);
	for (int one = 1;;) {
		int at = poll(&p, 1, -1) == 1 ? accept4(p.fd, NULL, NULL, SOCK_CLOEXEC) : -1;

		len = sizeof(from);
		if (at < 0 && errno == EOPNOTSUPP &&
		    recvfrom(p.fd, &b, 1, 0, (void *)&from, &len) == 1 &&
		    sendto(p.fd, "y", 1, 0, (void *)&from, len) == 1)
			continue;
		if (at < 0)
			return errno;
		setsockopt(at, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		while (recv(at, &b, 1, 0) == 1)
			if (send(at, "y", 1, MSG_NOSIGNAL) != 1)
				break;
		close(at);
	}
}

/* Hears and says nothing. */
static int sink_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of("::", PORT, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char b;
	(void)arg;

	alarm(300);
	if (fd < 0 || bind(fd, (void *)&ss, len) < 0)
		return errno;
	server->ready = 1;
	while (recv(fd, &b, 1, 0) == 1)
		;
	return errno;
}

static pid_t sink(int house)
{
	pid_t pid;

	server->ready = 0;
	pid = task_start(H[house].cgroup, H[house].netns, sink_fn, NULL);
	for (int i = 0; i < 5000 && !server->ready; i++)
		usleep(1000);
	assert_int_equal(server->ready, 1);
	return pid;
}

static pid_t answerer(const struct way *w)
{
	static struct dial on = { .port = PORT };

	on.type = w->type;
	on.ip = w->peers ? "0.0.0.0" : "::";
	if (w->one_way)
		return sink(A2);
	if (strcmp(w->to, ELSEWHERE) == 0)
		return task_start(-1, -1, proxy_fn, &H[A2].ns.tcp4);
	if (strcmp(w->to, ASKED) == 0)
		return task_start(-1, -1, proxy_fn, &H[A2].ns.dns_udp4);
	return serve(w->flags & EGRET_CG_DIRECT ? STRANGER : A2, &on);
}

static void way(const struct way *w)
{
	struct runs was[PROGRAMS];
	struct way mine = *w;
	pid_t pid;

	flags_a(w->flags);
	if (w->flags & EGRET_CG_DIRECT)
		has_policy(w->flags, POLICY);
	pid = answerer(w);
	for (int i = 0; i < PROGRAMS; i++)
		was[i] = runs_of(i);
	need(task_run(H[w->from].cgroup, H[w->from].netns, trips_fn, &mine), w->what);
	for (int i = 0; i < PROGRAMS; i++) {
		struct runs now = runs_of(i);
		uint64_t n = now.n - was[i].n;
		double ns = n ? (double)(now.ns - was[i].ns) / (double)n : 0;

		if (n < trips / 2)
			continue;
		print_message("# %-32s %-14s %6.1f ns a run, %llu runs\n", w->what, names[i], ns,
			      (unsigned long long)n);
		if (ns > BOUND_NS)
			print_message("# over the bound of %d ns\n", BOUND_NS);
	}
	stop(pid);
}

#define TCP SOCK_STREAM
#define UDP SOCK_DGRAM
static const struct way ways[] = {
	{ "TCP turned to the proxy", A2, ELSEWHERE, .type = TCP },
	{ "TCP between members", A1, "10.77.0.3", .type = TCP, .flags = EGRET_CG_SERVICES },
	{ "TCP between members, IPv6", A1, "2001:db8:77::3", .type = TCP,
	  .flags = EGRET_CG_SERVICES },
	{ "TCP to a published port", HOST, "10.77.0.3", .type = TCP, .flags = EGRET_CG_PUBLISHED },
	{ "TCP with inbound: allow", STRANGER, "10.77.0.3", .type = TCP,
	  .flags = EGRET_CG_INBOUND },
	{ "TCP by a rule `direct`", A1, FAR4, .type = TCP, .flags = EGRET_CG_DIRECT },
	{ "TCP on the job's loopback", A2, "127.0.0.1", .type = TCP },
	{ "UDP turned to the resolver", A2, ASKED, .type = UDP },
	{ "UDP to it, a socket each", A2, ASKED, .type = UDP, .anew = true },
	{ "UDP to it, one at a time", A2, ASKED, .type = UDP, .ping = true },
	{ "UDP to it, both", A2, ASKED, .type = UDP, .anew = true, .ping = true },
	{ "TCP turned, one at a time", A2, ELSEWHERE, .type = TCP, .ping = true },
	{ "TCP on loopback, one at a time", A2, "127.0.0.1", .type = TCP, .ping = true },
	{ "UDP between members", A1, "10.77.0.3", .type = UDP, .flags = EGRET_CG_SERVICES },
	{ "UDP between members, IPv6", A1, "2001:db8:77::3", .type = UDP,
	  .flags = EGRET_CG_SERVICES },
	{ "UDP to three members in turns", A1, "10.77.0.3", .type = UDP, .flags = EGRET_CG_SERVICES,
	  .peers = 3 },
	{ "UDP to eight members in turns", A1, "10.77.0.3", .type = UDP, .flags = EGRET_CG_SERVICES,
	  .peers = 8 },
	{ "UDP to forty members in turns", A1, "10.77.0.3", .type = UDP, .flags = EGRET_CG_SERVICES,
	  .peers = 40 },
	{ "UDP with inbound: allow, heard", STRANGER, "10.77.0.3", .type = UDP,
	  .flags = EGRET_CG_INBOUND, .one_way = true },
	{ "UDP by a rule `direct`", A1, FAR4, .type = UDP, .flags = EGRET_CG_DIRECT },
	{ "UDP on the job's loopback", A2, "127.0.0.1", .type = UDP },
};

/* More addresses of the second house, all of them members. */
static void more_members(void)
{
	for (unsigned i = 0; i < NOTHERS; i++) {
		struct in_addr in = { .s_addr = htonl(OTHERS + i) };
		char text[16];
		uint8_t addr[16];

		assert_non_null(inet_ntop(AF_INET, &in, text, sizeof(text)));
		ip(H[A2].netns, "addr add %s/24 dev eth0", text);
		addr16(text, addr);
		need(kernel_member_set(W.k, JOB_A, addr), "member");
	}
}

static void test_packets(void **state)
{
	struct bpf_insn pass[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
				   { .code = BPF_JMP | BPF_EXIT } };
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME), links[2];
	(void)state;

	assert_true(stats >= 0);
	nothing = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "nothing", "GPL", pass, ARRAY_SIZE(pass),
				NULL);
	assert_true(nothing >= 0);
	links[0] = bpf_link_create(nothing, W.cg.jobs, BPF_CGROUP_INET_EGRESS, NULL);
	links[1] = bpf_link_create(nothing, W.cg.jobs, BPF_CGROUP_INET_INGRESS, NULL);
	assert_true(links[0] >= 0 && links[1] >= 0);
	more_members();
	RULES(POLICY, rule(FAR4, PORT, PORT, false), rule(FAR4, PORT, PORT, true));
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (!only || strstr(ways[i].what, only))
			way(&ways[i]);
	close(links[0]);
	close(links[1]);
	close(nothing);
	close(stats);
}

static int tests(void)
{
	const struct CMUnitTest all[] = { cmocka_unit_test(test_packets) };

	return cmocka_run_group_tests(all, town_open, town_close);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		trips = (unsigned)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		only = argv[2];
	return kept(tests);
}
