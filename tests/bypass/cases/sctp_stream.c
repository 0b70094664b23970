// SPDX-License-Identifier: Apache-2.0
/* SCTP as TCP's twin: none of TCP's hooks. */
#include "../wire.h"

#include <netinet/in.h>

static void attempt(const struct target *t, struct attempt *a)
{
	dial_and_tell(t, a, SOCK_STREAM, IPPROTO_SCTP, t->addr, t->port);
}

CASE(sctp_stream) = { .title = "SCTP, one to one",
		      .source = "bpf.md 5: SCTP stream",
		      .group = "sockets",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .expect = GUEST,
		      .attempt = attempt };
