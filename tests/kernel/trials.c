/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canary's trials: each passes with the programs, and says so when one of them is away - a row
 * for each program whose wall is tried. Nothing is left behind, and nobody is told.
 */
#include "kernel/harness.h"
#include "egretd/trial.h"
#include "egretd/walls.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/stat.h>

static struct walls_said round_of(void)
{
	struct walls_said said = { 0 };
	pid_t pid;
	int fd;

	need(walls_fork(W.k, &W.cg, &pid, &fd), "fork");
	walls_take(pid, fd, 20000, &said);
	return said;
}

/* The others may be unproven: what leads to their act is away. */
static void stands(const struct walls_said *s, enum wall but)
{
	for (int i = 0; i < WALLS_REQUIRED; i++) {
		if (i == (int)but || s->r[i] == 0 || (but != WALLS && s->r[i] == -EIO))
			continue;
		print_error("%s: %s (%d)\n", wall_name((enum wall)i), s->why[i], s->r[i]);
		fail();
	}
}

static void test_all_stand(void **state)
{
	struct walls_said s = round_of();
	(void)state;

	stands(&s, WALLS);
}

static const struct {
	const char *program;
	enum wall wall;
} rows[] = {
	{ "egret_connect4", WALL_TURN },  { "egret_connect6", WALL_TURN },
	{ "egret_sendmsg4", WALL_TURN },  { "egret_sendmsg6", WALL_TURN },
	{ "egret_sock", WALL_SOCKETS },	  { "egret_bind4", WALL_SOCKETS },
	{ "egret_bind6", WALL_SOCKETS },  { "egret_option", WALL_SOCKETS },
	{ "egret_egress", WALL_PACKETS }, { "egret_ingress", WALL_PACKETS },
	{ "egret_cage_c4", WALL_CAGE },	  { "egret_cage_c6", WALL_CAGE },
	{ "egret_cage_s4", WALL_CAGE },	  { "egret_cage_s6", WALL_CAGE },
	{ "egret_cage_b4", WALL_CAGE },	  { "egret_cage_b6", WALL_CAGE },
	{ "egret_cage_sock", WALL_CAGE },
};

static int count_event(void *owner, void *data, size_t size)
{
	const struct egret_event *e = data;

	assert_true(size >= sizeof(*e));
	if ((*(unsigned *)owner)++ == 0)
		print_error("told: kind %u reason %u job %llu proto %u port %u pid %u %.16s\n",
			    e->kind, e->reason, (unsigned long long)e->record.job, e->record.proto,
			    e->record.port, e->record.pid, e->record.comm);
	return 0;
}

/* What has been counted and told. */
static struct {
	struct ring_buffer *ring;
	unsigned events;
	uint64_t refused[EGRET_R_MAX], lost;
} news;

static void news_begin(void)
{
	int fd = -1;

	if (!news.ring) {
		need(kernel_events_fd(W.k, &fd), "events");
		news.ring = ring_buffer__new(fd, count_event, &news.events, NULL);
		assert_non_null(news.ring);
		close(fd);
	}
	ring_buffer__consume(news.ring);
	news.events = 0;
	need(kernel_refused(W.k, news.refused), "counters");
	need(kernel_lost(W.k, &news.lost), "lost");
}

static void news_none(void)
{
	uint64_t after[EGRET_R_MAX], lost = 0;

	need(kernel_refused(W.k, after), "counters");
	need(kernel_lost(W.k, &lost), "lost");
	ring_buffer__consume(news.ring);
	for (int i = 0; i < EGRET_R_MAX; i++)
		if (news.refused[i] != after[i])
			print_error("reason %d was counted: %llu, then %llu\n", i,
				    (unsigned long long)news.refused[i],
				    (unsigned long long)after[i]);
	assert_memory_equal(news.refused, after, sizeof(after));
	assert_int_equal(lost, news.lost);
	assert_int_equal(news.events, 0);
}

static void test_one_is_away(void **state)
{
	struct kernel_where at = where(&W);
	char path[160], why[256] = "";
	(void)state;

	news_begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct walls_said s;
		struct kernel *next = NULL;
		bool by_lsm;
		int fd;

		if (slow() && i > 0 && rows[i].wall == rows[i - 1].wall)
			continue;
		snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/link_%s", W.instance,
			 EGRET_ABI, rows[i].program);
		fd = bpf_obj_get(path);
		assert_true(fd >= 0);
		need(bpf_link_detach(fd), path);
		close(fd);
		s = round_of();
		/* An LSM program that bites refuses the same sockets: then the wall stands. */
		by_lsm = strcmp(rows[i].program, "egret_sock") == 0 && !kernel_no_guard(W.k) &&
			 s.r[WALL_SOCKETS] == 0;
		if (s.r[rows[i].wall] != (by_lsm ? 0 : -EPERM)) {
			print_error("without %s: %s says %d %s\n", rows[i].program,
				    wall_name(rows[i].wall), s.r[rows[i].wall],
				    s.why[rows[i].wall]);
			fail();
		}
		assert_true(by_lsm || strstr(s.why[rows[i].wall], "canary"));
		stands(&s, rows[i].wall);
		need(kernel_open(&at, &next, why, sizeof(why)), why);
		W.k = kernel_free(W.k);
		W.k = next;
	}
	/* Nor later: connections of the canary that were made in these rounds do not linger. */
	usleep(700000);
	news_none();
	test_all_stand(NULL);
}

static void count_one(void *owner, uint64_t cgroup, const struct egret_cgroup *c)
{
	unsigned *n = owner;

	(void)cgroup;
	if (c->job == TRIAL_JOB || (c->flags & EGRET_CG_TRIAL))
		(*n)++;
}

/* Connects to a member, and sends when it is out of the table. */
static int late_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of(NETNS_ADDR4, 9, &ss), elen = sizeof(int);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;
	(void)arg;

	if (connect(fd, (void *)&ss, len) < 0 || send(fd, "x", 1, 0) != 1)
		return EPROTO;
	said->n = 1;
	while (((volatile struct said *)said)->n == 1)
		usleep(1000);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &elen); /* nobody listens there */
	return send(fd, "x", 1, 0) == 1 ? 0 : errno;
}

static int late_as(uint64_t job, uint32_t flags)
{
	uint8_t addr[16];
	pid_t pid;

	addr16(NETNS_ADDR4, addr);
	need(kernel_listener_set(W.k, job, W.ns.cookie, &W.ns.listener), "listener");
	need(kernel_member_set(W.k, job, addr), "member");
	need(kernel_cgroup_set(W.k, W.a, job,
			       EGRET_CG_READY | EGRET_CG_HOST_NET | EGRET_CG_SERVICES | flags),
	     "set");
	pid = task_start(W.a_fd, W.ns.netns, late_fn, NULL);
	for (int i = 0; i < 10000 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	assert_int_equal(said->n, 1);
	need(kernel_cgroup_del(W.k, W.a), "del");
	news_begin();
	said->n = 2;
	return task_wait(pid);
}

/* What a canary's socket sends when its cgroup is out of the table is refused, and nobody's news;
 * any other's is. (Where LSM programs stand they are asked about the task first, and count.) */
static void test_late_packet(void **state)
{
	(void)state;
	if (!kernel_no_guard(W.k))
		return;
	assert_int_equal(late_as(JOB_A, 0), EPERM);
	ring_buffer__consume(news.ring);
	assert_int_equal(refused(EGRET_R_UNREGISTERED), news.refused[EGRET_R_UNREGISTERED] + 1);
	assert_true(news.events > 0);
	assert_int_equal(late_as(TRIAL_JOB, EGRET_CG_TRIAL), EPERM);
	news_none();
	need(kernel_job_forget(W.k, TRIAL_JOB), "forget");
	need(kernel_job_forget(W.k, JOB_A), "forget");
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &W.ns.listener), "listener");
	need(kernel_cgroup_set(W.k, W.a, JOB_A, EGRET_CG_READY), "set");
}

#define OTHER_LINK 4711

static int shell(const char *command)
{
	pid_t pid = fork();
	int st = -1;

	if (pid == 0) {
		execlp("bash", "bash", "-c", command, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &st, 0);
	return st;
}

static int frames(const char *from, int n)
{
	const struct sockaddr_ll to = { .sll_family = AF_PACKET,
					.sll_protocol = htons(ETH_P_IP),
					.sll_ifindex = (int)if_nametoindex(from),
					.sll_halen = 6,
					.sll_addr = { 2, 0, 0, 0, 0, 9 } };
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;
	char b[64] = { 0x45 };

	for (int i = 0; i < n && !r; i++)
		r = sendto(fd, b, sizeof(b), 0, (const void *)&to, sizeof(to)) < 0 ? errno : 0;
	close(fd);
	return r;
}

/* Two links with the wall that no table knows: what comes by the trial's is not counted. All on one
 * CPU, so that the other's frame is the last. */
static int late_frames_fn(void *arg)
{
	uint64_t before = refused(EGRET_R_LINK);
	char line[320];
	cpu_set_t one;
	int r;
	(void)arg;

	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0 || unshare(CLONE_NEWNET) < 0)
		return errno;
	snprintf(line, sizeof(line),
		 "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; "
		 "ip link add ours index %u type veth peer name o && "
		 "ip link add others index %d type veth peer name p",
		 EGRET_TRIAL_LINK, OTHER_LINK);
	if (shell(line) || shell("for l in ours o others p; do ip link set $l up || exit 1; done"))
		return EPROTO;
	r = -kernel_link_attach(W.k, EGRET_TRIAL_LINK);
	if (!r)
		r = -kernel_link_attach(W.k, OTHER_LINK);
	before = refused(EGRET_R_LINK);
	if (!r)
		r = frames("o", 20);
	if (!r)
		r = frames("p", 1);
	if (r)
		return r;
	for (int i = 0; i < 5000 && refused(EGRET_R_LINK) == before; i++)
		usleep(1000);
	return refused(EGRET_R_LINK) == before + 1 ? 0 : ERANGE;
}

static void test_late_frame(void **state)
{
	(void)state;
	need(task_run(-1, -1, late_frames_fn, NULL), "frames");
}

static void test_nobody_is_told(void **state)
{
	unsigned entries = 0;
	struct stat st;
	(void)state;

	news_begin();
	test_all_stand(NULL);
	news_none();
	need(kernel_cgroup_each(W.k, count_one, &entries), "walk");
	assert_int_equal(entries, 0);
	assert_int_equal(fstatat(W.cg.jobs, TRIAL_CGROUP, &st, 0), -1);
	assert_int_equal(fstatat(W.cg.proxies, TRIAL_CGROUP, &st, 0), -1);
}

/* A round that was killed in the middle is swept up by the next. */
static void test_killed_round(void **state)
{
	struct walls_said s;
	unsigned entries = 0;
	struct stat st;
	(void)state;

	news_begin();
	for (int ms = 0; ms < 24; ms += 3) {
		pid_t pid;
		int fd;

		need(walls_fork(W.k, &W.cg, &pid, &fd), "fork");
		usleep((useconds_t)ms * 1000);
		kill(pid, SIGKILL);
		walls_take(pid, fd, 0, &s);
	}
	s = round_of();
	stands(&s, WALLS);
	news_none();
	need(kernel_cgroup_each(W.k, count_one, &entries), "walk");
	assert_int_equal(entries, 0);
	assert_int_equal(fstatat(W.cg.jobs, TRIAL_CGROUP, &st, 0), -1);
}

/* At an attach point where the unknown pass, the canary is as refused as a job. */
static void test_unknown_pass(void **state)
{
	struct kernel_where at = where(&W);
	struct kernel *next = NULL;
	struct walls_said s;
	char why[256] = "";
	(void)state;

	at.unknown_pass = true;
	need(kernel_open(&at, &next, why, sizeof(why)), why);
	W.k = kernel_free(W.k);
	W.k = next;
	s = round_of();
	stands(&s, WALLS);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_stand),    cmocka_unit_test(test_nobody_is_told),
		cmocka_unit_test(test_one_is_away),  cmocka_unit_test(test_killed_round),
		cmocka_unit_test(test_late_packet),  cmocka_unit_test(test_late_frame),
		cmocka_unit_test(test_unknown_pass),
	};

	return cmocka_run_group_tests_name("trials", tests, world_open, world_close);
}

int main(void)
{
	return kept(run);
}
