// SPDX-License-Identifier: Apache-2.0
/* MPTCP's own socket is not the one that speaks: its subflows are. */
#include "../wire.h"

#include <netinet/in.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_STREAM, IPPROTO_MPTCP, t->addr, t->port);
}

CASE(mptcp_connect) = { .title = "MPTCP, connect()",
			.source = "bpf.md 5, row 1",
			.group = "tcp",
			.families = FOUR | SIX,
			.settings = EVERYWHERE,
			.attempt = attempt };
