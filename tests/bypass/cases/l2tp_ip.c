// SPDX-License-Identifier: Apache-2.0
/* L2TP without UDP: a datagram socket of AF_INET with a protocol that no hook knows. */
#include "../wire.h"

#include <linux/l2tp.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#ifndef IPPROTO_L2TP
#define IPPROTO_L2TP 115
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_l2tpip four = { .l2tp_family = AF_INET };
	struct sockaddr_l2tpip6 six = { .l2tp_family = AF_INET6 };
	struct sockaddr_storage ss;
	bool is_four = t->family == AF_INET;
	int fd = sock_open(a, t->family, SOCK_DGRAM, IPPROTO_L2TP, "socket(IPPROTO_L2TP)");

	if (fd < 0)
		return;
	sa_make(t->family, t->addr, 0, &ss);
	four.l2tp_addr = ((struct sockaddr_in *)&ss)->sin_addr;
	six.l2tp_addr = ((struct sockaddr_in6 *)&ss)->sin6_addr;
	if (sendto(fd, t->token, strlen(t->token), 0,
		   is_four ? (struct sockaddr *)&four : (struct sockaddr *)&six,
		   is_four ? sizeof(four) : sizeof(six)) < 0)
		failed(a, "sendto");
	close(fd);
}

CASE(l2tp_ip) = { .title = "L2TP over IP",
		  .source = "own; field C35: new kernel interfaces",
		  .group = "sockets",
		  .families = FOUR | SIX,
		  .settings = LINKED,
		  .expect = GUEST,
		  .attempt = attempt };
