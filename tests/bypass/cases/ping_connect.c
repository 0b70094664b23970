// SPDX-License-Identifier: Apache-2.0
/* The connected form of a ping socket: it has a hook of its own, and sends without a name. */
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
	if (connect(fd, (struct sockaddr *)&ss, n))
		failed(a, "connect");
	else if (send(fd, echo, 8 + len, 0) < 0)
		failed(a, "send");
	close(fd);
}

CASE(ping_connect) = { .title = "Ping socket, connect() and send()",
		       .source = "bpf.md 5: connect form is hooked; field C39",
		       .group = "sockets",
		       .families = FOUR | SIX,
		       .settings = LINKED,
		       .attempt = attempt };
