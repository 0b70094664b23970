/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P1 for UDP: DNS in every form goes to the job's resolver and its answers seem to come from where
 * they were asked; everything else is refused at once. Sockets are real; the test plays the
 * resolver.
 */
#include "kernel/harness.h"

enum form { SENDTO, SENDMSG, SENDMMSG, CONNECTED, CONNECTED_MMSG };

struct query {
	const char *ip;
	uint16_t port;
	enum form form;
	bool six; /* an AF_INET6 socket whatever the address is; IPv4 becomes mapped */
	const char *device;
};

static int query_send(int fd, const struct query *q, struct sockaddr_storage *ss, socklen_t len)
{
	struct iovec iov = { (void *)"query", 5 };
	struct mmsghdr m[2] = {
		{ .msg_hdr = { .msg_name = ss,
			       .msg_namelen = len,
			       .msg_iov = &iov,
			       .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_name = ss,
			       .msg_namelen = len,
			       .msg_iov = &iov,
			       .msg_iovlen = 1 } },
	};

	switch (q->form) {
	case SENDTO:
		return sendto(fd, "query", 5, 0, (void *)ss, len) == 5 ? 0 : errno;
	case SENDMSG:
		return sendmsg(fd, &m[0].msg_hdr, 0) == 5 ? 0 : errno;
	case SENDMMSG:
		return sendmmsg(fd, m, 2, 0) == 2 ? 0 : errno;
	case CONNECTED:
		if (connect(fd, (void *)ss, len) < 0)
			return errno;
		return send(fd, "query", 5, 0) == 5 ? 0 : errno;
	case CONNECTED_MMSG:
		if (connect(fd, (void *)ss, len) < 0)
			return errno;
		for (int i = 0; i < 2; i++)
			m[i].msg_hdr.msg_name = NULL, m[i].msg_hdr.msg_namelen = 0;
		return sendmmsg(fd, m, 2, 0) == 2 ? 0 : errno;
	}
	return EINVAL;
}

/* Sends, then wants an answer that comes from where it was sent to. */
static int query_fn(void *arg)
{
	const struct query *q = arg;
	struct sockaddr_storage ss, from;
	socklen_t len = sa_of(q->ip, q->port, &ss), flen = sizeof(from);
	struct timeval tv = { .tv_sec = 2 };
	char b[16];
	int fd, r;

	if (q->six && ss.ss_family == AF_INET) {
		char text[64];

		snprintf(text, sizeof(text), "::ffff:%s", q->ip);
		len = sa_of(text, q->port, &ss);
	}
	fd = socket(ss.ss_family, SOCK_DGRAM, 0);
	if (fd < 0)
		return errno;
	if (q->device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, q->device,
				    (socklen_t)strlen(q->device) + 1) < 0)
		return ENODEV;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	r = query_send(fd, q, &ss, len);
	if (r)
		return r;
	memset(&from, 0, sizeof(from));
	if (recvfrom(fd, b, sizeof(b), 0, (void *)&from, &flen) != 6 || memcmp(b, "answer", 6))
		return ETIMEDOUT;
	return flen == len && !memcmp(&from, &ss, len) ? 0 : ESTALE;
}

/* The resolver: answers what comes until the task has ended. */
static int serve(pid_t pid, int four, int six, unsigned *ret_seen)
{
	unsigned seen = 0;

	for (int quiet = 0; quiet < 100; quiet++) {
		struct pollfd p[2] = { { .fd = four, .events = POLLIN },
				       { .fd = six, .events = POLLIN } };
		siginfo_t si = { 0 };

		if (poll(p, 2, 20) > 0) {
			for (int i = 0; i < 2; i++) {
				struct sockaddr_storage from;
				socklen_t len = sizeof(from);
				char b[64];

				if (p[i].revents &&
				    recvfrom(p[i].fd, b, sizeof(b), 0, (void *)&from, &len) == 5) {
					seen++;
					if (sendto(p[i].fd, "answer", 6, 0, (void *)&from, len) < 0)
						seen += 1000;
				}
			}
			quiet = 0;
			continue;
		}
		if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid)
			break;
	}
	*ret_seen = seen;
	return task_wait(pid);
}

static int ask(const struct query *q, unsigned *seen)
{
	pid_t pid = task_start(W.a_fd, W.ns.netns, query_fn, (void *)q);

	return serve(pid, W.ns.dns_udp4, W.ns.dns_udp6, seen);
}

static void test_dns(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
		bool six;
	} to[] = {
		{ "198.51.100.53", 53, false },	  { "198.51.100.53", 53, true },
		{ "2001:db8::53", 53, true },	  { "127.0.0.11", 53, false },
		{ "127.0.0.11", 41000, false },	  { "127.0.0.11", 41000, true },
		{ "127.0.0.53", 53, false },	  { "::1", 53, true },
		{ "169.254.169.254", 53, false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
		for (int form = SENDTO; form <= CONNECTED_MMSG; form++) {
			struct query q = { to[i].ip, to[i].port, (enum form)form, to[i].six, NULL };
			unsigned seen = 0;
			int r = ask(&q, &seen);

			if (r)
				print_error("%s port %u form %d six %d: %s\n", q.ip, q.port, form,
					    q.six, strerror(r));
			assert_int_equal(r, 0);
			assert_int_equal(seen, form == SENDMMSG || form == CONNECTED_MMSG ? 2 : 1);
		}
	}
}

static void test_others_refused(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
		bool six;
		enum egret_reason reason;
	} to[] = {
		{ "198.51.100.1", 443, false, EGRET_R_UDP },
		{ "198.51.100.1", 123, false, EGRET_R_UDP },
		{ "198.51.100.1", 5353, true, EGRET_R_UDP },
		{ "2001:db8::1", 443, true, EGRET_R_UDP },
		{ "10.77.0.1", 54, false, EGRET_R_UDP },
		{ "0.0.0.0", 53, false, EGRET_R_UNSPECIFIED },
		{ "::", 53, true, EGRET_R_UNSPECIFIED },
		{ "224.0.0.251", 5353, false, EGRET_R_MULTICAST },
		{ "224.0.0.251", 53, true, EGRET_R_MULTICAST },
		{ "255.255.255.255", 67, false, EGRET_R_MULTICAST },
		{ "ff02::fb", 5353, true, EGRET_R_MULTICAST },
		{ "169.254.169.254", 123, false, EGRET_R_LINK_LOCAL },
		{ "169.254.170.2", 80, false, EGRET_R_LINK_LOCAL },
		{ "fe80::1", 123, true, EGRET_R_LINK_LOCAL },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
		for (int form = SENDTO; form <= CONNECTED; form++) {
			struct query q = { to[i].ip, to[i].port, (enum form)form, to[i].six, NULL };
			enum egret_reason reason = to[i].reason == EGRET_R_UDP && form == CONNECTED
							   ? EGRET_R_UDP_CONNECT
							   : to[i].reason;
			uint64_t was = refused(reason);
			unsigned seen = 0;
			int r = ask(&q, &seen);

			if (r != EPERM)
				print_error("%s port %u form %d: %s\n", q.ip, q.port, form,
					    strerror(r));
			assert_int_equal(r, EPERM);
			assert_int_equal(seen, 0);
			assert_int_equal(refused(reason), was + 1);
		}
	}
}

struct own {
	const char *ip;
	const char *first; /* a nameserver that the same socket asks before */
};

/* The job's own UDP services answer as ever. */
static int own_fn(void *arg)
{
	const struct own *o = arg;
	struct sockaddr_storage ss, from, dns;
	socklen_t len = sa_of(o->ip, 0, &ss), slen = sizeof(ss), flen = sizeof(from);
	int s = socket(ss.ss_family, SOCK_DGRAM, 0), c = socket(ss.ss_family, SOCK_DGRAM, 0);
	char b[8];

	if (bind(s, (void *)&ss, len) < 0)
		return errno;
	getsockname(s, (void *)&ss, &slen);
	for (int i = 0; o->first && i < 2; i++) {
		sa_of(o->first, 53, &dns);
		if (sendto(c, "query", 5, 0, (void *)&dns, len) != 5)
			return errno;
	}
	if (sendto(c, "ping", 4, 0, (void *)&ss, len) != 4)
		return errno;
	if (recvfrom(s, b, 8, 0, (void *)&from, &flen) != 4)
		return EIO;
	if (sendto(s, "pong", 4, 0, (void *)&from, flen) != 4)
		return errno;
	flen = sizeof(from);
	if (recvfrom(c, b, 8, 0, (void *)&from, &flen) != 4)
		return EIO;
	return memcmp(&from, &ss, len) ? ESTALE : 0;
}

static void test_own_loopback(void **state)
{
	struct own rows[] = { { "127.0.0.1", NULL },
			      { "::1", NULL },
			      { "127.0.0.1", "198.51.100.53" },
			      { "::1", "2001:db8::53" } };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(task_run(W.a_fd, W.ns.netns, own_fn, &rows[i]), 0);
}

/* One socket, first DNS, then elsewhere: each is judged for itself; also after AF_UNSPEC. */
static int turncoat_fn(void *arg)
{
	struct sockaddr_storage dns, out;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	socklen_t dlen = sa_of("198.51.100.53", 53, &dns), olen = sa_of("198.51.100.9", 9, &out);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	(void)arg;

	if (connect(fd, (void *)&dns, dlen) < 0)
		return errno;
	if (sendto(fd, "x", 1, 0, (void *)&out, olen) >= 0 || errno != EPERM)
		return EIO;
	if (connect(fd, (void *)&out, olen) >= 0 || errno != EPERM)
		return EIO;
	if (connect(fd, &none, sizeof(none)) < 0)
		return errno;
	if (sendto(fd, "x", 1, 0, (void *)&out, olen) >= 0 || errno != EPERM)
		return EIO;
	/* AF_UNSPEC as the family of a destination means IPv4 to UDP. */
	out.ss_family = AF_UNSPEC;
	if (sendto(fd, "x", 1, 0, (void *)&out, olen) >= 0 || errno != EPERM)
		return EIO;
	return 0;
}

static void test_one_socket_many_ways(void **state)
{
	(void)state;
	assert_int_equal(task_run(W.a_fd, W.ns.netns, turncoat_fn, NULL), 0);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_dns),
		cmocka_unit_test(test_others_refused),
		cmocka_unit_test(test_own_loopback),
		cmocka_unit_test(test_one_socket_many_ways),
	};

	return cmocka_run_group_tests(all, world_open, world_close);
}

int main(void)
{
	return kept(tests);
}
