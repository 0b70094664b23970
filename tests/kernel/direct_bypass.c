/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P1: what a hostile job could make of a rule `direct`. The wire of the town is watched, before the
 * wall at the link; the last wall alone is asked where a socket could come by it.
 */
#include "kernel/direct.h"

static struct dial on_tcp = { .ip = "::", .port = 5432, .type = SOCK_STREAM };
static struct dial on_udp = { .ip = "::", .port = 5432, .type = SOCK_DGRAM };

static void open_all(void)
{
	RULES(POLICY, rule(FAR4, 5432, 5432, false), rule(FAR4, 5432, 5432, true),
	      rule(FAR6, 5432, 5432, false), rule(FAR6, 5432, 5432, true));
	has_policy(EGRET_CG_DIRECT, POLICY);
}

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

/* A socket that was made elsewhere, also by a job that has the rule. */
static int moved_fn(void *arg)
{
	int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	STEP(1, 0, -cgroup_add(W.a_fd, 0));
	STEP(2, EPERM, named(udp, FAR4, 5432));
	STEP(3, EPERM, joined(udp, FAR4, 5432));
	STEP(4, EPERM, joined(tcp, FAR4, 5432));
	return 0;
}

static void test_foreign_socket(void **state)
{
	struct egret_cgroup v = { JOB_B, EGRET_CG_READY | EGRET_CG_DIRECT, POLICY };
	(void)state;

	open_all();
	need(kernel_cgroup_put(W.k, W.b, &v), "put");
	assert_int_equal(task_run(W.b_fd, H[A1].netns, moved_fn, NULL), 0);
	assert_int_equal(leaked(), 0);
	need(kernel_cgroup_set(W.k, W.b, JOB_B, EGRET_CG_READY), "set");
}

/* Two jobs, two policies: each has its own and not the other's. */
static void test_other_job(void **state)
{
	struct egret_cgroup v = { JOB_B, EGRET_CG_READY | EGRET_CG_DIRECT, OTHER };
	struct dial d = { .ip = FAR4, .port = 5432, .type = SOCK_STREAM };
	pid_t pid = serve(STRANGER, &on_tcp);
	struct egret_record rec = { 0 };
	(void)state;

	open_all();
	RULES(OTHER, rule(FAR4, 5433, 5433, false));
	need(kernel_cgroup_put(W.k, W.b, &v), "put");
	assert_int_equal(task_run(W.b_fd, H[B1].netns, dial_fn, &d), 0);
	need(taken(H[B1].ns.tcp4, &rec), "not turned");
	assert_true(rec.job == JOB_B && rec.flags == EGRET_REC_REDIRECTED);
	assert_int_equal(talk(B1, FAR4, 5433, SOCK_STREAM), ECONNREFUSED);
	assert_int_equal(talk(B1, FAR4, 5432, SOCK_DGRAM), EPERM);
	assert_int_equal(server->asked, 0);
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_STREAM), 0);
	is_turned(FAR4, 5433);
	need(kernel_cgroup_set(W.k, W.b, JOB_B, EGRET_CG_READY), "set");
	stop(pid);
	leaked();
}

/* What is never direct, whatever the table says. */
static void test_never(void **state)
{
	static const char *const shut[] = { "0.0.0.0",	 "169.254.169.254",
					    "224.0.0.1", "255.255.255.255",
					    "fe80::1",	 "ff02::1",
					    "::" };
	static const char *const turned[] = { "10.77.0.1", "2001:db8:77::1", "168.63.129.16",
					      "100.100.100.200", "fd00:ec2::254" };
	(void)state;

	RULES(POLICY, rule("0.0.0.0/1", 1, 65535, false), rule("128.0.0.0/1", 1, 65535, false),
	      rule("0.0.0.0/1", 1, 65535, true), rule("128.0.0.0/1", 1, 65535, true),
	      rule("::/1", 1, 65535, false), rule("8000::/1", 1, 65535, false),
	      rule("::/1", 1, 65535, true), rule("8000::/1", 1, 65535, true));
	has_policy(EGRET_CG_DIRECT, POLICY);
	events();
	for (size_t i = 0; i < ARRAY_SIZE(shut); i++) {
		struct dial d = { .ip = shut[i], .port = 443, .type = SOCK_STREAM };

		assert_int_equal(task_run(W.a_fd, H[A1].netns, dial_fn, &d), EPERM);
		assert_int_equal(talk(A1, shut[i], 443, SOCK_DGRAM), EPERM);
	}
	for (size_t i = 0; i < ARRAY_SIZE(turned); i++) {
		is_turned(turned[i], 443);
		assert_int_equal(talk(A1, turned[i], 443, SOCK_DGRAM), EPERM);
	}
	/* Names are asked of the job's resolver alone. */
	{
		struct dial d = { .ip = FAR4, .port = 53, .type = SOCK_DGRAM };
		char b[8];

		assert_int_equal(task_run(W.a_fd, H[A1].netns, dial_fn, &d), 0);
		d.sport = 1;
		task_run(W.a_fd, H[A1].netns, talk_fn, &d);
		assert_int_equal(recv(H[A1].ns.dns_udp4, b, sizeof(b), MSG_DONTWAIT), 1);
	}
	assert_int_equal(events(), 0);
	assert_int_equal(leaked(), 0);
}

/* One socket in turns: each address is judged for itself. */
static int turns_fn(void *arg)
{
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET6, SOCK_DGRAM, 0);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	STEP(1, 0, joined(a, FAR4, 5432));
	STEP(2, EPERM, named(a, FAR4, 9));
	STEP(3, EPERM, named(a, H[B1].four, 5432));
	STEP(4, EPERM, joined(a, H[B1].four, 5432));
	STEP(5, 0, parted(a));
	STEP(6, EDESTADDRREQ, send(a, "x", 1, 0) == 1 ? 0 : errno);
	STEP(7, 0, named(b, FAR6, 5432));
	STEP(8, EPERM, named(b, H[B1].six, 5432));
	STEP(9, EPERM, named(b, "::ffff:10.77.0.4", 5432));
	STEP(10, 0, joined(tcp, FAR4, 5432));
	STEP(11, 0, parted(tcp));
	STEP(12, 0, joined(tcp, H[B1].four, 5432)); /* to the proxy */
	return 0;
}

static unsigned to_b(void)
{
	unsigned n = 0;
	uint8_t four[16], six[16], b[2048];
	ssize_t got;

	addr16(H[B1].four, four);
	addr16(H[B1].six, six);
	usleep(30000);
	while ((got = recv(wire, b, sizeof(b), 0)) > 0) {
		n += got >= 20 && b[0] >> 4 == 4 && !memcmp(b + 16, four + 12, 4);
		n += got >= 40 && b[0] >> 4 == 6 && b[6] != 58 && !memcmp(b + 24, six, 16);
	}
	return n;
}

static void test_turns(void **state)
{
	pid_t tcp = serve(STRANGER, &on_tcp);
	(void)state;

	open_all();
	leaked();
	assert_int_equal(task_run(W.a_fd, H[A1].netns, turns_fn, NULL), 0);
	need(taken(H[A1].ns.tcp4, &(struct egret_record){ 0 }), "not turned");
	assert_int_equal(to_b(), 0);
	stop(tcp);
}

/* The name says the stranger, the route says another house; shown from outside the job first. */
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
		{ H[B1].four, FAR4, SOCK_DGRAM },  { H[B1].six, FAR6, SOCK_DGRAM },
		{ H[B1].four, FAR4, SOCK_STREAM }, { H[B1].six, FAR6, SOCK_STREAM },
		{ FAR4, FAR4, SOCK_DGRAM },	   { FAR6, FAR6, SOCK_DGRAM },
	};
	unsigned seen = 0;
	(void)state;

	open_all();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t was = refused(EGRET_R_PACKET);
		struct route v = rows[i];

		leaked();
		if (task_run(-1, H[A1].netns, route_fn, &v) == ENOPROTOOPT)
			continue;
		seen += leaked() > 0;
		task_run(W.a_fd, H[A1].netns, route_fn, &v);
		assert_int_equal(leaked(), 0);
		assert_true(refused(EGRET_R_PACKET) > was);
	}
	assert_true(seen >= 2);
}

/* A socket that was direct and listens: the stranger comes from the very port, and is not let in.
 */
static int listens_fn(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct sockaddr_storage ss;
	socklen_t len = sa_of("0.0.0.0", 6000, &ss);

	(void)arg;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	STEP(1, 0, bind(fd, (void *)&ss, len) ? errno : 0);
	STEP(2, 0, joined(fd, FAR4, 5432));
	STEP(3, 0, parted(fd));
	STEP(4, 0, listen(fd, 4) ? errno : 0);
	said->n = 1;
	return accept(fd, NULL, NULL) >= 0 ? 0 : errno;
}

static int knock_fn(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct sockaddr_storage ss;
	socklen_t len = sa_of("0.0.0.0", 5432, &ss);
	(void)arg;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	STEP(1, 0, bind(fd, (void *)&ss, len) ? errno : 0);
	return joined(fd, H[A1].four, 6000);
}

static void test_listener(void **state)
{
	pid_t pid = serve(STRANGER, &on_tcp), c, k;
	uint64_t was;
	int st = 0;
	(void)state;

	open_all();
	was = refused(EGRET_R_INBOUND);
	c = task_start(W.a_fd, H[A1].netns, listens_fn, NULL);
	for (int i = 0; i < 5000 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	assert_int_equal(said->n, 1);
	stop(pid); /* its port is free */
	k = fork();
	if (k == 0) {
		if (setns(H[STRANGER].netns, CLONE_NEWNET) < 0)
			_exit(1);
		st = knock_fn(NULL);
		_exit(st == EINPROGRESS || st == ETIMEDOUT || st == EAGAIN ? 0 : 2);
	}
	waitpid(k, &st, 0);
	assert_true(WIFEXITED(st) && WEXITSTATUS(st) == 0);
	assert_true(refused(EGRET_R_INBOUND) > was);
	stop(c);
	leaked();
}

/* Datagrams come in from what is named, and from nobody else. */
static int bound_fn(void *arg)
{
	struct timeval tv = { .tv_usec = 500000 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_storage ss;
	socklen_t len = sa_of("0.0.0.0", 6001, &ss);
	char b[4];
	(void)arg;

	STEP(1, 0, bind(fd, (void *)&ss, len) ? errno : 0);
	STEP(2, 0, named(fd, FAR4, 5432));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	STEP(3, 1, (int)recv(fd, b, sizeof(b), 0));
	said->n = 1;
	STEP(4, -1, (int)recv(fd, b, sizeof(b), 0));
	return 0;
}

static int throw_fn(void *arg)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)arg;
	return named(fd, H[A1].four, 6001);
}

static void test_inbound(void **state)
{
	pid_t pid = serve(STRANGER, &on_udp), c, k;
	uint64_t was;
	int st = 0;
	(void)state;

	open_all();
	was = refused(EGRET_R_INBOUND);
	c = task_start(W.a_fd, H[A1].netns, bound_fn, NULL);
	for (int i = 0; i < 5000 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	assert_int_equal(said->n, 1);
	k = fork(); /* the stranger again, from another port */
	if (k == 0)
		_exit(setns(H[STRANGER].netns, CLONE_NEWNET) < 0 || throw_fn(NULL));
	waitpid(k, &st, 0);
	assert_int_equal(st, 0);
	assert_int_equal(task_wait(c), 0);
	assert_true(refused(EGRET_R_INBOUND) > was);
	stop(pid);
	leaked();
}

/* What cannot be told is not done. */
static int flood_fn(void *arg)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)arg;
	for (unsigned i = 0; i < 15000; i++)
		if (named(fd, H[B1].four, 9) != EPERM)
			return EIO;
	return 0;
}

static void test_full_ring(void **state)
{
	pid_t pid = serve(STRANGER, &on_tcp);
	uint64_t was;
	(void)state;

	open_all();
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_STREAM), 0);
	was = refused(EGRET_R_STORAGE);
	assert_int_equal(task_run(W.a_fd, H[A1].netns, flood_fn, NULL), 0);
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_STREAM), EPERM);
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_DGRAM), EPERM);
	assert_int_equal(refused(EGRET_R_STORAGE), was + 3);
	events();
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_STREAM), 0);
	assert_int_equal(events(), 1);
	stop(pid);
	leaked();
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_foreign_socket), cmocka_unit_test(test_other_job),
		cmocka_unit_test(test_never),	       cmocka_unit_test(test_turns),
		cmocka_unit_test(test_routes),	       cmocka_unit_test(test_listener),
		cmocka_unit_test(test_inbound),	       cmocka_unit_test(test_full_ring),
	};

	return cmocka_run_group_tests(all, town_open, town_close);
}

int main(void)
{
	return kept(tests);
}
