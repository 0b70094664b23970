// SPDX-License-Identifier: Apache-2.0
/* A link from such a namespace back to where the job is: one end would have to be put there. */
#include "../wire.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct ifinfomsg link = { 0 };
	struct rtnl peer, info, r;

	(void)t;
	if (home < 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		failed(a, "unshare(CLONE_NEWUSER | CLONE_NEWNET)");
		return;
	}
	rtnl_start(&peer, 0, 0, &link, sizeof(link));
	rtnl_attr(&peer, IFLA_NET_NS_FD, &home, sizeof(home));
	rtnl_start(&info, 0, 0, NULL, 0);
	rtnl_attr(&info, VETH_INFO_PEER, peer.body, peer.head.len - sizeof(peer.head));
	rtnl_start(&r, RTM_NEWLINK, 0x600, &link, sizeof(link)); /* NLM_F_CREATE | NLM_F_EXCL */
	rtnl_start(&peer, 0, 0, NULL, 0);
	rtnl_attr(&peer, IFLA_INFO_KIND, "veth", 4);
	rtnl_attr(&peer, IFLA_INFO_DATA, info.body, info.head.len - sizeof(info.head));
	rtnl_attr(&r, IFLA_LINKINFO, peer.body, peer.head.len - sizeof(peer.head));
	rtnl_do(&r, a, "RTM_NEWLINK, the other end at home");
	close(home);
}

CASE(netns_link) = { .title = "New namespaces with a link back home",
		     .source = "own; field C41",
		     .group = "world",
		     .families = FOUR,
		     .settings = EVERYWHERE,
		     .expect = IMPOSSIBLE,
		     .attempt = attempt };
