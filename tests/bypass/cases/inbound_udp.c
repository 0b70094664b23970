// SPDX-License-Identifier: Apache-2.0
/* The outside sends a datagram; the job answers it, by name and connected to who sent it. */
#include "../wire.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->self, (uint16_t)(t->port + 1), &ss);
	struct pollfd p = { .events = POLLIN };
	bool any = false;
	char text[64];

	p.fd = udp_open(t, a);
	if (p.fd < 0)
		return;
	if (!n || bind(p.fd, (struct sockaddr *)&ss, n)) {
		failed(a, "bind to the link's address");
	} else if (poll(&p, 1, 2000) != 1 ||
		   recvfrom(p.fd, text, sizeof(text), 0, (struct sockaddr *)&ss, &n) < 0) {
		failed(a, "nothing came");
	} else {
		any = sendto(p.fd, t->token, strlen(t->token), 0, (struct sockaddr *)&ss, n) >= 0 ||
		      failed(a, "sendto");
		if (connect(p.fd, (struct sockaddr *)&ss, n) || !tell(t, a, p.fd, 0))
			failed(a, "connect");
		else
			any = true;
		if (any)
			a->err = 0;
	}
	close(p.fd);
}

CASE(inbound_udp) = { .title = "UDP, the answer to what came from outside",
		      .source = "bpf.md 5: inbound",
		      .group = "inbound",
		      .families = FOUR | SIX,
		      .settings = LINKED,
		      .inbound = true,
		      .attempt = attempt };
