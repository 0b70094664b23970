// SPDX-License-Identifier: Apache-2.0
/* A connection by a socket option, with several addresses: first loopback, then the target. */
#include "../wire.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#ifndef SOL_SCTP
#define SOL_SCTP 132
#endif
#define SCTP_SOCKOPT_CONNECTX 110

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	uint8_t packed[64];
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss), at = 0;
	int fd = sock_open(a, t->family, SOCK_STREAM, IPPROTO_SCTP, "socket(IPPROTO_SCTP)");

	if (fd < 0)
		return;
	memcpy(packed, &ss, n);
	at = n;
	sa_make(t->family, loopback(t->family), t->port, &ss);
	memcpy(packed + at, &ss, n);
	at += n;
	if (setsockopt(fd, SOL_SCTP, SCTP_SOCKOPT_CONNECTX, packed, at) < 0)
		failed(a, "SCTP_SOCKOPT_CONNECTX");
	a->err = wait_connected(fd, 400);
	if (!a->err && tell(t, a, fd, 0))
		(void)poll(NULL, 0, 100);
	close(fd);
}

CASE(sctp_connectx) = { .title = "SCTP, connectx",
			.source = "bpf.md 5: SCTP",
			.group = "sockets",
			.families = FOUR | SIX,
			.settings = EVERYWHERE,
			.expect = GUEST,
			.attempt = attempt };
