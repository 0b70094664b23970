/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the walls keep of a UDP socket's flows (bpf/seen.h), where it is other than TCP's: a socket
 * that only heard may not speak, one with more peers than there is room for is served all the same,
 * and one that turns to the resolver has nothing kept, nor sends what it had corked. What is taken
 * away under a warm socket is in seen.c.
 */
#include "kernel/seen.h"
#include <sched.h>
#include <sys/prctl.h>

#define MANY "2001:db8:77::" /* 20 and so on */
#define HERE 5433	     /* the other end's, where it must be known */

static pid_t server_is;

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

/* One socket that is not connected: one byte to each of n peers when it is told to, the last one
 * first. */
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
		struct timeval tv;

		line->done = told + 1;
		while (line->ask == told)
			usleep(200);
		told++;
		tv = (struct timeval){ .tv_sec = line->wait_ms / 1000,
				       .tv_usec = line->wait_ms % 1000 * 1000 };
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		for (int i = n; i > 0 && !line->r; i--) {
			char to[64];
			struct sockaddr_storage ss;
			socklen_t len;

			snprintf(to, sizeof(to), "%s%x", MANY, i - 1 + 0x20);
			len = sa_of(to, PORT, &ss);
			if (sendto(fd, "x", 1, 0, (void *)&ss, len) != 1 || recv(fd, &b, 1, 0) != 1)
				line->r = errno;
		}
	}
}

/* How many of a crowd are kept; each of them once, under its own address. */
static int crowd_of(int fd)
{
	static struct egret_crowd c;
	int map = map_of("egret_crowd"), r = bpf_map_lookup_elem(map, &fd, &c), n = 0;
	bool known[256] = { false };

	close(map);
	for (int i = 0; r == 0 && i < EGRET_CROWD_ROOM; i++) {
		const struct egret_seen_flow *f = &c.flow[i];
		uint8_t last = ((const uint8_t *)f->far)[15];

		assert_int_equal(c.tags[i] != 0, f->proto != 0);
		if (!f->proto)
			continue;
		assert_false(known[last]);
		known[last] = true;
		n++;
	}
	return n;
}

static void many_members(int n, bool are)
{
	for (int i = 0; i < n; i++) {
		uint8_t addr[16];
		char text[64];

		snprintf(text, sizeof(text), "%s%x", MANY, i + 0x20);
		addr16(text, addr);
		if (are) {
			ip(H[A2].netns, "-6 addr add %s/64 dev eth0 nodad", text);
			need(kernel_member_set(W.k, JOB_A, addr), "member");
		} else {
			need(kernel_member_del(W.k, JOB_A, addr), "member");
			ip(H[A2].netns, "-6 addr del %s/64 dev eth0", text);
		}
	}
}

/* Few keep what they found in one place, more all of it in another; nobody drives out what holds,
 * and all are served, also those for whom there is no room. When the socket's own address is no
 * member's any more, the walls do not go by what is kept of the crowd. */
static void test_many_peers(void **state)
{
	const int rows[] = { EGRET_SEEN_FLOWS + 1, 12, 40, EGRET_CROWD_ROOM + 10 };
	(void)state;

	for (size_t row = 0; row < (slow() ? 2 : ARRAY_SIZE(rows)); row++) {
		struct dial on = { .ip = "::", .port = PORT, .type = UDP };
		int peers = rows[row], crowd = 0, fd;
		struct egret_seen seen;
		uint64_t before, beyond;
		uint8_t addr[16];
		pid_t pid;

		as_before(EGRET_CG_SERVICES);
		many_members(peers, true);
		server_is = serve(A2, &on);
		line->ask = line->done = 0;
		line->wait_ms = 10000;
		pid = task_start(H[A1].cgroup, H[A1].netns, many_fn, &peers);
		wait_done(1);
		fd = socket_of(pid, line->fd);
		for (unsigned i = 1; i < 4; i++) {
			line->ask = i;
			wait_done(i + 1);
			need(line->r, "many");
			assert_int_equal(flows_of(fd, &seen), 0);
			if (crowd_of(fd) > crowd)
				crowd = crowd_of(fd);
		}
		print_message("%d of %d peers are kept in the crowd\n", crowd, peers);
		/* Of a full set what is too old makes room for all. */
		assert_true(crowd <= EGRET_CROWD_ROOM);
		assert_true(crowd >= (peers > 12 ? EGRET_CROWD_ROOM * 2 / 3 : peers));
		addr16(H[A1].six, addr);
		need(kernel_member_del(W.k, JOB_A, addr), "member");
		before = refused(EGRET_R_LINK);
		beyond = refused(EGRET_R_INBOUND) + refused(EGRET_R_UDP);
		line->wait_ms = 300;
		line->ask = 4;
		wait_done(5);
		assert_int_equal(line->r, EAGAIN);
		assert_true(refused(EGRET_R_LINK) > before);
		/* It did not come so far that the other end, or its answer, was refused. */
		assert_int_equal(refused(EGRET_R_INBOUND) + refused(EGRET_R_UDP), beyond);
		stop(pid);
		close(fd);
		stop(server_is);
		many_members(peers, false);
		as_before(0);
	}
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
		server_is = serve(A2, &on);
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
		stop(server_is);
		close(fd);
		close(map);
	}
	as_before(0);
}

struct corked {
	const char *to, *resolver;
	int at;
	uint32_t flags;
	bool turns;
};

/* What was corked for one goes when the next byte does, whomever the socket was connected to
 * meanwhile: the only packet of a socket that can leave by a record of before. */
static int corked_fn(void *arg)
{
	const struct corked *c = arg;
	int fd = udp_at(strchr(c->to, ':') ? "::" : "0.0.0.0", HERE), r;
	char b;

	alarm(120);
	line->fd = fd;
	r = fd < 0 ? errno : udp_to(fd, c->to, PORT);
	if (!r && (send(fd, "x", 1, 0) != 1 || recv(fd, &b, 1, 0) != 1))
		r = errno;
	line->r = r;
	line->done = 1;
	while (line->ask != 2)
		usleep(200);
	r = send(fd, "x", 1, MSG_MORE) != 1 ? errno : 0;
	if (!r && c->turns)
		r = udp_to(fd, c->resolver, 53);
	line->r = r ? -r : send(fd, "x", 1, 0) != 1 ? errno : 0;
	line->done = 2;
	pause();
	return 0;
}

/* The flow was kept a moment ago, and its packet goes where it went; but by the record that the
 * socket has now the whole check refuses it. */
static void test_record_of_before(void **state)
{
	const struct corked rows[] = {
		{ H[A2].four, "198.51.100.53", A2, EGRET_CG_SERVICES, false },
		{ H[A2].four, "198.51.100.53", A2, EGRET_CG_SERVICES, true },
		{ H[A2].six, "2001:db8:51::53", A2, EGRET_CG_SERVICES, true },
		{ FAR4, "198.51.100.53", STRANGER, EGRET_CG_DIRECT, false },
		{ FAR4, "198.51.100.53", STRANGER, EGRET_CG_DIRECT, true },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct dial on = { .ip = "::", .port = PORT, .type = UDP };
		struct corked c = rows[i];
		struct egret_seen seen;
		uint64_t before;
		pid_t pid;
		int fd;

		as_before(c.flags);
		server_is = serve(c.at, &on);
		line->ask = line->done = 0;
		pid = task_start(H[A1].cgroup, H[A1].netns, corked_fn, &c);
		wait_done(1);
		need(line->r, c.to);
		fd = socket_of(pid, line->fd);
		assert_int_equal(flows_of(fd, &seen), 1);
		assert_true(seen.flow[0].left != 0);
		before = refused(EGRET_R_PACKET);
		line->ask = 2;
		wait_done(2);
		assert_int_equal(line->r, c.turns ? EPERM : 0);
		assert_int_equal(refused(EGRET_R_PACKET), before + c.turns);
		stop(pid);
		stop(server_is);
		close(fd);
	}
	as_before(0);
}

/* Shared with the task that writes the record and the one that sends. */
static struct {
	volatile unsigned hold, held;
} * between;

static int sink_fn(void *arg)
{
	line->r = udp_at(H[A2].four, PORT) < 0 ? errno : 0;
	(void)arg;
	line->done = 1;
	pause();
	return 0;
}

static void wait_word(volatile unsigned *word, unsigned is)
{
	while (*word != is)
		sched_yield();
}

/* One process sends without end, the other turns the socket from a member to the resolver. */
static int between_fn(void *arg)
{
	int fd = udp_at("0.0.0.0", HERE), r = 0;
	(void)arg;

	alarm(120);
	line->fd = fd;
	if (fd < 0) {
		line->r = errno;
		line->done = 1;
		return errno;
	}
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(120);
		for (;;) {
			if (between->hold) {
				between->held = 1;
				wait_word(&between->hold, 0);
				between->held = 0;
			}
			(void)!send(fd, "x", 1, MSG_DONTWAIT);
		}
	}
	for (unsigned told = 1;; told++) {
		if (!r)
			r = udp_to(fd, H[A2].four, PORT);
		between->hold = 0;
		wait_word(&between->held, 0);
		for (volatile unsigned n = told * 7 % 4096; n; n--)
			;
		if (!r)
			r = udp_to(fd, "198.51.100.53", 53);
		between->hold = 1;
		wait_word(&between->held, 1);
		line->r = r;
		line->done = told;
		wait_word(&line->ask, told);
	}
}

/* The record is written while a packet is under the whole check: what that found is not kept. When
 * the packet is through and the record says the resolver, no way out to the member is left. */
static void test_written_between(void **state)
{
	unsigned rounds = slow() ? 300 : 3000, kept = 0;
	int map = map_of("egret_seen"), fd = -1;
	struct egret_seen seen;
	pid_t sink, pid;
	uint8_t to[16];
	(void)state;

	as_before(EGRET_CG_SERVICES);
	addr16(H[A2].four, to);
	line->ask = line->done = between->hold = between->held = 0;
	sink = task_start(H[A2].cgroup, H[A2].netns, sink_fn, NULL);
	wait_done(1);
	need(line->r, "sink");
	line->done = 0;
	pid = task_start(H[A1].cgroup, H[A1].netns, between_fn, NULL);
	for (unsigned n = 1; n <= rounds; n++) {
		wait_word(&line->done, n);
		need(line->r, "turn");
		if (fd < 0)
			fd = socket_of(pid, line->fd);
		if (bpf_map_lookup_elem(map, &fd, &seen) == 0)
			for (int i = 0; i < EGRET_SEEN_FLOWS; i++)
				kept += seen.flow[i].left && !memcmp(seen.flow[i].far, to, 16);
		line->ask = n;
	}
	stop(pid);
	stop(sink);
	close(fd);
	close(map);
	as_before(0);
	assert_int_equal(kept, 0);
}

static int open_both(void **state)
{
	between = mmap(NULL, sizeof(*between), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	assert_true(between != MAP_FAILED);
	return open_all(state);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_heard_only),	cmocka_unit_test(test_many_peers),
		cmocka_unit_test(test_record_written),	cmocka_unit_test(test_record_of_before),
		cmocka_unit_test(test_written_between),
	};

	return cmocka_run_group_tests_name("seen_udp", all, open_both, town_close);
}

int main(void)
{
	return kept(tests);
}
