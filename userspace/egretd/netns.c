/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes or enters a job's network namespace and opens the listeners there, in a child that is born
 * in the `listen` cgroup (nstask.c). lo.c sets the loopback device up, hostaddr.c lists addresses.
 */
#include "egretd/netns.h"
#include "egretd/hostaddr.h"
#include "egretd/lo.h"
#include "egretd/nstask.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
#define TRIES 200

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Beside the descriptors, in the order of enum slot. */
struct said {
	uint64_t cookie;
	struct egret_listener listener;
};

enum slot { NS, TCP4, TCP6, UDP4, UDP6, DNS4, DNS6, ENGINE, ROUTE };

struct work {
	struct nstask *t;
	struct said said;
	enum netns_how how;
	int given;
	uint16_t low, high; /* the ephemeral range, avoided */
};

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
static int port_pick(const struct work *c, uint16_t *ret)
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

static int ports_open(struct work *c, const int *types, size_t n, int *four, int *six,
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

static int listeners_open(struct work *c)
{
	const int tcp[] = { SOCK_STREAM }, dns[] = { SOCK_DGRAM, SOCK_STREAM };
	int four[2] = { -1, -1 }, six[2] = { -1, -1 }, *fds = c->t->fds;
	struct egret_listener *l = &c->said.listener;
	uint16_t port = 0;
	int r = ports_open(c, tcp, 1, &fds[TCP4], &fds[TCP6], &port);

	if (r)
		return nstask_fail(c->t, r,
				   "the listener cannot be opened in the job's network namespace");
	*l = (struct egret_listener){ .addr4 = { 127, 0, 0, 1 }, .tcp4_be = htons(port) };
	l->addr6[15] = 1;
	l->tcp6_be = fds[TCP6] >= 0 ? htons(port) : 0;
	r = ports_open(c, dns, 2, four, six, &port);
	if (r)
		return nstask_fail(
			c->t, r,
			"the resolver's ports cannot be opened in the job's network namespace");
	fds[UDP4] = four[0];
	fds[UDP6] = six[0];
	fds[DNS4] = four[1];
	fds[DNS6] = six[1];
	l->dns4_be = htons(port);
	l->dns6_be = six[0] >= 0 && six[1] >= 0 ? htons(port) : 0;
	return 0;
}

/* The resolver of the engine that made the namespace; that nobody answers there is no matter. */
static int engine_dns_open(int *ret)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(53),
				  .sin_addr.s_addr = htonl(0x7f00000b) };
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

static void range_read(struct work *c)
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

static int cookie_of(int sock, uint64_t *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, ret, &len) < 0 ? -errno : 0;
}

static int work(struct nstask *t, void *arg)
{
	struct work *c = arg;
	int r;

	c->t = t;
	if (c->how == NETNS_NEW && unshare(CLONE_NEWNET) < 0)
		return nstask_fail(t, -errno, "a network namespace cannot be made");
	t->fds[NS] = c->given >= 0 ? fcntl(c->given, F_DUPFD_CLOEXEC, 0)
				   : open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (t->fds[NS] < 0)
		return nstask_fail(t, -errno,
				   "the network namespace cannot be opened: mount proc on /proc");
	if (c->how != NETNS_SHARED) {
		r = lo_up(NETNS_ADDR4 "/32", NETNS_ADDR6 "/128");
		if (r)
			return nstask_fail(
				t, r,
				"the loopback device of the job's namespace cannot be set up");
	}
	range_read(c);
	r = listeners_open(c);
	if (r)
		return r;
	if (c->how == NETNS_ENTER) {
		r = engine_dns_open(&t->fds[ENGINE]);
		if (r)
			return nstask_fail(t, r, "no socket for the engine's resolver");
		r = hostaddr_watch_open(true, &t->fds[ROUTE]);
		if (r)
			return nstask_fail(t, r, "the namespace's addresses cannot be watched");
	}
	if (cookie_of(t->fds[TCP4], &c->said.cookie) < 0)
		return nstask_fail(t, -errno,
				   "the kernel gives no namespace cookies: 6.1 or newer is needed");
	memcpy(t->data, &c->said, sizeof(c->said));
	return 0;
}

int netns_open(int listen_cgroup, enum netns_how how, int given, struct netns *ret, char *why,
	       size_t size)
{
	struct work c = { .how = how, .given = given };
	struct nstask t;
	struct said said;
	int r;

	_Static_assert(sizeof(said) <= NSTASK_DATA && ROUTE < NSTASK_FDS, "the answer fits");
	if (how == NETNS_ENTER && given < 0)
		return -EINVAL;
	r = nstask_run(listen_cgroup, given, work, &c, &t, why, size);
	if (r)
		return r;
	memcpy(&said, t.data, sizeof(said));
	*ret = (struct netns){ .netns = t.fds[NS],
			       .tcp4 = t.fds[TCP4],
			       .tcp6 = t.fds[TCP6],
			       .dns_udp4 = t.fds[UDP4],
			       .dns_udp6 = t.fds[UDP6],
			       .dns_tcp4 = t.fds[DNS4],
			       .dns_tcp6 = t.fds[DNS6],
			       .engine_dns = t.fds[ENGINE],
			       .route = t.fds[ROUTE],
			       .cookie = said.cookie,
			       .listener = said.listener };
	return 0;
}

void netns_close(struct netns *n)
{
	int *fds[] = { &n->netns,    &n->tcp4,	   &n->tcp6,	   &n->dns_udp4, &n->dns_udp6,
		       &n->dns_tcp4, &n->dns_tcp6, &n->engine_dns, &n->route };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/* Whatever the namespace has: IPv4 alone, IPv6 alone, or neither (a netlink socket always is). */
int netns_cookie_here(uint64_t *ret)
{
	cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : cookie_of(fd, ret);
}

static int cookie_say(struct nstask *t, void *arg)
{
	uint64_t cookie = 0;
	int r = netns_cookie_here(&cookie);

	memcpy(t->data, &cookie, sizeof(cookie));
	return r;
}

int netns_cookie(int netns, uint64_t *ret, bool *ret_own)
{
	uint64_t own = 0, there = 0;
	struct nstask t;
	char why[64];
	int r = netns_cookie_here(&own);

	if (!r)
		r = nstask_run(-1, netns, cookie_say, NULL, &t, why, sizeof(why));
	if (r)
		return r;
	memcpy(&there, t.data, sizeof(there));
	*ret = there;
	*ret_own = there == own;
	return 0;
}

/* Loopback and link-local ones are nobody's door; ours is the same everywhere. */
static bool is_members(const uint8_t a[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint8_t ours4[4], ours6[16];

	if (inet_pton(AF_INET, NETNS_ADDR4, ours4) != 1 ||
	    inet_pton(AF_INET6, NETNS_ADDR6, ours6) != 1)
		return false;
	if (memcmp(a, mapped, sizeof(mapped)) == 0)
		return a[12] != 127 && !(a[12] == 169 && a[13] == 254) &&
		       memcmp(a + 12, ours4, sizeof(ours4)) != 0;
	return memcmp(a, &in6addr_loopback, 16) != 0 && !(a[0] == 0xfe && (a[1] & 0xc0) == 0x80) &&
	       memcmp(a, ours6, sizeof(ours6)) != 0;
}

int netns_addrs(int route, uint8_t (**ret)[16], size_t *ret_n)
{
	uint8_t(*list)[16] = NULL;
	size_t n = 0, kept = 0;
	int r = hostaddr_ask(route, &list, &n);

	if (r)
		return r;
	for (size_t i = 0; i < n; i++)
		if (is_members(list[i]))
			memmove(list[kept++], list[i], sizeof(list[i]));
	*ret = list;
	*ret_n = kept;
	return 0;
}
