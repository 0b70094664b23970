/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings lo up in the namespace of the calling process (the child of netns.c) and gives it one IPv4
 * and one unique local address: without them lookups with AI_ADDRCONFIG find no address family
 * worth asking for. Talks to the kernel by libnl.
 */
#include "egretd/lo.h"
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <stdio.h>
#include <unistd.h>

#define LO_IFINDEX 1

static int nl_errno(int nl)
{
	switch (-nl) {
	case 0:
		return 0;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_EXIST:
		return -EEXIST;
	case NLE_OPNOTSUPP:
	case NLE_AF_NOSUPPORT:
		return -EAFNOSUPPORT;
	case NLE_NODEV:
	case NLE_OBJ_NOTFOUND:
		return -ENODEV;
	default:
		return -EIO;
	}
}

/* Best effort where the caller says so: a namespace may lack the file. */
static int sysctl_write(const char *path, const char *text)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int addr_add(struct nl_sock *nl, int family, const char *text)
{
	struct rtnl_addr *a = rtnl_addr_alloc();
	struct nl_addr *local = NULL;
	int r = a ? nl_addr_parse(text, family, &local) : -NLE_NOMEM;

	if (!r) {
		rtnl_addr_set_ifindex(a, LO_IFINDEX);
		r = rtnl_addr_set_local(a, local);
	}
	if (!r)
		r = rtnl_addr_add(nl, a, 0);
	if (local)
		nl_addr_put(local);
	if (a)
		rtnl_addr_put(a);
	r = nl_errno(r);
	return r == -EEXIST ? 0 : r;
}

static int link_up(struct nl_sock *nl)
{
	struct rtnl_link *was = NULL, *want = rtnl_link_alloc();
	int r = want ? rtnl_link_get_kernel(nl, LO_IFINDEX, NULL, &was) : -NLE_NOMEM;

	if (!r && !(rtnl_link_get_flags(was) & IFF_UP)) {
		rtnl_link_set_flags(want, IFF_UP);
		r = rtnl_link_change(nl, was, want, 0);
	}
	if (was)
		rtnl_link_put(was);
	if (want)
		rtnl_link_put(want);
	return nl_errno(r);
}

int lo_up(const char *addr4, const char *addr6)
{
	struct nl_sock *nl = nl_socket_alloc();
	bool six = access("/proc/sys/net/ipv6/conf/lo", F_OK) == 0;
	int r;

	if (!nl)
		return -ENOMEM;
	/* Containers often have IPv6 off even on lo; this gives ::1 and nothing else. */
	if (six && sysctl_write("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0") < 0)
		six = false;
	r = nl_errno(nl_connect(nl, NETLINK_ROUTE));
	if (!r)
		r = link_up(nl);
	if (!r)
		r = addr_add(nl, AF_INET, addr4);
	if (!r && six)
		r = addr_add(nl, AF_INET6, addr6);
	nl_socket_free(nl);
	/* Ping sockets are refused at socket() already; engines open this for every group. */
	if (!r && sysctl_write("/proc/sys/net/ipv4/ping_group_range", "1 0") < 0 && errno == EPERM)
		r = -EPERM;
	return r;
}
