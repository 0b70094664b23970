// SPDX-License-Identifier: Apache-2.0
/* The same options by control messages. */
#include "../wire.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	static const int names[] = { IPV6_HOPOPTS, IPV6_DSTOPTS, IPV6_RTHDRDSTOPTS };
	uint8_t header[8] = { 0, 0, 1, 4 };
	int fd = udp_open(t, a);
	bool any = false;

	if (fd < 0)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		any |= tell_control(t, a, fd, t->addr, IPPROTO_IPV6, names[i], header,
				    sizeof(header));
	if (any)
		a->err = 0;
	close(fd);
}

CASE(option_headers_cmsg) = { .title = "IPv6 option headers by control messages",
			      .source = "bpf.md 5: v6 hop-by-hop",
			      .group = "header",
			      .families = SIX,
			      .settings = LINKED,
			      .needs_root = true,
			      .attempt = attempt };
