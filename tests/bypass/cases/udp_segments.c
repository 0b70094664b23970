// SPDX-License-Identifier: Apache-2.0
/* One call, many datagrams (UDP_SEGMENT): cut behind the hooks. */
#include "../wire.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	char text[256];
	size_t len = strlen(t->token);
	int fd = udp_open(t, a), size = (int)len;
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);

	if (fd < 0)
		return;
	for (size_t i = 0; i < 4; i++)
		memcpy(text + i * len, t->token, len);
	if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)))
		lacking(a, "UDP_SEGMENT");
	else if (sendto(fd, text, 4 * len, 0, (struct sockaddr *)&ss, n) < 0)
		failed(a, "sendto");
	close(fd);
}

CASE(udp_segments) = { .title = "UDP, segmentation by the kernel",
		       .source = "own",
		       .group = "udp",
		       .families = FOUR | SIX,
		       .settings = EVERYWHERE,
		       .attempt = attempt };
