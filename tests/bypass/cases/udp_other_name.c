// SPDX-License-Identifier: Apache-2.0
/* Connected where it is allowed, then sent elsewhere by name: sendto() and sendmsg() on a connected
 * socket. */
#include "../wire.h"

#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, loopback(t->family), t->port, &ss);
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	/* From loopback's own address nothing could leave. */
	if (t->self[0]) {
		n = sa_make(t->family, t->self, 0, &ss);
		(void)bind(fd, (struct sockaddr *)&ss, n);
		n = sa_make(t->family, loopback(t->family), t->port, &ss);
	}
	(void)connect(fd, (struct sockaddr *)&ss, n);
	send_token(t, a, fd, t->addr, t->port);
	if (tell_control(t, a, fd, t->addr, 0, 0, NULL, 0))
		a->err = 0;
	close(fd);
}

CASE(udp_other_name) = { .title = "UDP connected to loopback, sent elsewhere by name",
			 .source = "bpf.md 5: UDP lo-connect then sendto other",
			 .group = "udp",
			 .families = FOUR | SIX,
			 .settings = LINKED,
			 .attempt = attempt };
