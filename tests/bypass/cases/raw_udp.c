// SPDX-License-Identifier: Apache-2.0
/* UDP by a raw socket that is connected: the hooks are UDP's, not raw's. */
#include "../wire.h"

#include <netinet/in.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = sock_open(a, t->family, SOCK_RAW, IPPROTO_UDP, "socket(SOCK_RAW, IPPROTO_UDP)");
	struct sockaddr_storage ss;
	uint8_t packet[WIRE_MAX];
	size_t skip = t->family == AF_INET ? 20 : 40, n = wire_udp(t, packet);
	socklen_t sn = sa_make(t->family, t->addr, 0, &ss);

	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&ss, sn))
		failed(a, "connect");
	else if (send(fd, packet + skip, n - skip, 0) < 0)
		failed(a, "send");
	close(fd);
}

CASE(raw_udp) = { .title = "Raw socket, UDP's protocol, connected",
		  .source = "bpf.md 5: raw udp connect",
		  .group = "sockets",
		  .families = FOUR | SIX,
		  .settings = LINKED,
		  .needs_root = true,
		  .attempt = attempt };
