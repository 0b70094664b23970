// SPDX-License-Identifier: Apache-2.0
/* A PPP over Ethernet socket needs no capability and sends frames of its own to any device. */
#include "../wire.h"

#include <linux/if_pppox.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_pppox to = { .sa_family = AF_PPPOX, .sa_protocol = PX_PROTO_OE };
	unsigned dev = 0;
	int fd;

	fd = sock_open(a, AF_PPPOX, SOCK_STREAM, PX_PROTO_OE, "socket(AF_PPPOX)");
	if (fd < 0 || !link_index(t, a, &dev))
		return;
	to.sa_addr.pppoe.sid = 0x7700;
	memset(to.sa_addr.pppoe.remote, 0xfe, 6);
	strncpy(to.sa_addr.pppoe.dev, t->dev, sizeof(to.sa_addr.pppoe.dev) - 1);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		failed(a, "connect(AF_PPPOX)");
	else
		tell(t, a, fd, 0);
	close(fd);
}

CASE(pppoe_session) = { .title = "PPP over Ethernet, a session's data",
			.source = "own; drivers/net/ppp/pppoe.c asks for no capability",
			.group = "link",
			.families = FOUR,
			.settings = LINKED,
			.expect = GUEST,
			.attempt = attempt };
