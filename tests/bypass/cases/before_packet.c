// SPDX-License-Identifier: Apache-2.0
/* Made when one still might. */
#include "../case.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>

static int before(const struct target *t)
{
	(void)t;
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static void attempt(const struct target *t, struct attempt *a)
{
	if (t->early < 0) {
		errno = EBADF;
		failed(a, "nothing from before was handed on");
		return;
	}
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_halen = 6 };
	uint8_t b[128];
	size_t n = strlen(t->token);

	memset(b, 0xff, 12);
	b[12] = 0x88;
	b[13] = 0xb5;
	memcpy(b + 14, t->token, n);
	ll.sll_ifindex = (int)if_nametoindex(t->dev);
	if (sendto(t->early, b, 14 + n, MSG_NOSIGNAL, (struct sockaddr *)&ll, sizeof(ll)) < 0)
		failed(a, "sendto");
}

CASE(before_packet) = { .title = "A packet socket from before",
			.source = "bpf.md surprise 2",
			.group = "lifecycle",
			.families = FOUR,
			.settings = OWN | BRIDGE | HOST,
			.before = before,
			.lsm_only = ATTACH | FIRST,
			.needs_root = true,
			.attempt = attempt };
