// SPDX-License-Identifier: Apache-2.0
/* An address whose family is 0 is taken for the socket's; a wall by family may not look at it. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	ss.ss_family = AF_UNSPEC;
	if (sendto(fd, t->token, strlen(t->token), 0, (struct sockaddr *)&ss, n) < 0)
		failed(a, "sendto(AF_UNSPEC)");
	close(fd);
}

CASE(udp_unspec_name) = { .title = "UDP, sendto() with a name of AF_UNSPEC",
			  .source = "bpf.md 5: udp AF_UNSPEC name",
			  .group = "udp",
			  .families = FOUR,
			  .settings = EVERYWHERE,
			  .attempt = attempt };
