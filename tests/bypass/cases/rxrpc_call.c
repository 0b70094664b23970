// SPDX-License-Identifier: Apache-2.0
/* AF_RXRPC is a protocol over UDP: the kernel's own socket and thread send what the job says. */
#include "../wire.h"

#include <linux/rxrpc.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_rxrpc self = { .srx_family = AF_RXRPC, .transport_type = SOCK_DGRAM },
			      to = self;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(unsigned long))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(unsigned long)),
				.cmsg_level = SOL_RXRPC,
				.cmsg_type = RXRPC_USER_CALL_ID } };
	struct iovec iov = { (void *)t->token, strlen(t->token) };
	struct msghdr m = { .msg_name = &to,
			    .msg_namelen = sizeof(to),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct sockaddr_storage ss;
	int fd = sock_open(a, AF_RXRPC, SOCK_DGRAM, t->family, "socket(AF_RXRPC)");

	if (fd < 0)
		return;
	self.transport.family = (sa_family_t)t->family;
	self.transport_len = sa_make(t->family, t->family == AF_INET ? "0.0.0.0" : "::", 0, &ss);
	to.srx_service = 77;
	to.transport_len = sa_make(t->family, t->addr, t->port, &ss);
	memcpy(&to.transport, &ss, to.transport_len);
	memset(CMSG_DATA(&control.head), 1, sizeof(unsigned long));
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)))
		failed(a, "bind(AF_RXRPC)");
	else if (sendmsg(fd, &m, 0) < 0)
		failed(a, "sendmsg(AF_RXRPC)");
	(void)wait_connected(fd, 50);
	close(fd);
}

CASE(rxrpc_call) = { .title = "AF_RXRPC, a call",
		     .source = "own; net/rxrpc",
		     .group = "sockets",
		     .families = FOUR | SIX,
		     .settings = LINKED,
		     .expect = GUEST,
		     .attempt = attempt };
