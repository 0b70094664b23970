/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound: the last wall (egret_egress, egret_ingress) and the wall at a link (egret_link) cost
 *at most 150 ns a packet each, by the kernel's own run-time statistics (what `sysctl
 * kernel.bpf_stats_enabled=1` switches on; held here by a descriptor, so it ends with the test).
 * One byte goes there and back many times, between members of a job on two veths and a bridge, from
 * the host to a published port, and over the job's own loopback. The statistics' own clock is in
 * the figure.
 *
 *	bench_packets [ROUND TRIPS]	prints TAP and the figures
 */
#include "kernel/town.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define BOUND_NS 150
#define ELSEWHERE "198.51.100.10" /* where no rule leads: turned to the listener */
#define WINDOW 16		  /* packets under way: a stream, not a ping */

static unsigned trips = 30000;

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

static int trips_fn(void *arg)
{
	const struct dial *d = arg;
	struct timeval tv = { .tv_sec = 5 };
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, d->type | SOCK_CLOEXEC, 0), one = 1;
	char b;

	alarm(300);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (void *)&ss, len) < 0)
		return errno;
	for (unsigned i = 0; i < trips; i += WINDOW) {
		for (int k = 0; k < WINDOW; k++)
			if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
				return errno;
		for (int k = 0; k < WINDOW; k++)
			if (recv(fd, &b, 1, 0) != 1)
				return errno ? errno : EPIPE;
	}
	return 0;
}

/* In the proxy's place: answers on what is turned to the job's listener. */
static int proxy_fn(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };
	char b;

	alarm(300);
	for (int one = 1;;) {
		int at = poll(&p, 1, -1) == 1 ? accept4(p.fd, NULL, NULL, SOCK_CLOEXEC) : -1;

		if (at < 0)
			return errno;
		setsockopt(at, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		while (recv(at, &b, 1, 0) == 1)
			if (send(at, "y", 1, MSG_NOSIGNAL) != 1)
				break;
		close(at);
	}
}

static void way(const char *what, int from, const char *to, int type, uint32_t flags)
{
	struct dial on = { .ip = "::", .port = 5432, .type = type };
	struct dial d = { .ip = to, .port = 5432, .type = type };
	struct runs was[PROGRAMS];
	pid_t pid;

	flags_a(flags);
	pid = strcmp(to, ELSEWHERE) == 0 ? task_start(-1, -1, proxy_fn, &H[A2].ns.tcp4)
					 : serve(A2, &on);
	for (int i = 0; i < PROGRAMS; i++)
		was[i] = runs_of(i);
	need(task_run(H[from].cgroup, H[from].netns, trips_fn, &d), what);
	for (int i = 0; i < PROGRAMS; i++) {
		struct runs now = runs_of(i);
		uint64_t n = now.n - was[i].n;
		double ns = n ? (double)(now.ns - was[i].ns) / (double)n : 0;

		if (n < trips / 2)
			continue;
		print_message("# %-32s %-14s %6.1f ns a run, %llu runs\n", what, names[i], ns,
			      (unsigned long long)n);
		if (ns > BOUND_NS)
			print_message("# over the bound of %d ns\n", BOUND_NS);
	}
	stop(pid);
}

static void test_packets(void **state)
{
	struct bpf_insn pass[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = -1 },
				   { .code = BPF_JMP | BPF_EXIT } };
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)H[A2].link, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, at, .handle = 1, .priority = 7);
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	(void)state;

	assert_true(stats >= 0);
	nothing = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "nothing", "GPL", pass, ARRAY_SIZE(pass),
				NULL);
	assert_true(nothing >= 0);
	at.prog_fd = nothing;
	walk_to(HOST);
	need(bpf_tc_attach(&hook, &at), "nothing");
	walk_to(HOUSES);
	way("TCP turned to the proxy", A2, ELSEWHERE, SOCK_STREAM, 0);
	way("TCP between members", A1, H[A2].four, SOCK_STREAM, EGRET_CG_SERVICES);
	way("TCP between members, IPv6", A1, H[A2].six, SOCK_STREAM, EGRET_CG_SERVICES);
	way("UDP between members", A1, H[A2].four, SOCK_DGRAM, EGRET_CG_SERVICES);
	way("TCP to a published port", HOST, H[A2].four, SOCK_STREAM, EGRET_CG_PUBLISHED);
	way("TCP with inbound: allow", STRANGER, H[A2].four, SOCK_STREAM, EGRET_CG_INBOUND);
	way("TCP on the job's loopback", A2, "127.0.0.1", SOCK_STREAM, 0);
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
	return kept(tests);
}
