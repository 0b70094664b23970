// SPDX-License-Identifier: Apache-2.0
/* A packet socket of the host sees and reaches every link of the host. */
#include "../case.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_any(t, a), got;

	if (fd < 0)
		return;
	got = friend_give(t, a, fd, "packet");
	if (got < 0)
		return;
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_halen = 6 };
	uint8_t b[128];
	size_t n = strlen(t->token);

	/* Its links are those of where it was made. */
	memset(b, 0xff, 12);
	b[12] = 0x88;
	b[13] = 0xb5;
	memcpy(b + 14, t->token, n);
	a->err = ENXIO;
	for (ll.sll_ifindex = 1; ll.sll_ifindex < 64; ll.sll_ifindex++) {
		if (sendto(got, b, 14 + n, MSG_NOSIGNAL, (struct sockaddr *)&ll, sizeof(ll)) > 0)
			a->err = 0;
		else if (errno != ENXIO && errno != ENODEV && a->err)
			failed(a, "sendto");
	}
	close(got);
}

CASE(passed_packet) = { .title = "A packet socket by SCM_RIGHTS",
			.source = "bpf.md section 5, foreign sockets; surprise 2",
			.group = "local",
			.families = FOUR,
			.settings = EVERYWHERE,
			.lsm_only = EVERYWHERE,
			.attempt = attempt };
