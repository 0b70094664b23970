// SPDX-License-Identifier: Apache-2.0
/* A membership lists the sources it wants: the report carries that list, four or sixteen bytes
 * each, as the job wrote it. */
#include "../wire.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOURCES 12

static void attempt(const struct target *t, struct attempt *a)
{
	bool four = t->family == AF_INET;
	size_t each = four ? 4 : 16, len = strlen(t->token), n = (len + each - 1) / each;
	struct group_filter *f = calloc(1, GROUP_FILTER_SIZE(SOURCES));
	int level = four ? IPPROTO_IP : IPPROTO_IPV6, fd;
	struct group_req join = { 0 };
	unsigned dev = 0;
	char text[64] = "";

	if (!f || !link_index(t, a, &dev) || n > SOURCES) {
		free(f);
		return;
	}
	fd = udp_open(t, a);
	if (fd < 0) {
		free(f);
		return;
	}
	memcpy(text, t->token, len);
	join.gr_interface = f->gf_interface = dev;
	token_group(t, &join.gr_group);
	f->gf_group = join.gr_group;
	f->gf_fmode = MCAST_INCLUDE;
	f->gf_numsrc = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		f->gf_slist[i].ss_family = (sa_family_t)t->family;
		memcpy((char *)&f->gf_slist[i] + (four ? offsetof(struct sockaddr_in, sin_addr)
						       : offsetof(struct sockaddr_in6, sin6_addr)),
		       text + i * each, each);
	}
	if (setsockopt(fd, level, MCAST_JOIN_GROUP, &join, sizeof(join)))
		failed(a, "MCAST_JOIN_GROUP");
	else if (setsockopt(fd, level, MCAST_MSFILTER, f, (socklen_t)GROUP_FILTER_SIZE(n)))
		failed(a, "MCAST_MSFILTER");
	else
		(void)poll(NULL, 0, 200);
	close(fd);
	free(f);
}

CASE(group_sources) = { .title = "The token as the sources of a multicast membership",
			.source = "own; bpf.md 5, last row",
			.group = "multicast",
			.families = FOUR | SIX,
			.settings = LINKED,
			.wait_ms = 1100,
			.attempt = attempt };
