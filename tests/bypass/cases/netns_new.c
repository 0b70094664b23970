// SPDX-License-Identifier: Apache-2.0
/* A namespace of users and networks that the job makes: all capabilities, and no link. */
#include "../wire.h"

#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	uint8_t packet[WIRE_MAX];
	int fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		failed(a, "unshare(CLONE_NEWUSER | CLONE_NEWNET)");
		return;
	}
	fd = udp_open(t, a);
	if (fd < 0)
		return;
	(void)ioctl(fd, SIOCSIFFLAGS, &lo);
	send_token(t, a, fd, t->addr, t->port);
	close(fd);
	/* And with the capability for packets that it has now. */
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		packet_send(t, a, fd, packet, wire_udp(t, packet));
		close(fd);
	}
}

CASE(netns_new) = { .title = "New user and network namespaces",
		    .source = "field C41: egress-filter test-netns-bypass",
		    .group = "world",
		    .families = FOUR | SIX,
		    .settings = EVERYWHERE,
		    .expect = IMPOSSIBLE,
		    .attempt = attempt };
