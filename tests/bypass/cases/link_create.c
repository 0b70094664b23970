// SPDX-License-Identifier: Apache-2.0
/* Devices on top of the link, which a program at the link may not see: veth, macvlan, ipvlan,
 * bridge, VLAN, VXLAN. */
#include "../wire.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const char *const kinds[] = { "veth", "macvlan",	  "macvtap", "ipvlan", "bridge",
					     "vlan", "vxlan",	  "dummy",   "ipip",   "gre",
					     "sit",  "wireguard", "bond" };
	unsigned dev = 0, made = 0;

	if (t->dev[0] && !link_index(t, a, &dev))
		return;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct ifinfomsg link = { 0 };
		struct rtnl info, r;

		rtnl_start(&info, 0, 0, NULL, 0);
		rtnl_attr(&info, IFLA_INFO_KIND, kinds[i], strlen(kinds[i]));
		rtnl_start(&r, RTM_NEWLINK, 0x600, &link,
			   sizeof(link)); /* NLM_F_CREATE | NLM_F_EXCL */
		if (dev)
			rtnl_attr(&r, IFLA_LINK, &dev, sizeof(dev));
		rtnl_attr(&r, IFLA_LINKINFO, info.body, info.head.len - sizeof(info.head));
		made += rtnl_do(&r, a, "RTM_NEWLINK");
	}
	if (made)
		a->err = 0;
}

CASE(link_create) = { .title = "New devices by rtnetlink",
		      .source = "field C51: only one interface carries the program",
		      .group = "world",
		      .families = FOUR,
		      .settings = EVERYWHERE,
		      .expect = IMPOSSIBLE,
		      .attempt = attempt };
