// SPDX-License-Identifier: Apache-2.0
/* Data in an echo request. */
#include "../wire.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	bool four = t->family == AF_INET;
	int fd = sock_open(a, t->family, SOCK_RAW, four ? IPPROTO_ICMP : IPPROTO_ICMPV6,
			   "socket(IPPROTO_ICMP)");
	uint8_t echo[8 + 64] = { four ? 8 : ICMP6_ECHO_REQUEST };
	size_t len = strlen(t->token), n = 8 + (len + 1) / 2 * 2;
	struct sockaddr_storage ss;
	socklen_t sn = sa_make(t->family, t->addr, 0, &ss);
	uint32_t s = 0;

	if (fd < 0)
		return;
	memcpy(echo + 8, t->token, len);
	/* The kernel fills ICMPv6's sum. */
	for (size_t i = 0; four && i < n; i += 2)
		s += (uint32_t)echo[i] << 8 | echo[i + 1];
	s = (s & 0xffff) + (s >> 16);
	s = ~(s + (s >> 16));
	if (four) {
		echo[2] = (uint8_t)(s >> 8);
		echo[3] = (uint8_t)s;
	}
	if (sendto(fd, echo, n, 0, (struct sockaddr *)&ss, sn) < 0)
		failed(a, "sendto");
	close(fd);
}

CASE(raw_icmp) = { .title = "Raw socket, ICMP echo with data",
		   .source = "field C39: buildcage docs",
		   .group = "sockets",
		   .families = FOUR | SIX,
		   .settings = LINKED,
		   .needs_root = true,
		   .attempt = attempt };
