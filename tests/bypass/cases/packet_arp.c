// SPDX-License-Identifier: Apache-2.0
/* ARP, which a link must let pass, with the token behind the question. */
#include "../wire.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const uint8_t ask[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	uint8_t frame[WIRE_MAX];
	size_t n = wire_ether(t, frame, 0x0806), len = strlen(t->token);
	int fd = packet_open(a, SOCK_RAW);

	if (fd < 0)
		return;
	memset(frame + n, 0, 28);
	memcpy(frame + n, ask, sizeof(ask));
	memcpy(frame + n + 8, frame + 6, 6);
	inet_pton(AF_INET, t->self, frame + n + 14);
	inet_pton(AF_INET, t->gateway, frame + n + 24);
	memcpy(frame + n + 28, t->token, len);
	packet_send(t, a, fd, frame, n + 28 + len);
	close(fd);
}

CASE(packet_arp) = { .title = "ARP with data behind it",
		     .source = "own",
		     .group = "link",
		     .families = FOUR,
		     .settings = LINKED,
		     .needs_root = true,
		     .attempt = attempt };
