// SPDX-License-Identifier: Apache-2.0
/* The socket and the datagram by int 0x80. */
#include "../wire.h"

#include "../abi.h"

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);
	size_t len = strlen(t->token);
	char *low = low_page();
	long fd;

	if (!low) {
		errno = ENOSYS;
		lacking(a, "no memory below 4 GiB");
		return;
	}
	memcpy(low, t->token, len);
	memcpy(low + 256, &ss, n);
	fd = call32(NR32_SOCKET, t->family, SOCK_DGRAM, 0, 0, 0, 0);
	if (fd < 0) {
		lacking(a, "socket by int 0x80");
		return;
	}
	if (call32(NR32_SENDTO, fd, (long)low, (long)len, 0, (long)low + 256, n) < 0)
		failed(a, "sendto by int 0x80");
	close((int)fd);
}

CASE(abi32_udp) = { .title = "UDP by int 0x80",
		    .source = "field C46: celln #30; bpf.md 5: int 0x80",
		    .group = "abi",
		    .families = FOUR | SIX,
		    .settings = EVERYWHERE,
		    .attempt = attempt };
