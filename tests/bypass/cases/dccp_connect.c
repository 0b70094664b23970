// SPDX-License-Identifier: Apache-2.0
/* Datagrams with congestion control: a family of hooks that was never written. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

#ifndef SOCK_DCCP
#define SOCK_DCCP 6
#endif
#ifndef SOL_DCCP
#define SOL_DCCP 269
#endif
#define DCCP_SOCKOPT_SERVICE 2

static void attempt(const struct target *t, struct attempt *a)
{
	uint32_t service = 0;
	int fd = sock_open(a, t->family, SOCK_DCCP, IPPROTO_DCCP, "socket(IPPROTO_DCCP)");

	if (fd < 0)
		return;
	(void)setsockopt(fd, SOL_DCCP, DCCP_SOCKOPT_SERVICE, &service, sizeof(service));
	join_and_tell(t, a, fd, t->family, t->addr, t->port);
	close(fd);
}

CASE(dccp_connect) = { .title = "DCCP",
		       .source = "bpf.md 5: DCCP; gone from Linux 6.16",
		       .group = "sockets",
		       .families = FOUR | SIX,
		       .settings = EVERYWHERE,
		       .expect = GUEST,
		       .attempt = attempt };
