// SPDX-License-Identifier: Apache-2.0
/* SOCK_PACKET, older than AF_PACKET: the kernel makes one of the other, after filters by family
 * have looked. */
#include "../wire.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <string.h>
#include <unistd.h>

#ifndef SOCK_PACKET
#define SOCK_PACKET 10
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t frame[WIRE_MAX];
	size_t n = wire_ether(t, frame, 0);
	/* Its addresses name the device as text. */
	struct sockaddr to = { .sa_family = AF_INET };
	int fd = sock_open(a, AF_INET, SOCK_PACKET, htons(ETH_P_ALL),
			   "socket(AF_INET, SOCK_PACKET)");

	if (fd < 0)
		return;
	strncpy(to.sa_data, t->dev, sizeof(to.sa_data) - 1);
	if (sendto(fd, frame, n + wire_udp(t, frame + n), 0, &to, sizeof(to)) < 0)
		failed(a, "sendto");
	close(fd);
}

CASE(packet_legacy) = { .title = "AF_INET, SOCK_PACKET",
			.source = "own; net/socket.c: PF_INET with SOCK_PACKET becomes PF_PACKET",
			.group = "link",
			.families = FOUR | SIX,
			.settings = LINKED,
			.needs_root = true,
			.attempt = attempt };
