// SPDX-License-Identifier: Apache-2.0
/* IEEE 802.2 frames by AF_LLC. */
#include "../wire.h"

#include <linux/if_arp.h>
#include <linux/llc.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_llc to = {
		.sllc_family = AF_LLC, .sllc_arphrd = ARPHRD_ETHER, .sllc_ua = 1, .sllc_sap = 0x42
	};
	struct sockaddr_llc self = { .sllc_family = AF_LLC,
				     .sllc_arphrd = ARPHRD_ETHER,
				     .sllc_sap = 0x42 };
	int fd = sock_open(a, AF_LLC, SOCK_DGRAM, 0, "socket(AF_LLC)");

	if (fd < 0)
		return;
	memset(to.sllc_mac, 0xff, 6);
	if (t->dev[0])
		(void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, t->dev,
				 (socklen_t)strlen(t->dev));
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)))
		failed(a, "bind(AF_LLC)");
	else if (sendto(fd, t->token, strlen(t->token), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		failed(a, "sendto(AF_LLC)");
	close(fd);
}

CASE(llc_datagram) = { .title = "AF_LLC, a datagram",
		       .source = "own",
		       .group = "link",
		       .families = FOUR,
		       .settings = LINKED,
		       .expect = GUEST,
		       .needs_root = true,
		       .attempt = attempt };
