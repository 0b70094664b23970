// SPDX-License-Identifier: Apache-2.0
/* Past the queueing layer, and with it past tc programs on the job's own side. */
#include "../wire.h"

#include <linux/if_packet.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	uint8_t frame[WIRE_MAX];
	size_t n = wire_ether(t, frame, 0);
	int fd = packet_open(a, SOCK_RAW), on = 1;

	if (fd < 0)
		return;
	if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)))
		failed(a, "PACKET_QDISC_BYPASS");
	else
		packet_send(t, a, fd, frame, n + wire_udp(t, frame + n));
	close(fd);
}

CASE(packet_qdisc_bypass) = { .title = "AF_PACKET, PACKET_QDISC_BYPASS",
			      .source = "bpf.md 5: tc egress in the job's namespace misses it",
			      .group = "link",
			      .families = FOUR | SIX,
			      .settings = LINKED,
			      .needs_root = true,
			      .attempt = attempt };
