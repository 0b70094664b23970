// SPDX-License-Identifier: Apache-2.0
/* MPTCP on an IPv6 socket to an IPv4 address: both rarities at once. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = sock_open(a, AF_INET6, SOCK_STREAM, IPPROTO_MPTCP, "socket(IPPROTO_MPTCP)");

	if (fd < 0)
		return;
	join_and_tell(t, a, fd, AF_INET6, t->addr, t->port);
	close(fd);
}

CASE(mptcp_mapped) = { .title = "MPTCP, IPv4-mapped address",
		       .source = "bpf.md 5, row 1; field C37",
		       .group = "tcp",
		       .families = FOUR,
		       .settings = EVERYWHERE,
		       .attempt = attempt };
