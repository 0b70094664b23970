/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P1: what a hostile job could make of the ways to its members and of answering. The wire of the
 * town is watched; where a try could fail for a reason of its own, the same is done from outside
 * the job first, to see that the wire tells.
 */
#include "kernel/town.h"

#define FAR4 "10.77.0.9"
#define FAR6 "2001:db8:77::9"

static struct dial on_tcp = { .ip = "::", .port = 5432, .type = SOCK_STREAM };
static struct dial on_udp = { .ip = "::", .port = 5432, .type = SOCK_DGRAM };

static int named(int fd, const char *to, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of(to, port, &ss);

	return sendto(fd, "x", 1, MSG_NOSIGNAL, (void *)&ss, len) == 1 ? 0 : errno;
}

static int joined(int fd, const char *to, uint16_t port)
{
	struct timeval tv = { .tv_usec = 300000 };
	struct sockaddr_storage ss;
	socklen_t len = sa_of(to, port, &ss);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return connect(fd, (void *)&ss, len) < 0 ? errno : 0;
}

static int parted(int fd)
{
	struct sockaddr_storage none = { .ss_family = AF_UNSPEC };

	return connect(fd, (void *)&none, sizeof(none)) < 0 ? errno : 0;
}

/* Each step must end as it should; the first that does not is told by its number. */
#define STEP(n, want, what)                             \
	do {                                            \
		if ((what) != (want))                   \
			return 1000 + (n)*200 + (what); \
	} while (0)

static int udp_fn(void *arg)
{
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET6, SOCK_DGRAM, 0);

	(void)arg;
	STEP(1, 0, joined(a, H[A2].four, 5432));
	STEP(2, EPERM, named(a, FAR4, 9));
	STEP(3, EPERM, joined(a, FAR4, 9));
	STEP(4, 0, parted(a));
	STEP(5, EPERM, named(a, FAR4, 9));
	STEP(6, EDESTADDRREQ, send(a, "x", 1, 0) == 1 ? 0 : errno);
	STEP(7, 0, named(b, H[A2].six, 5432));
	STEP(8, EPERM, named(b, FAR6, 9));
	STEP(9, EPERM, named(b, "::ffff:" FAR4, 9));
	STEP(10, EPERM, named(b, H[B1].six, 9));
	STEP(11, 0, joined(b, H[A2].six, 5432));
	STEP(12, EPERM, named(b, FAR6, 9));
	STEP(13, 0, parted(b));
	STEP(14, EPERM, joined(b, FAR6, 9));
	return 0;
}

static void test_udp_turns(void **state)
{
	pid_t pid = serve(A2, &on_udp);
	(void)state;

	assert_int_equal(task_run(W.a_fd, H[A1].netns, udp_fn, NULL), 0);
	stop(pid);
	assert_int_equal(leaked(), 0);
}

/* The same socket asks the resolver and a member, in turns. */
static int both_fn(void *arg)
{
	struct timeval tv = { .tv_sec = 1 };
	int a = socket(AF_INET, SOCK_DGRAM, 0);
	char b;

	(void)arg;
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	for (int i = 0; i < 3; i++) {
		STEP(1, 0, named(a, "198.51.100.1", 53));
		STEP(2, 0, named(a, H[A2].four, 5432));
		STEP(3, 1, (int)recv(a, &b, 1, 0));
		STEP(4, EPERM, named(a, FAR4, 9));
	}
	return 0;
}

static void test_resolver_and_member(void **state)
{
	pid_t pid = serve(A2, &on_udp);
	char b[8];
	(void)state;

	assert_int_equal(task_run(W.a_fd, H[A1].netns, both_fn, NULL), 0);
	assert_int_equal(server->asked, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(recv(H[A1].ns.dns_udp4, b, sizeof(b), MSG_DONTWAIT), 1);
	stop(pid);
	assert_int_equal(leaked(), 0);
}

static int tcp_fn(void *arg)
{
	const char *far = arg;
	bool six = strchr(far, ':') != NULL;
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	STEP(1, 0, joined(fd, six ? H[A2].six : H[A2].four, 5432));
	STEP(2, 0, parted(fd));
	STEP(3, 0, joined(fd, far, 9)); /* to the proxy */
	return 0;
}

static void test_tcp_again(void **state)
{
	pid_t pid = serve(A2, &on_tcp);
	struct egret_record rec = { 0 };
	(void)state;

	assert_int_equal(task_run(W.a_fd, H[A1].netns, tcp_fn, (void *)FAR4), 0);
	need(taken(H[A1].ns.tcp4, &rec), "not turned");
	assert_int_equal(rec.flags, EGRET_REC_REDIRECTED);
	assert_int_equal(task_run(W.a_fd, H[A1].netns, tcp_fn, (void *)FAR6), 0);
	need(taken(H[A1].ns.tcp6, &rec), "not turned");
	stop(pid);
	assert_int_equal(leaked(), 0);
}

static int fast_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of(arg, 5432, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);
	struct timeval tv = { .tv_usec = 300000 };
	char b;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&ss, len) != 1)
		return errno;
	return recv(fd, &b, 1, 0) == 1 ? 0 : ETIMEDOUT;
}

static void test_fast_open(void **state)
{
	pid_t pid = serve(A2, &on_tcp);
	struct egret_record rec = { 0 };
	(void)state;

	assert_int_equal(task_run(W.a_fd, H[A1].netns, fast_fn, (void *)H[A2].four), 0);
	assert_int_equal(task_run(W.a_fd, H[A1].netns, fast_fn, (void *)FAR4), ETIMEDOUT);
	need(taken(H[A1].ns.tcp4, &rec), "not turned");
	stop(pid);
	assert_int_equal(leaked(), 0);
}

static void test_mptcp(void **state)
{
	struct dial d = {
		.ip = H[A2].four, .port = 5432, .type = SOCK_STREAM, .proto = IPPROTO_MPTCP
	};
	pid_t pid = serve(A2, &on_tcp);
	int r = task_run(W.a_fd, H[A1].netns, dial_fn, &d);
	(void)state;

	assert_true(r == 0 || r == EPROTONOSUPPORT || r == ENOPROTOOPT);
	d.ip = FAR4;
	task_run(W.a_fd, H[A1].netns, dial_fn, &d);
	taken(H[A1].ns.tcp4, &(struct egret_record){ 0 });
	stop(pid);
	assert_int_equal(leaked(), 0);
}

/* The name says member, the route says elsewhere; also by way of a member. */
struct route {
	const char *hop, *to;
	int type;
};

static int route_fn(void *arg)
{
	const struct route *v = arg;
	uint8_t opt[8] = { 1, 131, 7, 4 }, srh[8 + 32] = { 0, 4, 4, 1, 1 };
	bool six = strchr(v->to, ':') != NULL;
	int fd = socket(six ? AF_INET6 : AF_INET, v->type | SOCK_NONBLOCK, 0), r;

	inet_pton(AF_INET, six ? "0.0.0.0" : v->hop, opt + 4);
	inet_pton(AF_INET6, six ? v->hop : "::", srh + 8 + 16);
	if (six ? setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, srh, sizeof(srh))
		: setsockopt(fd, IPPROTO_IP, IP_OPTIONS, opt, sizeof(opt)))
		return ENOPROTOOPT;
	r = v->type == SOCK_DGRAM ? named(fd, v->to, 5432) : joined(fd, v->to, 5432);
	usleep(20000);
	return r == EINPROGRESS ? 0 : r;
}

static void test_routes(void **state)
{
	const struct route rows[] = {
		{ FAR4, H[A2].four, SOCK_DGRAM },	{ FAR4, H[A2].four, SOCK_STREAM },
		{ FAR6, H[A2].six, SOCK_DGRAM },	{ FAR6, H[A2].six, SOCK_STREAM },
		{ H[A2].four, H[A1].four, SOCK_DGRAM }, { H[A2].four, H[A1].four, SOCK_STREAM },
		{ H[A2].six, H[A1].six, SOCK_DGRAM },	{ H[A2].six, H[A1].six, SOCK_STREAM },
	};
	unsigned seen = 0;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t was = refused(EGRET_R_PACKET);
		struct route v = rows[i];
		int r = task_run(-1, H[A1].netns, route_fn, &v);

		if (r == ENOPROTOOPT)
			continue;
		seen += leaked() > 0;
		task_run(W.a_fd, H[A1].netns, route_fn, &v);
		assert_int_equal(leaked(), 0);
		assert_true(refused(EGRET_R_PACKET) > was);
	}
	assert_true(seen >= 2);
}

/* A socket that was made elsewhere. */
static int moved_fn(void *arg)
{
	int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	STEP(1, 0, -cgroup_add(W.a_fd, 0));
	STEP(2, EPERM, named(udp, H[A2].four, 5432));
	STEP(3, EPERM, joined(udp, H[A2].four, 5432));
	STEP(4, EPERM, joined(tcp, H[A2].four, 5432));
	return 0;
}

static void test_foreign_socket(void **state)
{
	(void)state;
	assert_int_equal(task_run(W.b_fd, H[A1].netns, moved_fn, NULL), 0);
	assert_int_equal(leaked(), 0);
}

/* ---- accepted sockets ---- */

/* Accepts one, then does with the socket what it can; then answers, when told to. */
static int accepted_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of("0.0.0.0", 5432, &ss);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, at;
	bool again = arg != NULL;
	char b;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&ss, len) < 0 || listen(fd, 4) < 0)
		return errno;
	server->ready = 1;
	at = accept(fd, NULL, NULL);
	if (at < 0 || recv(at, &b, 1, 0) != 1)
		return EIO;
	said->n = 1;
	if (again) {
		STEP(1, 0, parted(at));
		STEP(2, 0, joined(at, FAR4, 9)); /* to the proxy */
		return 0;
	}
	while (!((volatile struct said *)said)->text[0])
		usleep(1000);
	STEP(3, 1, (int)send(at, "y", 1, MSG_NOSIGNAL));
	usleep(50000);
	return 0;
}

/* One byte from a house that is not governed, in a process of its own. */
static pid_t outsider(int house, const char *to, uint16_t port)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct timeval tv = { .tv_usec = 500000 };
		struct sockaddr_storage ss;
		socklen_t len = sa_of(to, port, &ss);
		int fd;
		char b;

		alarm(20);
		if (setns(H[house].netns, CLONE_NEWNET) < 0)
			_exit(1);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		if (connect(fd, (void *)&ss, len) < 0 || send(fd, "x", 1, 0) != 1)
			_exit(2);
		_exit(recv(fd, &b, 1, 0) == 1 ? 0 : 3);
	}
	return pid;
}

static int ended(pid_t pid)
{
	int st = 0;

	waitpid(pid, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static void accepting(void *arg, pid_t *ret_server, pid_t *ret_client)
{
	server->ready = 0;
	*ret_server = task_start(H[A2].cgroup, H[A2].netns, accepted_fn, arg);
	for (int i = 0; i < 5000 && !server->ready; i++)
		usleep(1000);
	*ret_client = outsider(STRANGER, H[A2].four, 5432);
	for (int i = 0; i < 5000 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	assert_int_equal(said->n, 1);
}

static void test_accepted_goes_elsewhere(void **state)
{
	struct egret_record rec = { 0 };
	pid_t s, c;
	(void)state;

	flags_a(EGRET_CG_INBOUND);
	accepting(W.instance, &s, &c);
	assert_int_equal(task_wait(s), 0);
	need(taken(H[A2].ns.tcp4, &rec), "not turned");
	ended(c);
	leaked();
}

/* Inbound is closed while a connection stands: no answer leaves any more. */
static void test_inbound_taken_back(void **state)
{
	pid_t s, c;
	(void)state;

	for (int back = 0; back < 2; back++) {
		flags_a(EGRET_CG_INBOUND);
		accepting(NULL, &s, &c);
		if (back) {
			flags_a(EGRET_CG_SERVICES);
			leaked();
		}
		said->text[0] = 1;
		assert_int_equal(task_wait(s), 0);
		assert_int_equal(ended(c), back ? 3 : 0);
		if (back)
			assert_int_equal(leaked(), 0);
	}
	/* And none gets in. */
	leaked();
	s = serve(A2, &on_tcp);
	assert_int_equal(ended(outsider(STRANGER, H[A2].four, 5432)), 2);
	assert_int_equal(leaked(), 0);
	stop(s);
}

/* With inbound allowed a job may answer, and nothing else. */
static int speaks_first_fn(void *arg)
{
	int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
	int udp6 = socket(AF_INET6, SOCK_DGRAM, 0);

	(void)arg;
	STEP(1, EPERM, named(udp, FAR4, 9));
	STEP(2, EPERM, joined(udp, FAR4, 9));
	STEP(3, EPERM, named(udp6, FAR6, 9));
	STEP(4, EPERM, named(udp, H[HOST].four, 9));
	STEP(5, 0, joined(tcp, FAR4, 9)); /* to the proxy */
	return 0;
}

static void test_inbound_is_not_outbound(void **state)
{
	(void)state;
	flags_a(EGRET_CG_SERVICES | EGRET_CG_INBOUND | EGRET_CG_PUBLISHED);
	assert_int_equal(task_run(W.a_fd, H[A1].netns, speaks_first_fn, NULL), 0);
	need(taken(H[A1].ns.tcp4, &(struct egret_record){ 0 }), "not turned");
	assert_int_equal(leaked(), 0);
	flags_a(EGRET_CG_SERVICES);
}

static int bypass_open(void **state)
{
	int r = town_open(state);

	if (!r)
		flags_a(EGRET_CG_SERVICES);
	return r;
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_udp_turns),
		cmocka_unit_test(test_resolver_and_member),
		cmocka_unit_test(test_tcp_again),
		cmocka_unit_test(test_fast_open),
		cmocka_unit_test(test_mptcp),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_foreign_socket),
		cmocka_unit_test(test_accepted_goes_elsewhere),
		cmocka_unit_test(test_inbound_taken_back),
		cmocka_unit_test(test_inbound_is_not_outbound),
	};

	return cmocka_run_group_tests(all, bypass_open, town_close);
}

int main(void)
{
	return kept(tests);
}
