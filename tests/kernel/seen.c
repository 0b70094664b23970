/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the walls keep of a flow (bpf/seen.h) lets nothing pass that a whole check would drop: each
 * connection here is old and warm when something of what it hangs on is taken away, and its next
 * packet is dropped, by the wall and for the reason that is named. First it is shown that something
 * is kept at all: what is taken out of a table behind egretd's back is not noticed for a moment.
 */
#include "kernel/direct.h"
#include <bpf/bpf.h>
#include <time.h>

#define PORT 5432
#define WARM 8
#define KEPT_MS 3000 /* more than what is kept lives, with the slowest clock that kernels have */

/* A connection that speaks when it is asked to: shared with the task that has it. */
static struct {
	volatile unsigned ask, done;
	volatile int r, wait_ms;
} * line;
static struct dial on = { .ip = "::", .port = PORT, .type = SOCK_STREAM };

static int speak(int fd)
{
	struct timeval tv = { .tv_sec = line->wait_ms / 1000,
			      .tv_usec = line->wait_ms % 1000 * 1000 };
	char b;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	if (recv(fd, &b, 1, 0) != 1)
		return errno == EAGAIN ? ETIMEDOUT : errno;
	return b == 'y' ? 0 : EBADMSG;
}

static int line_fn(void *arg)
{
	const struct dial *d = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	unsigned n = 0;

	alarm(120);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	line->r = connect(fd, (void *)&ss, len) < 0 ? errno : 0;
	if (fd < 0)
		return errno;
	for (;;) {
		line->done = n;
		while (line->ask == n)
			usleep(200);
		n++;
		line->r = speak(fd);
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

static void line_open(int from, int at, const char *to)
{
	static struct dial d;

	d = (struct dial){ .ip = to, .port = PORT };
	server_pid = serve(at, &on);
	line->ask = 0;
	line->done = 1;
	line->r = -1;
	client_pid = task_start(H[from].cgroup, H[from].netns, line_fn, &d);
	for (int i = 0; i < 100000 && line->done; i++)
		usleep(200);
	need(line->r, to);
	for (int i = 0; i < WARM; i++)
		need(ask(), to);
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
static void no_rules(void)
{
	need(kernel_direct_del(W.k, POLICY), "rules");
}
static void other_port(void)
{
	RULES(POLICY, rule(FAR4, PORT + 1, PORT + 1, false));
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
	RULES(POLICY, rule(FAR4, PORT, PORT, false));
	flags_a(flags);
	if (flags & EGRET_CG_DIRECT)
		has_policy(flags, POLICY);
}

enum { MEMBERS, MEMBERS6, PUBLISHED, INBOUND, DIRECT, LOOPBACK };
static const struct {
	int from, at;
	const char *to;
	uint32_t flags;
} ways[] = {
	[MEMBERS] = { A1, A2, "10.77.0.3", EGRET_CG_SERVICES },
	[MEMBERS6] = { A1, A2, "2001:db8:77::3", EGRET_CG_SERVICES },
	[PUBLISHED] = { HOST, A2, "10.77.0.3", EGRET_CG_PUBLISHED },
	[INBOUND] = { STRANGER, A2, "10.77.0.3", EGRET_CG_INBOUND },
	[DIRECT] = { A1, STRANGER, FAR4, EGRET_CG_DIRECT },
	[LOOPBACK] = { A2, A2, "127.0.0.1", 0 },
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
};

static void test_next_packet(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const int way = rows[i].way;
		uint64_t before;
		bool by_lsm;
		int r;

		if (slow() && way == MEMBERS6)
			continue;
		as_before(ways[way].flags);
		line_open(ways[way].from, ways[way].at, ways[way].to);
		before = refused(rows[i].reason);
		rows[i].change();
		r = ask_in_vain();
		/* Whose task is not the job's any more is refused before there is a packet. */
		by_lsm = r == EPERM && !kernel_no_guard(W.k);
		if (!by_lsm && (r != ETIMEDOUT || refused(rows[i].reason) == before)) {
			print_error("%s (to %s): %s, reason %d %s\n", rows[i].what, ways[way].to,
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
	uint8_t one = 1;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/egret_members", W.instance,
		 EGRET_ABI);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	addr16(H[A2].four, key.addr);
	need(there ? bpf_map_update_elem(fd, &key, &one, BPF_ANY) : bpf_map_delete_elem(fd, &key),
	     "member");
	close(fd);
}

static struct egret_changes *changes(void)
{
	struct egret_changes *at;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/egret_changes", W.instance,
		 EGRET_ABI);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(at != MAP_FAILED);
	close(fd);
	return at;
}

/* Does a packet pass that the table does not let pass any more? In some rounds: what is kept may
 * just have become too old. */
static bool is_kept(int rounds)
{
	bool kept = false;

	for (int i = 0; i < rounds && !kept; i++) {
		as_before(ways[MEMBERS].flags);
		line_open(A1, A2, H[A2].four);
		member_unseen(false);
		kept = ask_in_vain() == 0;
		if (kept) {
			usleep(KEPT_MS * 1000);
			assert_int_equal(ask_in_vain(), ETIMEDOUT);
		}
		line_close();
	}
	member_unseen(true);
	return kept;
}

static void test_kept_a_moment(void **state)
{
	(void)state;
	assert_true(is_kept(5));
}

/* A writer that was killed in the middle of a change: each packet is checked whole until egretd
 * looks. */
static void test_stuck_writer(void **state)
{
	struct egret_changes *c = changes();
	(void)state;

	assert_int_equal(c->begun, c->done);
	__atomic_fetch_add(&c->begun, 1, __ATOMIC_SEQ_CST);
	assert_false(is_kept(2));
	assert_int_equal(c->begun, c->done + 1);
	need(kernel_links_check(W.k, NULL, NULL), "check");
	need(kernel_links_check(W.k, NULL, NULL), "check");
	assert_int_equal(c->begun, c->done);
	assert_true(is_kept(5));
	munmap(c, sizeof(*c));
}

/* A rule that ends is asked at each packet: it ends with a second of CLOCK_BOOTTIME, and in the
 * second in which the first packet is dropped none has passed. */
static void test_rule_ends(void **state)
{
	struct kernel_direct d = rule(FAR4, PORT, PORT, false);
	struct timespec now, boot;
	time_t passed = 0;
	(void)state;

	as_before(ways[DIRECT].flags);
	clock_gettime(CLOCK_REALTIME, &now);
	d.until_us = (uint64_t)(now.tv_sec + (slow() ? 8 : 3)) * 1000000;
	need(kernel_direct_set(W.k, POLICY, &d, 1), "rule");
	line_open(A1, STRANGER, FAR4);
	for (;;) {
		clock_gettime(CLOCK_BOOTTIME, &boot);
		if (ask_in_vain() != 0)
			break;
		passed = boot.tv_sec;
		usleep(20000);
	}
	assert_int_equal(line->r, ETIMEDOUT);
	assert_true(passed && passed < boot.tv_sec + (boot.tv_nsec > 700000000));
	line_close();
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
