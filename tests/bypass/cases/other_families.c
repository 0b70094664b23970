// SPDX-License-Identifier: Apache-2.0
/* Every other family of sockets that this kernel opens, and a send on it. None leads to a network
 * here; said is which opened. */
#include "../wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_RDM };
	/* Have files of their own, or are local by what they are (UNIX, netlink). */
	static const int known[] = { AF_UNSPEC,	 AF_UNIX,   AF_INET,  AF_INET6,
				     AF_NETLINK, AF_PACKET, AF_VSOCK, AF_XDP };
	char opened[96] = "";
	size_t n = 0;

	for (int family = 1; family < 64; family++) {
		bool skip = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			skip |= known[i] == family;
		for (size_t i = 0; !skip && i < sizeof(types) / sizeof(*types); i++) {
			int fd = socket(family, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

			if (fd < 0)
				continue;
			(void)send(fd, t->token, strlen(t->token), MSG_NOSIGNAL);
			close(fd);
			if (n < sizeof(opened) - 8)
				n += (size_t)snprintf(opened + n, sizeof(opened) - n, " %d",
						      family);
			break;
		}
	}
	if (n) {
		snprintf(a->said, sizeof(a->said), "opened:%s", opened);
		return;
	}
	errno = EAFNOSUPPORT;
	lacking(a, "socket() of each other family");
}

CASE(other_families) = {
	.title = "All other families (TIPC, RDS, KEY, ALG, BLUETOOTH, CAN, KCM, QIPCRTR, ...)",
	.source = "bpf.md 5; field C35",
	.group = "sockets",
	.families = FOUR,
	.settings = EVERYWHERE,
	.expect = IMPOSSIBLE,
	.attempt = attempt
};
