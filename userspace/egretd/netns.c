/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes or enters a job's network namespace and opens the listeners there, in a child that is born
 * in the `listen` cgroup. The child answers once: an errno with a sentence, or the descriptors.
 * lo.c sets the loopback device up.
 */
#include "egretd/netns.h"
#include "egretd/lo.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 5000
#define BACKLOG 4096
#define TRIES 200
#define FDS 7

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* What the child says; the descriptors that it has come beside it, in the order of struct netns. */
struct answer {
	int err; /* 0, or a positive errno */
	char why[160];
	uint64_t cookie;
	struct egret_listener listener;
	uint8_t has[FDS];
};

struct child {
	struct answer a;
	int fds[FDS]; /* netns, tcp4, tcp6, udp4, udp6, dnstcp4, dnstcp6 */
	enum netns_how how;
	uint16_t low, high; /* the ephemeral range, avoided */
};

static int fail(struct child *c, int err, const char *what)
{
	c->a.err = -err;
	snprintf(c->a.why, sizeof(c->a.why), "%s (%s)", what, strerror(-err));
	return err;
}

/* A bound socket, or -errno. port in host order, 0: any. */
static int bound(int family, int type, uint16_t port)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	cleanup_close int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool six = family == AF_INET6;
	int one = 1;

	if (fd < 0)
		return -errno;
	if (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		return -errno;
	if (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -errno;
	if (bind(fd, six ? (void *)&a6 : (void *)&a4, six ? sizeof(a6) : sizeof(a4)) < 0)
		return -errno;
	if (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* A port outside the range from which the kernel takes ports for others. */
static int port_pick(const struct child *c, uint16_t *ret)
{
	unsigned above = c->high < 65535 ? 65535u - c->high : 0;
	unsigned below = c->low > 10000 ? c->low - 10000u : 0;
	uint32_t x;

	if (getrandom(&x, sizeof(x), 0) != sizeof(x))
		return -EIO;
	if (above >= 256)
		*ret = (uint16_t)(c->high + 1u + x % above);
	else if (below >= 256)
		*ret = (uint16_t)(10000u + x % below);
	else
		*ret = (uint16_t)(10000u + x % 55000u);
	return 0;
}

static void fds_close(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static bool no_ipv6(int r)
{
	return r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL;
}

/* All sockets of one port: types and families; the port is given up when one is taken. */
static int ports_try(uint16_t port, const int *types, size_t ntypes, int *four, int *six)
{
	int r = 0;

	for (size_t i = 0; i < ntypes && r >= 0; i++) {
		r = four[i] = bound(AF_INET, types[i], port);
		if (r < 0)
			break;
		r = six[i] = bound(AF_INET6, types[i], port);
		if (no_ipv6(r)) {
			six[i] = -1;
			r = 0;
		}
	}
	if (r >= 0)
		return 0;
	fds_close(four, ntypes);
	fds_close(six, ntypes);
	return r;
}

static int ports_open(struct child *c, const int *types, size_t n, int *four, int *six,
		      uint16_t *ret)
{
	int r = -EADDRINUSE;

	for (int i = 0; i < TRIES && r == -EADDRINUSE; i++) {
		uint16_t port = 0;

		r = port_pick(c, &port);
		if (!r)
			r = ports_try(port, types, n, four, six);
		if (!r)
			*ret = port;
	}
	return r;
}

static int listeners_open(struct child *c)
{
	const int tcp[] = { SOCK_STREAM }, dns[] = { SOCK_DGRAM, SOCK_STREAM };
	int four[2] = { -1, -1 }, six[2] = { -1, -1 };
	struct egret_listener *l = &c->a.listener;
	uint16_t port = 0;
	int r = ports_open(c, tcp, 1, &c->fds[1], &c->fds[2], &port);

	if (r)
		return fail(c, r, "the listener cannot be opened in the job's network namespace");
	*l = (struct egret_listener){ .addr4 = { 127, 0, 0, 1 }, .tcp4_be = htons(port) };
	l->addr6[15] = 1;
	l->tcp6_be = c->fds[2] >= 0 ? htons(port) : 0;
	r = ports_open(c, dns, 2, four, six, &port);
	if (r)
		return fail(c, r,
			    "the resolver's ports cannot be opened in the job's network namespace");
	c->fds[3] = four[0];
	c->fds[4] = six[0];
	c->fds[5] = four[1];
	c->fds[6] = six[1];
	l->dns4_be = htons(port);
	l->dns6_be = six[0] >= 0 && six[1] >= 0 ? htons(port) : 0;
	return 0;
}

static void range_read(struct child *c)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned low = 0, high = 0;

	c->low = 32768;
	c->high = 60999;
	if (!f)
		return;
	if (fscanf(f, "%u %u", &low, &high) == 2 && low && low <= high && high <= 65535) {
		c->low = (uint16_t)low;
		c->high = (uint16_t)high;
	}
	fclose(f);
}

static int work(struct child *c, int given)
{
	socklen_t len = sizeof(c->a.cookie);
	int r;

	if (c->how == NETNS_NEW && unshare(CLONE_NEWNET) < 0)
		return fail(c, -errno, "a network namespace cannot be made");
	if (given >= 0 && setns(given, CLONE_NEWNET) < 0)
		return fail(c, -errno, "the job's network namespace cannot be entered");
	c->fds[0] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (c->fds[0] < 0)
		return fail(c, -errno,
			    "the network namespace cannot be opened: mount proc on /proc");
	if (c->how != NETNS_SHARED) {
		r = lo_up(NETNS_ADDR4 "/32", NETNS_ADDR6 "/128");
		if (r)
			return fail(c, r,
				    "the loopback device of the job's namespace cannot be set up");
	}
	range_read(c);
	r = listeners_open(c);
	if (r)
		return r;
	if (getsockopt(c->fds[1], SOL_SOCKET, SO_NETNS_COOKIE, &c->a.cookie, &len) < 0)
		return fail(c, -errno,
			    "the kernel gives no namespace cookies: 6.1 or newer is needed");
	return 0;
}

static void answer_send(int sock, struct child *c)
{
	char room[CMSG_SPACE(sizeof(int) * FDS)] = { 0 };
	struct iovec iov = { &c->a, sizeof(c->a) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int list[FDS];
	size_t n = 0;

	for (size_t i = 0; i < FDS && !c->a.err; i++) {
		c->a.has[i] = c->fds[i] >= 0;
		if (c->fds[i] >= 0)
			list[n++] = c->fds[i];
	}
	if (n) {
		struct cmsghdr *h;

		m.msg_control = room;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(h), list, sizeof(int) * n);
	}
	if (sendmsg(sock, &m, MSG_NOSIGNAL) < 0)
		_exit(1);
}

static _Noreturn void child_main(int sock, enum netns_how how, int given)
{
	struct child c = { .how = how };

	for (size_t i = 0; i < FDS; i++)
		c.fds[i] = -1;
	if (work(&c, given) < 0 && !c.a.err)
		c.a.err = EIO;
	answer_send(sock, &c);
	_exit(0);
}

static int answer_recv(int sock, struct answer *a, int fds[FDS])
{
	char room[CMSG_SPACE(sizeof(int) * FDS)];
	struct iovec iov = { a, sizeof(*a) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct cmsghdr *h;
	size_t n = 0, at = 0;
	int got[FDS], r;

	do
		r = poll(&p, 1, WAIT_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r ? -errno : -ETIMEDOUT;
	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*a))
		return -ECONNRESET;
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(got, CMSG_DATA(h), n * sizeof(int));
	}
	for (size_t i = 0; i < FDS; i++)
		fds[i] = a->has[i] && at < n ? got[at++] : -1;
	while (at < n)
		close(got[at++]);
	return 0;
}

int netns_open(int listen_cgroup, enum netns_how how, int given, struct netns *ret, char *why,
	       size_t size)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .cgroup = (uint64_t)listen_cgroup };
	struct answer a = { 0 };
	int pair[2], fds[FDS], r;
	pid_t pid;

	if (how == NETNS_ENTER && given < 0)
		return -EINVAL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	/* No exit signal: egretd's loop hears nothing of this child; it is waited for here. */
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		child_main(pair[1], how, given);
	r = pid < 0 ? -errno : 0;
	close(pair[1]);
	if (!r)
		r = answer_recv(pair[0], &a, fds);
	close(pair[0]);
	if (pid > 0) {
		if (r)
			kill(pid, SIGKILL);
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	}
	if (r) {
		snprintf(why, size,
			 "the helper that opens listeners could not be started or died (%s)",
			 strerror(-r));
		return r;
	}
	if (a.err) {
		snprintf(why, size, "%.*s", (int)sizeof(a.why), a.why);
		return -a.err;
	}
	*ret = (struct netns){ .netns = fds[0],
			       .tcp4 = fds[1],
			       .tcp6 = fds[2],
			       .dns_udp4 = fds[3],
			       .dns_udp6 = fds[4],
			       .dns_tcp4 = fds[5],
			       .dns_tcp6 = fds[6],
			       .cookie = a.cookie,
			       .listener = a.listener };
	return 0;
}

void netns_close(struct netns *n)
{
	int *fds[] = { &n->netns,    &n->tcp4,	   &n->tcp6,	&n->dns_udp4,
		       &n->dns_udp6, &n->dns_tcp4, &n->dns_tcp6 };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
