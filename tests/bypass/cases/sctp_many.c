// SPDX-License-Identifier: Apache-2.0
/* One socket to many: an association by sendto(), without connect(). */
#include "../wire.h"

#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct pollfd p = { .events = POLLIN };

	p.fd = sock_open(a, t->family, SOCK_SEQPACKET, IPPROTO_SCTP, "socket(IPPROTO_SCTP)");
	if (p.fd < 0)
		return;
	if (send_token(t, a, p.fd, t->addr, t->port))
		(void)poll(&p, 1, 300);
	close(p.fd);
}

CASE(sctp_many) = { .title = "SCTP, one to many, sendto()",
		    .source = "bpf.md 5: SCTP seqpacket",
		    .group = "sockets",
		    .families = FOUR | SIX,
		    .settings = EVERYWHERE,
		    .expect = GUEST,
		    .attempt = attempt };
