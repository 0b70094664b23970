// SPDX-License-Identifier: Apache-2.0
/* An echo request without any capability: engines open ping_group_range to all. */
#include "../wire.h"

#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	bool four = t->family == AF_INET;
	int open_to_all = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC), fd;
	uint8_t echo[8 + 64] = { four ? 8 : ICMP6_ECHO_REQUEST };
	size_t len = strlen(t->token);
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, 0, &ss);

	/* As engines leave it; uid 0 may write it without any capability. */
	if (open_to_all >= 0) {
		(void)!write(open_to_all, "0 2147483647", 12);
		close(open_to_all);
	}
	fd = sock_open(a, t->family, SOCK_DGRAM, four ? IPPROTO_ICMP : IPPROTO_ICMPV6,
		       "socket(SOCK_DGRAM, IPPROTO_ICMP)");
	if (fd < 0)
		return;
	memcpy(echo + 8, t->token, len);
	if (sendto(fd, echo, 8 + len, 0, (struct sockaddr *)&ss, n) < 0)
		failed(a, "sendto");
	close(fd);
}

CASE(ping_sendto) = { .title = "Ping socket, sendto()",
		      .source = "bpf.md 5: ping dgram sendto; field C39",
		      .group = "sockets",
		      .families = FOUR | SIX,
		      .settings = LINKED,
		      .attempt = attempt };
