// SPDX-License-Identifier: Apache-2.0
/* The report of a membership says to the link what the group is; here the group stands for the
 * token. */
#include "../wire.h"

#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct group_req join = { 0 };
	unsigned dev = 0;
	int fd;

	if (!link_index(t, a, &dev))
		return;
	fd = udp_open(t, a);
	if (fd < 0)
		return;
	join.gr_interface = dev;
	token_group(t, &join.gr_group);
	if (setsockopt(fd, t->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, MCAST_JOIN_GROUP,
		       &join, sizeof(join)))
		failed(a, "MCAST_JOIN_GROUP");
	else
		(void)poll(NULL, 0, 100);
	close(fd);
}

CASE(group_report) = { .title = "Multicast membership report",
		       .source = "bpf.md 5, last row: link only, skb->sk NULL",
		       .group = "multicast",
		       .families = FOUR | SIX,
		       .settings = LINKED,
		       .by_group = true,
		       .wait_ms = 300,
		       .attempt = attempt };
