/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's own addresses: asked from the kernel by libnl, and a socket that tells when they
 * change. Called by egretd, which gives them to the cage and to the proxies.
 */
#include "egretd/hostaddr.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

struct list {
	uint8_t (*p)[16];
	size_t n, room;
};

static void add_one(struct nl_object *o, void *arg)
{
	struct nl_addr *a = rtnl_addr_get_local((struct rtnl_addr *)o);
	struct list *l = arg;
	unsigned len = a ? nl_addr_get_len(a) : 0;

	if (len != 4 && len != 16)
		return;
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 32;
		l->p = reallocarray(l->p, l->room, sizeof(*l->p));
		if (!l->p)
			die("out of memory");
	}
	memcpy(l->p[l->n], mapped, sizeof(mapped));
	memcpy(l->p[l->n] + 16 - len, nl_addr_get_binary_addr(a), len);
	l->n++;
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

int hostaddr_watch_open(int *ret_fd)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK,
				  .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
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

	/* ENOBUFS says that some were lost: asking anew makes that good. */
	while (recv(fd, room, sizeof(room), 0) > 0 || errno == ENOBUFS)
		;
}
