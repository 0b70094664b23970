// SPDX-License-Identifier: Apache-2.0
/* Options that change who handles a datagram, when or how: each on a socket of its own. */
#include "../wire.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_TXTIME
#define SO_TXTIME 61
#endif
#ifndef UDP_NO_CHECK6_TX
#define UDP_NO_CHECK6_TX 101
#endif
#ifndef SO_RESERVE_MEM
#define SO_RESERVE_MEM 73
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	struct sock_filter ret = { .code = 6 };
	struct sock_fprog prog = { 1, &ret };
	struct sock_txtime when = { .clockid = CLOCK_MONOTONIC };
	int one = 1, two = 2, six = 6;
	const struct {
		int level, name;
		const void *value;
		socklen_t n;
	} each[] = {
		{ SOL_SOCKET, SO_TXTIME, &when, sizeof(when) },
		{ SOL_SOCKET, SO_PRIORITY, &six, sizeof(six) },
		{ SOL_SOCKET, SO_DONTROUTE, &one, sizeof(one) },
		{ SOL_SOCKET, SO_NO_CHECK, &one, sizeof(one) },
		{ SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one) },
		{ SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog) },
		{ SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog) },
		{ IPPROTO_UDP, UDP_ENCAP, &two, sizeof(two) },
		{ IPPROTO_UDP, UDP_NO_CHECK6_TX, &one, sizeof(one) },
		{ IPPROTO_IP, IP_TOS, &six, sizeof(six) },
		{ IPPROTO_IP, IP_TTL, &six, sizeof(six) },
		{ IPPROTO_IPV6, IPV6_TCLASS, &six, sizeof(six) },
	};
	bool any = false;

	for (size_t i = 0; i < sizeof(each) / sizeof(*each); i++) {
		int fd = udp_open(t, a);

		if (fd < 0)
			return;
		if (each[i].name == SO_ATTACH_REUSEPORT_CBPF && each[i].level == SOL_SOCKET)
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		(void)setsockopt(fd, each[i].level, each[i].name, each[i].value, each[i].n);
		any |= send_token(t, a, fd, t->addr, t->port);
		close(fd);
	}
	if (any)
		a->err = 0;
}

CASE(udp_options) = { .title = "UDP with odd socket options",
		      .source = "own",
		      .group = "udp",
		      .families = FOUR | SIX,
		      .settings = EVERYWHERE,
		      .attempt = attempt };
