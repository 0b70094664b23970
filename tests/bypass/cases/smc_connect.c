// SPDX-License-Identifier: Apache-2.0
/* SMC falls back to TCP by a socket of the kernel's making. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

#ifndef AF_SMC
#define AF_SMC 43
#endif
#define SMCPROTO_SMC 0
#define SMCPROTO_SMC6 1

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = sock_open(a, AF_SMC, SOCK_STREAM,
			   t->family == AF_INET ? SMCPROTO_SMC : SMCPROTO_SMC6, "socket(AF_SMC)");

	if (fd < 0)
		return;
	join_and_tell(t, a, fd, t->family, t->addr, t->port);
	close(fd);
}

CASE(smc_connect) = { .title = "AF_SMC",
		      .source = "bpf.md 5: AF_SMC",
		      .group = "sockets",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .expect = GUEST,
		      .attempt = attempt };
