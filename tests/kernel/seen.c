/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the walls keep of a flow (bpf/seen.h) lets nothing pass that a whole check would drop: each
 * connection here is old and warm when something of what it hangs on is taken away, and its next
 * packet is dropped, by the wall and for the reason that is named. First it is shown that something
 * is kept at all: what is taken out of a table behind egretd's back is not noticed for a moment.
 * TCP and UDP; a UDP server that may not answer is asked what it heard.
 */
#include "kernel/direct.h"
#include <bpf/bpf.h>
#include <sys/pidfd.h>
#include <time.h>

#define PORT 5432
#define MANY "2001:db8:77::" /* 20 and so on */
#define HERE 5433	     /* the other end's, where it must be known */
#define WARM 8
#define KEPT_MS 3000 /* more than what is kept lives, with the slowest clock that kernels have */

/* A connection that speaks when it is asked to: shared with the task that has it. */
static struct {
	volatile unsigned ask, done;
	volatile int r, wait_ms, fd;
} * line;

struct line_way {
	int from, at;
	const char *to;
	int type;
	uint32_t flags;
	bool heard; /* it counts what arrives: there are no answers */
};

static int speak(int fd, bool heard)
{
	struct timeval tv = { .tv_sec = line->wait_ms / 1000,
			      .tv_usec = line->wait_ms % 1000 * 1000 };
	unsigned was = server->asked;
	char b;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	for (int i = 0; heard && i < line->wait_ms * 5; i++) {
		if (server->asked != was)
			return 0;
		usleep(200);
	}
	if (heard)
		return ETIMEDOUT;
	if (recv(fd, &b, 1, 0) != 1)
		return errno == EAGAIN ? ETIMEDOUT : errno;
	return b == 'y' ? 0 : EBADMSG;
}

static int line_fn(void *arg)
{
	const struct line_way *w = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(w->to, PORT, &ss);
	int fd = socket(ss.ss_family, w->type | SOCK_CLOEXEC, 0), one = 1;
	unsigned n = 0;

	alarm(120);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	line->r = connect(fd, (void *)&ss, len) < 0 ? errno : 0;
	line->fd = fd;
	if (fd < 0)
		return errno;
	for (;;) {
		line->done = n;
		while (line->ask == n)
			usleep(200);
		n++;
		line->r = speak(fd, w->heard);
	}
}

static int ask_for(int ms)
{
	unsigned n = line->ask + 1;

	line->wait_ms = ms;
	line->ask = n;
	for (int i = 0; i < 100000 && line->done != n; i++)
		usleep(200);
	assert_int_equal(line->done, n);
	return line->r;
}

/* There is an answer, or none comes. */
static int ask(void)
{
	return ask_for(10000);
}

static int ask_in_vain(void)
{
	return ask_for(slow() ? 1000 : 400);
}

static pid_t server_pid, client_pid;

static void line_open(const struct line_way *w)
{
	static struct line_way mine;
	static struct dial on;

	mine = *w;
	on = (struct dial){ .ip = "::", .port = PORT, .type = w->type };
	server_pid = serve(w->at, &on);
	line->ask = 0;
	line->done = 1;
	line->r = -1;
	client_pid = task_start(H[w->from].cgroup, H[w->from].netns, line_fn, &mine);
	for (int i = 0; i < 100000 && line->done; i++)
		usleep(200);
	need(line->r, w->to);
	for (int i = 0; i < WARM; i++)
		need(ask(), w->to);
}

static void line_close(void)
{
	stop(client_pid);
	stop(server_pid);
}

/* ---- what is taken away ---- */

static void member_two(void)
{
	member_a(A2, false);
}
static void member_one(void)
{
	member_a(A1, false);
}
static void flags_none(void)
{
	flags_a(0);
}
static void host_net(void)
{
	flags_a(EGRET_CG_HOST_NET);
}
static void job_one(void)
{
	need(kernel_cgroup_del(W.k, W.a), "del");
}
static void job_two(void)
{
	need(kernel_cgroup_del(W.k, H[A2].id), "del");
}
static void nobodys(void)
{
	need(kernel_cgroup_set(W.k, W.a, 0, 0), "set");
}
static void others(void)
{
	need(kernel_cgroup_set(W.k, W.a, JOB_B, BOTH), "set");
}
static void link_one(void)
{
	need(kernel_link_del(W.k, H[A1].link), "del");
}
static void link_two(void)
{
	need(kernel_link_del(W.k, H[A2].link), "del");
}
static void no_hosts(void)
{
	need(kernel_hostaddr_set(W.k, NULL, 0), "host");
}
static void host_there(void)
{
	uint8_t host[2][16];

	addr16(FAR4, host[0]);
	addr16(FAR6, host[1]);
	need(kernel_hostaddr_set(W.k, (const uint8_t(*)[16])host, 2), "host");
}
static void no_rules(void)
{
	need(kernel_direct_del(W.k, POLICY), "rules");
}
static void other_port(void)
{
	RULES(POLICY, rule(FAR4, PORT + 1, PORT + 1, false), rule(FAR4, PORT + 1, PORT + 1, true),
	      rule(FAR6, PORT + 1, PORT + 1, true));
}
static void policy_gone(void)
{
	has_policy(EGRET_CG_DIRECT, OTHER);
}
static void link_policy(void)
{
	link_has(EGRET_CG_DIRECT, OTHER);
}
static void forgotten(void)
{
	need(kernel_job_forget(W.k, JOB_A), "forget");
}

static void as_before(uint32_t flags)
{
	uint8_t host[2][16];

	addr16(H[HOST].four, host[0]);
	addr16(H[HOST].six, host[1]);
	need(kernel_hostaddr_set(W.k, (const uint8_t(*)[16])host, 2), "host");
	member_a(A1, true);
	member_a(A2, true);
	for (int i = A1; i <= A2; i++)
		need(kernel_listener_set(W.k, JOB_A, H[i].ns.cookie, &H[i].ns.listener), "set");
	RULES(POLICY, rule(FAR4, PORT, PORT, false), rule(FAR4, PORT, PORT, true),
	      rule(FAR6, PORT, PORT, true));
	flags_a(flags);
	if (flags & EGRET_CG_DIRECT)
		has_policy(flags, POLICY);
}

#define TCP SOCK_STREAM
#define UDP SOCK_DGRAM
enum {
	MEMBERS,
	MEMBERS6,
	PUBLISHED,
	INBOUND,
	DIRECT,
	LOOPBACK,
	UDP_MEMBERS,
	UDP_MEMBERS6,
	UDP_HEARD,
	UDP_HEARD6,
	UDP_DIRECT,
	UDP_DIRECT6,
	UDP_PUBLISHED,
	UDP_INBOUND,
	UDP_INBOUND6,
	UDP_LOOPBACK,
	UDP_LOOPBACK6
};
static const struct line_way ways[] = {
	[MEMBERS] = { A1, A2, "10.77.0.3", TCP, EGRET_CG_SERVICES, false },
	[MEMBERS6] = { A1, A2, "2001:db8:77::3", TCP, EGRET_CG_SERVICES, false },
	[PUBLISHED] = { HOST, A2, "10.77.0.3", TCP, EGRET_CG_PUBLISHED, false },
	[INBOUND] = { STRANGER, A2, "10.77.0.3", TCP, EGRET_CG_INBOUND, false },
	[DIRECT] = { A1, STRANGER, FAR4, TCP, EGRET_CG_DIRECT, false },
	[LOOPBACK] = { A2, A2, "127.0.0.1", TCP, 0, false },
	[UDP_MEMBERS] = { A1, A2, "10.77.0.3", UDP, EGRET_CG_SERVICES, false },
	[UDP_MEMBERS6] = { A1, A2, "2001:db8:77::3", UDP, EGRET_CG_SERVICES, false },
	[UDP_HEARD] = { A1, A2, "10.77.0.3", UDP, EGRET_CG_SERVICES, true },
	[UDP_HEARD6] = { A1, A2, "2001:db8:77::3", UDP, EGRET_CG_SERVICES, true },
	[UDP_DIRECT] = { A1, STRANGER, FAR4, UDP, EGRET_CG_DIRECT, false },
	[UDP_DIRECT6] = { A1, STRANGER, FAR6, UDP, EGRET_CG_DIRECT, false },
	[UDP_PUBLISHED] = { HOST, A2, "10.77.0.3", UDP, EGRET_CG_PUBLISHED, true },
	[UDP_INBOUND] = { STRANGER, A2, "10.77.0.3", UDP, EGRET_CG_INBOUND, true },
	[UDP_INBOUND6] = { STRANGER, A2, "2001:db8:77::3", UDP, EGRET_CG_INBOUND, true },
	[UDP_LOOPBACK] = { A2, A2, "127.0.0.1", UDP, 0, true },
	[UDP_LOOPBACK6] = { A2, A2, "::1", UDP, 0, true },
};

static const struct {
	const char *what;
	int way;
	void (*change)(void);
	enum egret_reason reason;
} rows[] = {
	{ "the other is no member any more", MEMBERS, member_two, EGRET_R_PACKET },
	{ "the other is no member any more", MEMBERS6, member_two, EGRET_R_PACKET },
	{ "this one is no member any more", MEMBERS, member_one, EGRET_R_LINK },
	{ "the rule is gone", MEMBERS, flags_none, EGRET_R_PACKET },
	{ "the rule is gone", MEMBERS6, flags_none, EGRET_R_PACKET },
	{ "the job is over", MEMBERS, job_one, EGRET_R_UNREGISTERED },
	{ "the other's cgroup is gone", MEMBERS, job_two, EGRET_R_UNREGISTERED },
	{ "the cgroup is nobody's", MEMBERS, nobodys, EGRET_R_UNREGISTERED },
	{ "the cgroup is another job's", MEMBERS, others, EGRET_R_PACKET },
	{ "all of the job is forgotten", MEMBERS, forgotten, EGRET_R_PACKET },
	{ "the link is nobody's", MEMBERS, link_one, EGRET_R_LINK },
	{ "the link is nobody's", MEMBERS6, link_one, EGRET_R_LINK },
	{ "the other's link is nobody's", MEMBERS, link_two, EGRET_R_LINK },
	{ "no port is published", PUBLISHED, flags_none, EGRET_R_INBOUND },
	{ "the address is not the host's", PUBLISHED, no_hosts, EGRET_R_INBOUND },
	{ "the link is nobody's", PUBLISHED, link_two, EGRET_R_LINK },
	{ "nobody may come in", INBOUND, flags_none, EGRET_R_INBOUND },
	{ "the cgroup is gone", INBOUND, job_two, EGRET_R_UNREGISTERED },
	{ "the rule direct is gone", DIRECT, no_rules, EGRET_R_PACKET },
	{ "the rule direct names another port", DIRECT, other_port, EGRET_R_PACKET },
	{ "the job has another policy", DIRECT, policy_gone, EGRET_R_PACKET },
	{ "the link has another policy", DIRECT, link_policy, EGRET_R_LINK },
	{ "the namespace is the host's", LOOPBACK, host_net, EGRET_R_PACKET },
	{ "the cgroup is gone", LOOPBACK, job_two, EGRET_R_UNREGISTERED },
	{ "the other is no member any more", UDP_MEMBERS, member_two, EGRET_R_PACKET },
	{ "the other is no member any more", UDP_MEMBERS6, member_two, EGRET_R_PACKET },
	{ "this one is no member any more", UDP_MEMBERS, member_one, EGRET_R_LINK },
	{ "this one is no member any more", UDP_MEMBERS6, member_one, EGRET_R_LINK },
	{ "the rule is gone", UDP_MEMBERS, flags_none, EGRET_R_PACKET },
	{ "the rule is gone", UDP_MEMBERS6, flags_none, EGRET_R_PACKET },
	{ "the job is over", UDP_MEMBERS, job_one, EGRET_R_UNREGISTERED },
	{ "the job is over", UDP_MEMBERS6, job_one, EGRET_R_UNREGISTERED },
	{ "the other's cgroup is gone", UDP_HEARD, job_two, EGRET_R_UNREGISTERED },
	{ "the other's cgroup is gone", UDP_HEARD6, job_two, EGRET_R_UNREGISTERED },
	{ "the cgroup is nobody's", UDP_MEMBERS, nobodys, EGRET_R_UNREGISTERED },
	{ "the cgroup is another job's", UDP_MEMBERS, others, EGRET_R_PACKET },
	{ "the cgroup is another job's", UDP_MEMBERS6, others, EGRET_R_PACKET },
	{ "all of the job is forgotten", UDP_HEARD, forgotten, EGRET_R_PACKET },
	{ "the link is nobody's", UDP_MEMBERS, link_one, EGRET_R_LINK },
	{ "the link is nobody's", UDP_MEMBERS6, link_one, EGRET_R_LINK },
	{ "the other's link is nobody's", UDP_MEMBERS, link_two, EGRET_R_LINK },
	{ "the other's link is nobody's", UDP_MEMBERS6, link_two, EGRET_R_LINK },
	{ "the rule direct is gone", UDP_DIRECT, no_rules, EGRET_R_PACKET },
	{ "the rule direct is gone", UDP_DIRECT6, no_rules, EGRET_R_PACKET },
	{ "the rule direct names another port", UDP_DIRECT, other_port, EGRET_R_PACKET },
	{ "the rule direct names another port", UDP_DIRECT6, other_port, EGRET_R_PACKET },
	{ "the job has another policy", UDP_DIRECT, policy_gone, EGRET_R_PACKET },
	{ "the link has another policy", UDP_DIRECT, link_policy, EGRET_R_LINK },
	{ "the link has another policy", UDP_DIRECT6, link_policy, EGRET_R_LINK },
	{ "the host has that address now", UDP_DIRECT, host_there, EGRET_R_PACKET },
	{ "the host has that address now", UDP_DIRECT6, host_there, EGRET_R_PACKET },
	{ "no port is published", UDP_PUBLISHED, flags_none, EGRET_R_INBOUND },
	{ "the address is not the host's", UDP_PUBLISHED, no_hosts, EGRET_R_INBOUND },
	{ "nobody may come in", UDP_INBOUND, flags_none, EGRET_R_INBOUND },
	{ "nobody may come in", UDP_INBOUND6, flags_none, EGRET_R_INBOUND },
	{ "the cgroup is gone", UDP_INBOUND, job_two, EGRET_R_UNREGISTERED },
	{ "the cgroup is gone", UDP_INBOUND6, job_two, EGRET_R_UNREGISTERED },
	{ "the namespace is the host's", UDP_LOOPBACK, host_net, EGRET_R_INBOUND },
	{ "the namespace is the host's", UDP_LOOPBACK6, host_net, EGRET_R_INBOUND },
	{ "the cgroup is gone", UDP_LOOPBACK, job_two, EGRET_R_UNREGISTERED },
	{ "the cgroup is gone", UDP_LOOPBACK6, job_two, EGRET_R_UNREGISTERED },
};

/* Which kernel it is matters to the programs, not to the tables: of UDP each wall once there. */
static bool is_left_out(size_t row)
{
	static void (*const few[])(void) = { member_two, link_one, no_rules, link_policy };
	const int way = rows[row].way;

	if (!slow() || (ways[way].type == TCP && way != MEMBERS6))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(few); i++)
		if (rows[row].change == few[i])
			return way != UDP_MEMBERS && way != UDP_DIRECT;
	return way != UDP_INBOUND6 && way != UDP_LOOPBACK6;
}

/* A datagram that the last wall refuses is an error of the call, a segment of TCP is not. */
static bool is_dropped(int way, int r)
{
	return r == ETIMEDOUT || (r == EPERM && ways[way].type == UDP);
}

static void test_next_packet(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const int way = rows[i].way;
		uint64_t before;
		bool by_lsm;
		int r;

		if (is_left_out(i))
			continue;
		as_before(ways[way].flags);
		line_open(&ways[way]);
		before = refused(rows[i].reason);
		rows[i].change();
		r = ask_in_vain();
		/* Whose task is not the job's any more is refused before there is a packet. */
		by_lsm = r == EPERM && !kernel_no_guard(W.k);
		if (!by_lsm && (!is_dropped(way, r) || refused(rows[i].reason) == before)) {
			print_error("%s (%s to %s): %s, reason %d %s\n", rows[i].what,
				    ways[way].type == UDP ? "UDP" : "TCP", ways[way].to,
				    strerror(r), rows[i].reason,
				    refused(rows[i].reason) == before ? "not counted" : "counted");
			fail();
		}
		line_close();
	}
	as_before(0);
}

/* ---- that something is kept, and how long ---- */

static int map_of(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/%s", W.instance, EGRET_ABI, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	return fd;
}

/* Not as egretd does it: nothing is counted. */
static void member_unseen(bool there)
{
	struct egret_member_key key = { .job = JOB_A };
	int fd = map_of("egret_members");
	uint8_t one = 1;

	for (int i = 0; i < 2; i++) {
		addr16(i ? H[A2].six : H[A2].four, key.addr);
		need(there ? bpf_map_update_elem(fd, &key, &one, BPF_ANY)
			   : bpf_map_delete_elem(fd, &key),
		     "member");
	}
	close(fd);
}

static struct egret_changes *changes(void)
{
	int fd = map_of("egret_changes");
	struct egret_changes *at;

	at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(at != MAP_FAILED);
	close(fd);
	return at;
}

/* Does a packet pass that the table does not let pass any more? In some rounds: what is kept may
 * just have become too old. */
static bool is_kept(int way, int rounds)
{
	bool kept = false;

	for (int i = 0; i < rounds && !kept; i++) {
		as_before(ways[way].flags);
		line_open(&ways[way]);
		member_unseen(false);
		kept = ask_in_vain() == 0;
		if (kept) {
			usleep(KEPT_MS * 1000);
			assert_true(is_dropped(way, ask_in_vain()));
		}
		line_close();
	}
	member_unseen(true);
	return kept;
}

static void test_kept_a_moment(void **state)
{
	(void)state;
	assert_true(is_kept(MEMBERS, 5));
	assert_true(is_kept(UDP_MEMBERS, 5));
	assert_true(slow() || is_kept(UDP_MEMBERS6, 5));
}

/* A writer that was killed in the middle of a change: each packet is checked whole until egretd
 * looks. */
static void test_stuck_writer(void **state)
{
	struct egret_changes *c = changes();
	(void)state;

	assert_int_equal(c->begun, c->done);
	__atomic_fetch_add(&c->begun, 1, __ATOMIC_SEQ_CST);
	assert_false(is_kept(MEMBERS, 2));
	assert_true(slow() || !is_kept(UDP_MEMBERS, 2));
	assert_int_equal(c->begun, c->done + 1);
	need(kernel_links_check(W.k, NULL, NULL), "check");
	need(kernel_links_check(W.k, NULL, NULL), "check");
	assert_int_equal(c->begun, c->done);
	assert_true(is_kept(MEMBERS, 5));
	assert_true(slow() || is_kept(UDP_MEMBERS, 5));
	munmap(c, sizeof(*c));
}

/* A rule that ends is asked at each packet: it ends with a second of CLOCK_BOOTTIME, and in the
 * second in which the first packet is dropped none has passed. */
static void rule_ends(int way)
{
	struct kernel_direct d = rule(FAR4, PORT, PORT, ways[way].type == UDP);
	struct timespec now, boot;
	time_t passed = 0;

	as_before(ways[way].flags);
	clock_gettime(CLOCK_REALTIME, &now);
	d.until_us = (uint64_t)(now.tv_sec + (slow() ? 8 : 3)) * 1000000;
	need(kernel_direct_set(W.k, POLICY, &d, 1), "rule");
	line_open(&ways[way]);
	for (;;) {
		clock_gettime(CLOCK_BOOTTIME, &boot);
		if (ask_in_vain() != 0)
			break;
		passed = boot.tv_sec;
		usleep(20000);
	}
	assert_true(is_dropped(way, line->r));
	assert_true(passed && passed < boot.tv_sec + (boot.tv_nsec > 700000000));
	line_close();
	as_before(0);
}

static void test_rule_ends(void **state)
{
	(void)state;
	rule_ends(DIRECT);
	if (!slow())
		rule_ends(UDP_DIRECT);
}

/* ---- what is UDP's alone ---- */

/* The socket of a task of ours, as the test's own descriptor. */
static int socket_of(pid_t pid, int fd)
{
	int task = (int)syscall(SYS_pidfd_open, pid, 0), got;

	assert_true(task >= 0);
	got = (int)syscall(SYS_pidfd_getfd, task, fd, 0);
	assert_true(got >= 0);
	close(task);
	return got;
}

/* What is kept with a socket; how many flows. */
static int flows_of(int fd, struct egret_seen *ret)
{
	int map = map_of("egret_seen"), r = bpf_map_lookup_elem(map, &fd, ret), n = 0;

	close(map);
	for (int i = 0; r == 0 && i < EGRET_SEEN_FLOWS; i++)
		n += ret->flow[i].proto != 0;
	return n;
}

static int udp_at(const char *ip, uint16_t port)
{
	struct timeval tv = { .tv_sec = 10 };
	struct sockaddr_storage ss;
	socklen_t len = sa_of(ip, port, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return fd >= 0 && bind(fd, (void *)&ss, len) == 0 ? fd : -1;
}

static int udp_to(int fd, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of(ip, port, &ss);

	return connect(fd, (void *)&ss, len) < 0 ? errno : 0;
}

/* Connected as a member, hears a byte when it is told to, then tries to answer. */
static int mute_fn(void *arg)
{
	int fd = udp_at(H[A2].four, PORT);
	char b;
	(void)arg;

	line->r = fd < 0 ? errno : udp_to(fd, H[A1].four, HERE);
	line->fd = fd;
	line->done = 1;
	if (recv(fd, &b, 1, 0) != 1)
		return errno;
	line->done = 2;
	while (line->ask != 2)
		usleep(200);
	line->r = send(fd, "y", 1, 0) == 1 ? 0 : errno;
	line->done = 3;
	pause();
	return 0;
}

static int word_fn(void *arg)
{
	int fd = udp_at(H[A1].four, HERE);
	(void)arg;

	if (fd < 0 || udp_to(fd, H[A2].four, PORT))
		return errno;
	return send(fd, "x", 1, 0) == 1 ? 0 : errno;
}

static void wait_done(unsigned n)
{
	for (int i = 0; i < 100000 && line->done != n; i++)
		usleep(200);
	assert_int_equal(line->done, n);
}

/* To hear somebody is not to speak to them: with the record taken away behind egretd's back the
 * socket may hear the other member and not answer it. */
static void test_heard_only(void **state)
{
	int origin = map_of("egret_origin"), fd, n;
	struct egret_seen seen;
	uint64_t before;
	pid_t pid, word;
	(void)state;

	as_before(EGRET_CG_SERVICES);
	line->ask = line->done = 0;
	pid = task_start(H[A2].cgroup, H[A2].netns, mute_fn, NULL);
	wait_done(1);
	need(line->r, "mute");
	fd = socket_of(pid, line->fd);
	need(bpf_map_delete_elem(origin, &fd), "record");
	word = task_start(H[A1].cgroup, H[A1].netns, word_fn, NULL);
	need(task_wait(word), "word");
	wait_done(2);
	n = flows_of(fd, &seen);
	assert_int_equal(n, 1);
	assert_true(seen.flow[0].came != 0);
	assert_true(seen.flow[0].left == 0);
	before = refused(EGRET_R_PACKET);
	line->ask = 2;
	wait_done(3);
	assert_int_equal(line->r, EPERM);
	assert_true(kernel_no_guard(W.k) == NULL || refused(EGRET_R_PACKET) == before + 1);
	stop(pid);
	close(fd);
	close(origin);
	as_before(0);
}

/* One socket that is not connected: one byte to each of n peers when it is told to. */
static int many_fn(void *arg)
{
	int fd = udp_at("::", HERE), n = *(int *)arg;
	char b;

	alarm(120);
	line->fd = fd;
	line->r = 0;
	if (fd < 0)
		return errno;
	for (unsigned told = 0;;) {
		line->done = told + 1;
		while (line->ask == told)
			usleep(200);
		told++;
		for (int i = 0; i < n && !line->r; i++) {
			char to[64];
			struct sockaddr_storage ss;
			socklen_t len;

			snprintf(to, sizeof(to), "%s%x", MANY, i + 0x20);
			len = sa_of(to, PORT, &ss);
			if (sendto(fd, "x", 1, 0, (void *)&ss, len) != 1 || recv(fd, &b, 1, 0) != 1)
				line->r = errno;
		}
	}
}

/* More peers than there is room for: a few are kept, nobody drives out what holds, and all are
 * served. */
static void test_many_peers(void **state)
{
	int peers = EGRET_SEEN_FLOWS + 3, fd, n;
	struct dial on = { .ip = "::", .port = PORT, .type = UDP };
	struct egret_seen seen, then;
	uint8_t addr[16];
	char text[64];
	pid_t pid;
	(void)state;

	as_before(EGRET_CG_SERVICES);
	for (int i = 0; i < peers; i++) {
		snprintf(text, sizeof(text), "%s%x", MANY, i + 0x20);
		ip(H[A2].netns, "-6 addr add %s/64 dev eth0 nodad", text);
		addr16(text, addr);
		need(kernel_member_set(W.k, JOB_A, addr), "member");
	}
	server_pid = serve(A2, &on);
	line->ask = line->done = 0;
	pid = task_start(H[A1].cgroup, H[A1].netns, many_fn, &peers);
	wait_done(1);
	fd = socket_of(pid, line->fd);
	for (unsigned i = 1; i < 4; i++) {
		line->ask = i;
		wait_done(i + 1);
		need(line->r, "many");
		n = flows_of(fd, i == 1 ? &seen : &then);
		assert_int_equal(n, EGRET_SEEN_FLOWS);
	}
	stop(pid);
	close(fd);
	stop(server_pid);
	for (int i = 0; i < peers; i++) {
		snprintf(text, sizeof(text), "%s%x", MANY, i + 0x20);
		addr16(text, addr);
		need(kernel_member_del(W.k, JOB_A, addr), "member");
		ip(H[A2].netns, "-6 addr del %s/64 dev eth0", text);
	}
	as_before(0);
}

/* Speaks to a member, then turns to the resolver, connected (arg) or not. */
static int turns_fn(void *arg)
{
	const char *resolver = "198.51.100.53";
	int fd = udp_at("0.0.0.0", HERE), r;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(resolver, 53, &ss);
	char b;

	alarm(120);
	line->fd = fd;
	r = fd < 0 ? errno : udp_to(fd, H[A2].four, PORT);
	if (!r && (send(fd, "x", 1, 0) != 1 || recv(fd, &b, 1, 0) != 1))
		r = errno;
	line->r = r;
	line->done = 1;
	while (line->ask != 2)
		usleep(200);
	if (*(bool *)arg) {
		r = udp_to(fd, resolver, 53);
	} else {
		struct sockaddr none = { .sa_family = AF_UNSPEC };

		r = connect(fd, &none, sizeof(none)) < 0 ? errno : 0;
		if (!r && sendto(fd, "x", 1, 0, (void *)&ss, len) != 1)
			r = errno;
	}
	line->r = r;
	line->done = 2;
	pause();
	return 0;
}

/* Who writes the socket's record forgets what was found by the one before. */
static void test_record_written(void **state)
{
	struct dial on = { .ip = "::", .port = PORT, .type = UDP };
	struct egret_seen seen;
	(void)state;

	for (int i = 0; i < 2; i++) {
		bool connected = i == 0;
		int fd, map = map_of("egret_seen");
		pid_t pid;

		as_before(EGRET_CG_SERVICES);
		server_pid = serve(A2, &on);
		line->ask = line->done = 0;
		pid = task_start(H[A1].cgroup, H[A1].netns, turns_fn, &connected);
		wait_done(1);
		need(line->r, "member");
		fd = socket_of(pid, line->fd);
		assert_int_equal(flows_of(fd, &seen), 1);
		line->ask = 2;
		wait_done(2);
		need(line->r, "resolver");
		assert_int_equal(bpf_map_lookup_elem(map, &fd, &seen), -ENOENT);
		stop(pid);
		stop(server_pid);
		close(fd);
		close(map);
	}
	as_before(0);
}

static int open_all(void **state)
{
	line = mmap(NULL, sizeof(*line), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(line != MAP_FAILED);
	return town_open(state);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_kept_a_moment),  cmocka_unit_test(test_next_packet),
		cmocka_unit_test(test_stuck_writer),   cmocka_unit_test(test_rule_ends),
		cmocka_unit_test(test_heard_only),     cmocka_unit_test(test_many_peers),
		cmocka_unit_test(test_record_written),
	};

	return cmocka_run_group_tests_name("seen", all, open_all, town_close);
}

int main(void)
{
	return kept(tests);
}
