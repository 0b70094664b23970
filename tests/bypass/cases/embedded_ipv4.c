// SPDX-License-Identifier: Apache-2.0
/* IPv6 addresses that hold an IPv4 address: a gateway on the way, or the kernel, would take it out
 * again. */
#include "../wire.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const char *const forms[][2] = {
		{ "64:ff9b::", "" }, { "64:ff9b:1::", "" }, { "2002:", "::1" }, { "::", "" }
	};
	struct sockaddr_storage ss;
	uint8_t ip[4] = { 0 };
	char text[64];
	socklen_t n;
	bool any = false;
	int fd;

	inet_pton(AF_INET, t->addr, ip);
	fd = sock_open(a, AF_INET6, SOCK_DGRAM, 0, "socket");
	if (fd < 0)
		return;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		snprintf(text, sizeof(text), "%s%02x%02x:%02x%02x%s", forms[i][0], ip[0], ip[1],
			 ip[2], ip[3], forms[i][1]);
		n = sa_make(AF_INET6, text, t->port, &ss);
		if (sendto(fd, t->token, strlen(t->token), 0, (struct sockaddr *)&ss, n) < 0)
			failed(a, text);
		else
			any = true;
	}
	if (any)
		a->err = 0;
	close(fd);
}

CASE(embedded_ipv4) = { .title = "UDP to NAT64, 6to4 and IPv4-compatible addresses",
			.source = "field B24: agent-egress-bench ssrf-bypass",
			.group = "udp",
			.families = FOUR,
			.settings = LINKED,
			.attempt = attempt };
