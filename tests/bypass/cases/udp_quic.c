// SPDX-License-Identifier: Apache-2.0
/* HTTP/3's way: UDP to 443, with a first byte as QUIC's. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	/* A long header, version 1, empty ids; padded as an Initial must be. */
	static char text[1200] = "\xc3\0\0\0\1";
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, 443, &ss);
	int fd = udp_open(t, a);

	if (fd < 0)
		return;
	memcpy(text + 16, t->token, strlen(t->token));
	if (sendto(fd, text, sizeof(text), 0, (struct sockaddr *)&ss, n) < 0)
		failed(a, "sendto");
	close(fd);
}

CASE(udp_quic) = { .title = "UDP to 443, as QUIC",
		   .source = "field C38: assay #1569",
		   .group = "udp",
		   .families = FOUR | SIX,
		   .settings = EVERYWHERE,
		   .attempt = attempt };
