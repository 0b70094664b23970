// SPDX-License-Identifier: Apache-2.0
/* A mapped destination goes to the IPv4 hook of sendmsg and the IPv6 one of connect. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(AF_INET6, t->addr, t->port, &ss);
	int fd = sock_open(a, AF_INET6, SOCK_DGRAM, 0, "socket");

	if (fd < 0)
		return;
	if (sendto(fd, t->token, strlen(t->token), 0, (struct sockaddr *)&ss, n) < 0)
		failed(a, "sendto");
	if (connect(fd, (struct sockaddr *)&ss, n) == 0 && tell(t, a, fd, 0))
		a->err = 0;
	close(fd);
}

CASE(udp_mapped) = { .title = "UDP, IPv4-mapped destination",
		     .source = "field C37; bpf.md 4",
		     .group = "udp",
		     .families = FOUR,
		     .settings = EVERYWHERE,
		     .attempt = attempt };
