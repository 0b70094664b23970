/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the walls keep of a flow (bpf/seen.h) lets nothing pass that a whole check would drop: each
 * connection here is old and warm when something of what it hangs on is taken away, and its next
 * packet is dropped, by the wall and for the reason that is named. First it is shown that something
 * is kept at all: what is taken out of a table behind egretd's back is not noticed for a moment.
 * TCP and UDP; a UDP server that may not answer is asked what it heard. What is UDP's alone is in
 * seen_udp.c.
 */
#include "kernel/seen.h"
#include <time.h>

#define WARM 8
#define KEPT_MS 3000 /* more than what is kept lives, with the slowest clock that kernels have */

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

#define TCP SOCK_STREAM
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

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_kept_a_moment),
		cmocka_unit_test(test_next_packet),
		cmocka_unit_test(test_stuck_writer),
		cmocka_unit_test(test_rule_ends),
	};

	return cmocka_run_group_tests_name("seen", all, open_all, town_close);
}

int main(void)
{
	return kept(tests);
}
