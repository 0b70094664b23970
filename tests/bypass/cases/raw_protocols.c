// SPDX-License-Identifier: Apache-2.0
/* Protocols that nobody looks at: GRE, IPIP, AH, ESP, a number without a name. */
#include "../wire.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const int protocols[] = { 4, 41, 47, 50, 51, 94, 115, 253 };
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, 0, &ss);
	bool any = false;

	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++) {
		int fd = sock_open(a, t->family, SOCK_RAW, protocols[i], "socket(SOCK_RAW)");

		if (fd < 0)
			continue;
		any |= sendto(fd, t->token, strlen(t->token), 0, (struct sockaddr *)&ss, n) >= 0 ||
		       failed(a, "sendto");
		close(fd);
	}
	if (any)
		a->err = 0;
}

CASE(raw_protocols) = { .title = "Raw sockets of GRE, IPIP, ESP and others",
			.source = "field C35: egress-filter AUDIT S10",
			.group = "sockets",
			.families = FOUR | SIX,
			.settings = LINKED,
			.needs_root = true,
			.attempt = attempt };
