// SPDX-License-Identifier: Apache-2.0
/* Larger than the link takes: only the first fragment has ports. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static char text[6000];
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	memset(text, '.', sizeof(text));
	for (size_t at = 1600; at + 100 < sizeof(text); at += 100)
		memcpy(text + at, t->token, strlen(t->token));
	if (sendto(fd, text, sizeof(text), 0, (struct sockaddr *)&ss, n) < 0)
		failed(a, "sendto");
	close(fd);
}

CASE(udp_fragments) = { .title = "UDP, the token in later fragments",
			.source = "field C40: cargowall design.md",
			.group = "header",
			.families = FOUR | SIX,
			.settings = EVERYWHERE,
			.attempt = attempt };
