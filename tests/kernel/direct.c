/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules `direct`: what they name is reached as asked, by the jobs that have the rule and a link,
 * and told; nothing else is, and what a reload takes away ends for what stands, too.
 */
#include "kernel/direct.h"
#include <time.h>

static struct dial on_tcp = { .ip = "::", .port = 5432, .type = SOCK_STREAM };
static struct dial on_udp = { .ip = "::", .port = 5432, .type = SOCK_DGRAM };

static void both_families(void)
{
	RULES(POLICY, rule("10.77.0.8/29", 5432, 5433, false), rule(FAR6, 5432, 5433, false));
}

/* Without the flag, without a policy, with another's: any address is the proxy's, UDP refused. */
static void test_without(void **state)
{
	pid_t pid = serve(STRANGER, &on_tcp);
	const uint32_t rows[][2] = { { 0, POLICY },
				     { EGRET_CG_DIRECT, 0 },
				     { EGRET_CG_DIRECT, OTHER } };
	(void)state;

	RULES(POLICY, rule(FAR4, 1, 65535, false), rule(FAR4, 1, 65535, true),
	      rule(FAR6, 1, 65535, false), rule(FAR6, 1, 65535, true));
	RULES(OTHER, rule("10.77.0.128/25", 5432, 5432, false));
	events();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		has_policy(rows[i][0], rows[i][1]);
		is_turned(FAR4, 5432);
		is_turned(FAR6, 5432);
		is_turned(MAPPED, 5432);
		assert_int_equal(talk(A1, FAR4, 5432, SOCK_DGRAM), EPERM);
		assert_int_equal(talk(A1, FAR6, 5432, SOCK_DGRAM), EPERM);
	}
	assert_int_equal(events(), 0);
	assert_int_equal(server->asked, 0);
	assert_int_equal(leaked(), 0);
	/* Not ready: refused, whatever the rule says. */
	{
		struct dial d = { .ip = FAR4, .port = 5432, .type = SOCK_STREAM };
		struct egret_cgroup v = { JOB_A, EGRET_CG_DIRECT, POLICY };

		need(kernel_cgroup_put(W.k, W.a, &v), "put");
		assert_int_equal(task_run(W.a_fd, H[A1].netns, dial_fn, &d), EPERM);
	}
	stop(pid);
}

static void test_tcp(void **state)
{
	const char *ways[] = { FAR4, MAPPED, FAR6 };
	pid_t pid = serve(STRANGER, &on_tcp);
	(void)state;

	both_families();
	has_policy(EGRET_CG_DIRECT, POLICY);
	events();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct dial d = { .ip = ways[i], .port = 5432, .type = SOCK_STREAM };
		uint8_t want[16], shown[16];

		assert_int_equal(talk(A1, ways[i], 5432, SOCK_STREAM), 0);
		assert_int_equal(events(), 1);
		addr16(ways[i], want);
		assert_memory_equal(last.record.addr, want, 16);
		assert_true(last.record.job == JOB_A && last.record.cgroup == W.a);
		assert_true(last.record.port == 5432 && last.record.proto == IPPROTO_TCP);
		assert_int_equal(last.reason, EGRET_OK);
		assert_string_equal(last.record.comm, comm());
		/* The peer is the one that was asked for; nobody had to say so. */
		assert_int_equal(task_run(W.a_fd, H[A1].netns, dial_fn, &d), 0);
		if (said->peer.sin6_family == AF_INET) {
			const struct sockaddr_in *four = (const void *)&said->peer;

			assert_memory_equal(&four->sin_addr, want + 12, 4);
			assert_int_equal(ntohs(four->sin_port), 5432);
		} else {
			memcpy(shown, &said->peer.sin6_addr, 16);
			assert_memory_equal(shown, want, 16);
			assert_int_equal(ntohs(said->peer.sin6_port), 5432);
		}
		assert_int_equal(events(), 1);
		/* Nobody serves this one: the stranger says so. */
		assert_int_equal(talk(A1, ways[i], 5433, SOCK_STREAM), ECONNREFUSED);
		assert_int_equal(events(), 1);
		is_turned(ways[i], 5434);
		is_turned(ways[i], 5431);
		assert_int_equal(events(), 0);
	}
	/* The block's other addresses; what is beside it is the proxy's. */
	is_turned("10.77.0.16", 5432);
	is_turned("2001:db8:77::a", 5432);
	/* A TCP rule opens no UDP. */
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_DGRAM), EPERM);
	assert_int_equal(talk(A1, FAR6, 5432, SOCK_DGRAM), EPERM);
	assert_int_equal(server->answer, 0);
	stop(pid);
}

/* The device of the link may be named: the way is the job's own. */
static void test_device(void **state)
{
	struct dial d = { .ip = FAR4, .port = 5432, .type = SOCK_STREAM, .device = "eth0" };
	pid_t pid = serve(STRANGER, &on_tcp);
	(void)state;

	both_families();
	has_policy(EGRET_CG_DIRECT, POLICY);
	assert_int_equal(task_run(W.a_fd, H[A1].netns, dial_fn, &d), 0);
	for (int i = 0; i < 1000 && !server->asked; i++)
		usleep(1000);
	assert_int_equal(server->asked, 1);
	stop(pid);
}

/* The wall at the link asks for itself. */
static void test_link(void **state)
{
	static const char *const ways[] = { FAR4, FAR6 };
	const uint32_t rows[][2] = { { 0, POLICY },
				     { EGRET_CG_DIRECT, 0 },
				     { EGRET_CG_DIRECT, OTHER } };
	pid_t pid = serve(STRANGER, &on_tcp);
	(void)state;

	both_families();
	RULES(OTHER, rule(FAR4, 5433, 5433, false), rule(FAR6, 5433, 5433, false));
	has_policy(EGRET_CG_DIRECT, POLICY);
	for (size_t i = 0; i < ARRAY_SIZE(rows) * ARRAY_SIZE(ways); i++) {
		uint64_t was = refused(EGRET_R_LINK);

		link_has(rows[i / 2][0], rows[i / 2][1]);
		assert_int_equal(talk(A1, ways[i % 2], 5432, SOCK_STREAM), ETIMEDOUT);
		assert_true(refused(EGRET_R_LINK) > was);
	}
	assert_int_equal(server->asked, 0);
	link_has(EGRET_CG_DIRECT, POLICY);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		assert_int_equal(talk(A1, ways[i], 5432, SOCK_STREAM), 0);
	stop(pid);
	leaked();
}

static int datagrams_fn(void *arg)
{
	static const char *const to[] = { FAR4, FAR4, FAR4, "10.77.0.10", FAR4 };
	struct timeval tv = { .tv_sec = 1 };
	struct sockaddr_storage ss;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len;
	char b;
	(void)arg;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
		len = sa_of(to[i], 5432, &ss);
		if (sendto(fd, "x", 1, 0, (void *)&ss, len) != 1)
			return errno;
		if (i != 3 && recv(fd, &b, 1, 0) != 1)
			return ETIMEDOUT;
	}
	len = sa_of(FAR4, 5433, &ss); /* another port is another destination */
	return sendto(fd, "x", 1, 0, (void *)&ss, len) == 1 ? 0 : errno;
}

static void test_udp(void **state)
{
	const char *ways[] = { FAR4, MAPPED, FAR6 };
	pid_t pid = serve(STRANGER, &on_udp);
	(void)state;

	RULES(POLICY, rule("10.77.0.8/29", 5432, 5433, true), rule(FAR6, 5432, 5432, true));
	has_policy(EGRET_CG_DIRECT, POLICY);
	events();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		/* Connected, and by a named datagram. */
		assert_int_equal(talk(A1, ways[i], 5432, SOCK_DGRAM), 0);
		assert_int_equal(events(), 2);
		assert_int_equal(last.record.proto, IPPROTO_UDP);
		assert_int_equal(talk(A1, ways[i], 5440, SOCK_DGRAM), EPERM);
		is_turned(ways[i], 5432); /* no TCP by a UDP rule */
	}
	events();
	/* Told once for each new destination: three to one, one to another, back, another port. */
	assert_int_equal(task_run(W.a_fd, H[A1].netns, datagrams_fn, NULL), 0);
	assert_int_equal(events(), 4);
	stop(pid);
}

/* One socket asks the resolver, a member and a direct address in turns. */
static int turns_fn(void *arg)
{
	struct timeval tv = { .tv_sec = 2 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	const struct {
		const char *to;
		uint16_t port;
	} rows[] = { { "198.51.100.1", 53 }, { FAR4, 5432 }, { H[A2].four, 5440 } };
	char b;
	(void)arg;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	for (int n = 0; n < 6; n++) {
		struct sockaddr_storage ss, from = { 0 };
		socklen_t len = sa_of(rows[n % 3].to, rows[n % 3].port, &ss), flen = sizeof(from);

		if (sendto(fd, "x", 1, 0, (void *)&ss, len) != 1)
			return 1000 + n * 100 + errno;
		if (n % 3 != 1)
			continue;
		if (recvfrom(fd, &b, 1, 0, (void *)&from, &flen) != 1)
			return 2000 + n * 100 + errno;
		if (memcmp(&((struct sockaddr_in *)&from)->sin_addr,
			   &((struct sockaddr_in *)&ss)->sin_addr, 4))
			return ESTALE;
	}
	return 0;
}

static void test_turns(void **state)
{
	pid_t pid = serve(STRANGER, &on_udp);
	char b[8];
	(void)state;

	RULES(POLICY, rule(FAR4, 5432, 5432, true));
	has_policy(EGRET_CG_DIRECT | EGRET_CG_SERVICES, POLICY);
	events();
	assert_int_equal(task_run(W.a_fd, H[A1].netns, turns_fn, NULL), 0);
	assert_int_equal(events(), 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(recv(H[A1].ns.dns_udp4, b, sizeof(b), MSG_DONTWAIT), 1);
	assert_true(recv(H[A1].ns.dns_udp4, b, sizeof(b), MSG_DONTWAIT) < 0);
	stop(pid);
	leaked();
}

/* Deny beats allow; a longer prefix adds to what a shorter one allows. */
static void test_entries(void **state)
{
	pid_t pid = serve(STRANGER, &on_tcp);
	(void)state;

	has_policy(EGRET_CG_DIRECT, POLICY);
	RULES(POLICY, rule("10.77.0.0/24", 5000, 6000, false), deny(FAR4, 5432, 5432, false));
	is_turned(FAR4, 5432);
	assert_int_equal(talk(A1, FAR4, 5431, SOCK_STREAM), ECONNREFUSED);
	assert_int_equal(talk(A1, FAR4, 5433, SOCK_STREAM), ECONNREFUSED);
	RULES(POLICY, rule("10.77.0.0/24", 5432, 5432, false), deny(FAR4, 5432, 5432, true));
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_STREAM), 0); /* of UDP nothing was there */
	RULES(POLICY, rule("10.77.0.0/16", 5432, 5432, false), rule(FAR4, 443, 443, false));
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_STREAM), 0);
	assert_int_equal(talk(A1, FAR4, 443, SOCK_STREAM), ECONNREFUSED);
	RULES(POLICY, rule("10.77.0.0/24", 5432, 5432, false),
	      deny("10.77.0.8/29", 1, 65535, false), rule(FAR4, 5432, 5433, false));
	is_turned(FAR4, 5432);
	is_turned(FAR4, 5433);
	stop(pid);
}

/* Every policy has its own; a list is taken whole or not at all. */
static void test_tables(void **state)
{
	struct kernel_direct many[9], all = { .port_lo = 1, .port_hi = 65535 };
	const uint32_t kept[] = { POLICY };
	pid_t pid = serve(STRANGER, &on_tcp);
	(void)state;

	both_families();
	RULES(OTHER, rule("10.77.0.128/25", 5432, 5432, false));
	has_policy(EGRET_CG_DIRECT, POLICY);
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_STREAM), 0);
	assert_int_equal(kernel_direct_set(W.k, POLICY, &all, 1), -EINVAL);
	assert_int_equal(kernel_direct_set(W.k, 0, many, 0), -EINVAL);
	all = rule("0.0.0.0/0", 1, 65535, false);
	assert_int_equal(kernel_direct_set(W.k, POLICY, &all, 1), -EINVAL);
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = rule(FAR4, (uint16_t)(1000 + 2 * i), (uint16_t)(1000 + 2 * i), false);
	assert_int_equal(kernel_direct_set(W.k, POLICY, many, 9), -E2BIG);
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_STREAM), 0);
	need(kernel_direct_set(W.k, POLICY, many, 8), "eight");
	is_turned(FAR4, 5432);
	is_turned(FAR6, 5432);
	assert_int_equal(talk(A1, FAR4, 1014, SOCK_STREAM), ECONNREFUSED);
	/* The sweep after a restart. */
	has_policy(EGRET_CG_DIRECT, OTHER);
	RULES(OTHER, rule(FAR4, 5432, 5432, false));
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_STREAM), 0);
	need(kernel_direct_keep(W.k, kept, 1), "keep");
	is_turned(FAR4, 5432);
	has_policy(EGRET_CG_DIRECT, POLICY);
	assert_int_equal(talk(A1, FAR4, 1014, SOCK_STREAM), ECONNREFUSED);
	need(kernel_direct_del(W.k, POLICY), "del");
	need(kernel_direct_del(W.k, POLICY), "del twice");
	is_turned(FAR4, 1014);
	stop(pid);
}

/* A rule with an end: after it the address is the proxy's, without anybody doing anything. */
static void test_until(void **state)
{
	struct kernel_direct d = rule(FAR4, 5432, 5432, false);
	struct timespec now;
	pid_t pid = serve(STRANGER, &on_tcp);
	int r = 0;
	(void)state;

	has_policy(EGRET_CG_DIRECT, POLICY);
	clock_gettime(CLOCK_REALTIME, &now);
	d.until_us = (uint64_t)now.tv_sec * 1000000 - 1;
	need(kernel_direct_set(W.k, POLICY, &d, 1), "past");
	is_turned(FAR4, 5432);
	d.until_us = (uint64_t)(now.tv_sec + 4) * 1000000;
	need(kernel_direct_set(W.k, POLICY, &d, 1), "soon");
	assert_int_equal(talk(A1, FAR4, 5432, SOCK_STREAM), 0);
	for (int i = 0; i < 100 && r == 0; i++) {
		usleep(100000);
		r = talk(A1, FAR4, 5432, SOCK_STREAM);
	}
	assert_int_equal(r, ETIMEDOUT); /* taken by a listener that does not answer here */
	while (taken(H[A1].ns.tcp4, &(struct egret_record){ 0 }) != -EAGAIN)
		;
	stop(pid);
}

/* ---- a rule that is taken away ---- */

static int two_words_fn(void *arg)
{
	const struct dial *d = arg;
	struct timeval tv = { .tv_usec = 300000 };
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, d->type, 0);
	char b;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(fd, (void *)&ss, len) < 0)
		return errno;
	if (send(fd, "x", 1, 0) != 1 || recv(fd, &b, 1, 0) != 1)
		return EIO;
	said->n = 1;
	while (!((volatile struct said *)said)->text[0])
		usleep(1000);
	if (send(fd, "x", 1, 0) != 1)
		return errno;
	return recv(fd, &b, 1, 0) == 1 ? 0 : ETIMEDOUT;
}

static void test_taken_away(void **state)
{
	static const char *const ways[] = { FAR4, MAPPED, FAR6 };
	(void)state;

	/* Nothing; another list; another policy; the flag; a deny. TCP and UDP. */
	for (int n = 0; n < 5 * 2 * 3; n++) {
		int gone = n % 5;
		bool udp = n / 5 % 2;
		struct dial d = { .ip = ways[n / 10],
				  .port = 5432,
				  .type = udp ? SOCK_DGRAM : SOCK_STREAM };
		pid_t pid = serve(STRANGER, udp ? &on_udp : &on_tcp), c;

		RULES(POLICY, rule("10.77.0.0/24", 5432, 5432, udp),
		      rule("2001:db8:77::/64", 5432, 5432, udp));
		RULES(OTHER, rule("10.77.0.0/24", 5433, 5433, udp));
		has_policy(EGRET_CG_DIRECT, POLICY);
		c = task_start(W.a_fd, H[A1].netns, two_words_fn, &d);
		for (int i = 0; i < 5000 && !((volatile struct said *)said)->n; i++)
			usleep(1000);
		if (gone == 1)
			RULES(POLICY, rule("10.77.0.0/24", 5433, 5433, udp));
		else if (gone == 2)
			has_policy(EGRET_CG_DIRECT, OTHER);
		else if (gone == 3)
			has_policy(0, POLICY);
		else if (gone == 4)
			RULES(POLICY, rule("10.77.0.0/24", 5432, 5432, udp),
			      deny(FAR4, 5432, 5432, udp),
			      rule("2001:db8:77::/64", 5432, 5432, udp),
			      deny(FAR6, 5432, 5432, udp));
		leaked();
		said->text[0] = 1;
		assert_int_equal(task_wait(c), gone == 0 ? 0 : udp ? EPERM : ETIMEDOUT);
		assert_int_equal(server->asked, gone ? 1 : 2);
		if (gone)
			assert_int_equal(leaked(), 0);
		stop(pid);
	}
	leaked();
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_without), cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_device),	cmocka_unit_test(test_udp),
		cmocka_unit_test(test_link),	cmocka_unit_test(test_turns),
		cmocka_unit_test(test_entries), cmocka_unit_test(test_tables),
		cmocka_unit_test(test_until),	cmocka_unit_test(test_taken_away),
	};

	return cmocka_run_group_tests(all, town_open, town_close);
}

int main(void)
{
	return kept(tests);
}
