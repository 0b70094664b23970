// SPDX-License-Identifier: Apache-2.0
/* To all on the link: the limited form and the link's own. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	char last[64];
	const char *dot = strrchr(t->self, '.');
	int fd = udp_open(t, a), on = 1;

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	if (t->dev[0])
		(void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, t->dev,
				 (socklen_t)strlen(t->dev));
	if (dot && (size_t)(dot - t->self) < sizeof(last) - 5) {
		memcpy(last, t->self, (size_t)(dot - t->self));
		memcpy(last + (dot - t->self), ".255", 5);
		send_token(t, a, fd, last, t->port);
	}
	if (send_token(t, a, fd, "255.255.255.255", t->port))
		a->err = 0;
	close(fd);
}

CASE(udp_broadcast) = { .title = "UDP, broadcast",
			.source = "bpf.md 5: udp broadcast",
			.group = "udp",
			.families = FOUR,
			.settings = EVERYWHERE,
			.attempt = attempt };
