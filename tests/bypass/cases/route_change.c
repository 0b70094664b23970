// SPDX-License-Identifier: Apache-2.0
/* Routes, rules, queueing and addresses: the host's own tables turned against it. */
#include "../wire.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/fib_rules.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct rtmsg route = { .rtm_family = (unsigned char)t->family,
			       .rtm_dst_len = t->family == AF_INET ? 32 : 128,
			       .rtm_table = RT_TABLE_MAIN,
			       .rtm_protocol = RTPROT_STATIC,
			       .rtm_scope = RT_SCOPE_UNIVERSE,
			       .rtm_type = RTN_LOCAL };
	struct fib_rule_hdr rule = { .family = (unsigned char)t->family,
				     .table = RT_TABLE_LOCAL,
				     .action = FR_ACT_TO_TBL };
	struct ifaddrmsg address = { .ifa_family = (unsigned char)t->family,
				     .ifa_prefixlen = 32,
				     .ifa_index = 1 };
	struct tcmsg queue = { .tcm_family = AF_UNSPEC, .tcm_ifindex = 1, .tcm_parent = TC_H_ROOT };
	uint8_t ip[16] = { 0 };
	size_t n = t->family == AF_INET ? 4 : 16;
	unsigned lo = 1, done = 0;
	struct rtnl r;

	inet_pton(t->family, t->addr, ip);
	rtnl_start(&r, RTM_NEWROUTE, 0x400, &route, sizeof(route)); /* NLM_F_CREATE */
	rtnl_attr(&r, RTA_DST, ip, n);
	rtnl_attr(&r, RTA_OIF, &lo, sizeof(lo));
	done += rtnl_do(&r, a, "RTM_NEWROUTE");
	rtnl_start(&r, RTM_NEWRULE, 0x400, &rule, sizeof(rule));
	done += rtnl_do(&r, a, "RTM_NEWRULE");
	rtnl_start(&r, RTM_NEWADDR, 0x400, &address, sizeof(address));
	rtnl_attr(&r, IFA_LOCAL, ip, n);
	done += rtnl_do(&r, a, "RTM_NEWADDR");
	rtnl_start(&r, RTM_DELQDISC, 0, &queue, sizeof(queue));
	done += rtnl_do(&r, a, "RTM_DELQDISC");
	if (done)
		a->err = 0;
}

CASE(route_change) = { .title = "Routes, rules and queueing by rtnetlink",
		       .source = "own; field D53: flush rules",
		       .group = "world",
		       .families = FOUR | SIX,
		       .settings = EVERYWHERE,
		       .expect = IMPOSSIBLE,
		       .attempt = attempt };
