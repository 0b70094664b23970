// SPDX-License-Identifier: Apache-2.0
/* A neighbour entry that is used at once makes the kernel ask the link for an address that the job
 * chose. */
#include "../wire.h"

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct ndmsg nd = { .ndm_family = (unsigned char)t->family,
			    .ndm_flags = NTF_USE,
			    .ndm_state = NUD_NONE };
	uint8_t ip[16] = { 0 };
	unsigned dev = 0;
	struct rtnl r;

	if (!link_index(t, a, &dev))
		return;
	/* As much of the token as an address holds. */
	strncpy((char *)ip, t->token, t->family == AF_INET ? 4 : 16);
	nd.ndm_ifindex = (int)dev;
	rtnl_start(&r, RTM_NEWNEIGH, 0x400, &nd, sizeof(nd)); /* NLM_F_CREATE */
	rtnl_attr(&r, NDA_DST, ip, t->family == AF_INET ? 4 : 16);
	rtnl_do(&r, a, "RTM_NEWNEIGH");
}

CASE(neighbour_use) = { .title = "ARP for an address of choice (RTM_NEWNEIGH, NTF_USE)",
			.source = "own; needs CAP_NET_ADMIN",
			.group = "world",
			.families = FOUR | SIX,
			.settings = LINKED,
			.expect = IMPOSSIBLE,
			.attempt = attempt };
