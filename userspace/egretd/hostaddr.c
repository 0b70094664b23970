/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's own addresses: asked from the kernel by libnl, and a socket that tells when they
 * change. Called by egretd, which gives them to the cage and to the proxies.
 */
#include "egretd/hostaddr.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READS_MAX 4096

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

struct list {
	uint8_t (*p)[16];
	size_t n, room;
};

static void add(struct list *l, const void *addr, size_t len)
{
	if (len != 4 && len != 16)
		return;
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 32;
		l->p = reallocarray(l->p, l->room, sizeof(*l->p));
		if (!l->p)
			die("out of memory");
	}
	memcpy(l->p[l->n], mapped, sizeof(mapped));
	memcpy(l->p[l->n] + 16 - len, addr, len);
	l->n++;
}

static void add_one(struct nl_object *o, void *arg)
{
	struct nl_addr *a = rtnl_addr_get_local((struct rtnl_addr *)o);

	if (a)
		add(arg, nl_addr_get_binary_addr(a), nl_addr_get_len(a));
}

int hostaddr_list(uint8_t (**ret)[16], size_t *ret_n)
{
	struct nl_sock *nl = nl_socket_alloc();
	struct nl_cache *cache = NULL;
	struct list l = { 0 };
	int r;

	if (!nl)
		return -ENOMEM;
	r = nl_connect(nl, NETLINK_ROUTE);
	if (!r)
		r = rtnl_addr_alloc_cache(nl, &cache);
	if (!r) {
		nl_cache_foreach(cache, add_one, &l);
		nl_cache_free(cache);
		*ret = l.p;
		*ret_n = l.n;
	}
	nl_socket_free(nl);
	return r ? -EIO : 0;
}

void hostaddr_text(const uint8_t addr[16], char *to)
{
	bool four = memcmp(addr, mapped, sizeof(mapped)) == 0;

	if (!inet_ntop(four ? AF_INET : AF_INET6, four ? addr + 12 : addr, to, HOSTADDR_TEXT_MAX))
		to[0] = 0;
}

int hostaddr_watch_open(bool links, int *ret_fd)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK,
				  .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
					       (links ? RTMGRP_LINK : 0u) };
	cleanup_close int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void hostaddr_drain(int fd)
{
	char room[8192];

	/* ENOBUFS says that some were lost: asking anew makes that good. Who makes news faster than
	 * they are read does not hold egretd here. */
	for (int i = 0; i < READS_MAX; i++)
		if (recv(fd, room, sizeof(room), MSG_DONTWAIT) <= 0 && errno != ENOBUFS)
			return;
}

#define ASK_MS 2000
#define ASK_TRIES 8
#define ASK_SEQ 0x65677265u

static int dump_send(int fd, uint16_t type, uint32_t seq)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i; /* as long as, or longer than, what other kinds want here */
		struct nlattr a;
		uint32_t mask;
	} q = { .h = { .nlmsg_len = sizeof(q),
		       .nlmsg_type = type,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		       .nlmsg_seq = seq },
		.a = { .nla_len = sizeof(q.a) + sizeof(q.mask), .nla_type = IFLA_EXT_MASK },
		.mask = RTEXT_FILTER_SKIP_STATS };
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };

	if (type != RTM_GETLINK)
		q.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg));
	return sendto(fd, &q, q.h.nlmsg_len, 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno
											: 0;
}

static int dump_add(struct nlmsghdr *h, void *arg)
{
	struct nlattr *at[IFA_MAX + 1];
	struct list *l = arg;
	struct nlattr *a;

	if (nlmsg_parse(h, sizeof(struct ifaddrmsg), at, IFA_MAX, NULL) < 0)
		return -EBADMSG;
	/* IFA_ADDRESS is the peer's where IFA_LOCAL is there (point to point). */
	a = at[IFA_LOCAL] ? at[IFA_LOCAL] : at[IFA_ADDRESS];
	if (a && l->n >= HOSTADDR_MAX)
		return -E2BIG;
	if (a)
		add(l, nla_data(a), (size_t)nla_len(a));
	return 0;
}

/* One datagram's messages. 1: the list is whole. */
static int dump_read(char *room, int n, uint32_t seq, uint16_t type, hostaddr_fn fn, void *arg,
		     bool *stale)
{
	struct nlmsghdr *h;

	for (h = (struct nlmsghdr *)room; nlmsg_ok(h, n); h = nlmsg_next(h, &n)) {
		int r = 0;

		if (h->nlmsg_seq != seq) {
			*stale = true; /* news: an address or a link came or went */
			continue;
		}
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			*stale = true;
		if (h->nlmsg_type == NLMSG_ERROR)
			r = -EIO;
		else if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		else if (h->nlmsg_type == type)
			r = fn(h, arg);
		if (r)
			return r;
	}
	return 0;
}

int hostaddr_dump(int fd, uint16_t ask, hostaddr_fn fn, void *arg, bool *stale)
{
	static uint32_t seq = ASK_SEQ;
	char room[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	int r = dump_send(fd, ask, ++seq);

	for (int i = 0; !r; i++) {
		struct sockaddr_nl from = { 0 };
		struct iovec iov = { room, sizeof(room) };
		struct msghdr m = { .msg_name = &from,
				    .msg_namelen = sizeof(from),
				    .msg_iov = &iov,
				    .msg_iovlen = 1 };
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (i == READS_MAX)
			return -EBUSY;
		n = recvmsg(fd, &m, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			r = poll(&p, 1, ASK_MS);
			r = r > 0 || (r < 0 && errno == EINTR) ? 0 : -ETIMEDOUT;
		} else if (n < 0 && errno == ENOBUFS) {
			*stale = true;
		} else if (n < 0) {
			r = -errno;
		} else if (m.msg_flags & MSG_TRUNC) {
			r = -EBADMSG;
		} else if (from.nl_pid == 0) { /* only the kernel's word */
			/* The kernel answers GET with NEW, two numbers below. */
			r = dump_read(room, (int)n, seq, (uint16_t)(ask - 2), fn, arg, stale);
		}
	}
	return r < 0 ? r : 0;
}

int hostaddr_ask(int fd, uint8_t (**ret)[16], size_t *ret_n)
{
	int r;

	for (int i = 0; i < ASK_TRIES; i++) {
		struct list l = { 0 };
		bool stale = false;

		hostaddr_drain(fd);
		r = hostaddr_dump(fd, RTM_GETADDR, dump_add, &l, &stale);
		if (r || stale) {
			free(l.p);
			if (r)
				return r;
			continue;
		}
		*ret = l.p;
		*ret_n = l.n;
		return 0;
	}
	return -EBUSY;
}
