// SPDX-License-Identifier: Apache-2.0
/* A flow label may carry options of its own: the routing header is lent to every packet that bears
 * the label. */
#include "../wire.h"

#include <arpa/inet.h>
#include <linux/in6.h>
#include <string.h>
#include <unistd.h>

#ifndef IPPROTO_IPV6
#define IPPROTO_IPV6 41
#endif

static void attempt(const struct target *t, struct attempt *a)
{
	struct {
		struct in6_flowlabel_req ask;
		union {
			struct cmsghdr head;
			char room[CMSG_SPACE(40)];
		} control;
	} req = { .ask = { .flr_action = IPV6_FL_A_GET,
			   .flr_flags = IPV6_FL_F_CREATE,
			   .flr_share = IPV6_FL_S_PROCESS },
		  .control = { .head = { .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_RTHDR } } };
	struct sockaddr_storage ss;
	socklen_t sn = sa_make(AF_INET6, "::1", t->port, &ss);
	uint8_t header[40];
	size_t n = routing_header(t, 2, header);
	int fd = udp_open(t, a), on = 1;

	if (fd < 0)
		return;
	req.ask.flr_label = htonl(0x12345);
	inet_pton(AF_INET6, "::1", &req.ask.flr_dst);
	req.control.head.cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(&req.control.head), header, n);
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, &req, sizeof(req))) {
		lacking(a, "IPV6_FLOWLABEL_MGR");
	} else {
		setsockopt(fd, IPPROTO_IPV6, IPV6_FLOWINFO_SEND, &on, sizeof(on));
		/* sin6_flowinfo: where the family's address keeps it, in both kinds of headers. */
		memcpy((char *)&ss + 4, &req.ask.flr_label, 4);
		if (sendto(fd, t->token, strlen(t->token), 0, (struct sockaddr *)&ss, sn) < 0)
			failed(a, "sendto");
	}
	close(fd);
}

CASE(routing_flow_label) = { .title = "IPv6 routing header type 2 lent by a flow label",
			     .source = "own; net/ipv6/ip6_flowlabel.c; needs CONFIG_IPV6_MIP6",
			     .group = "header",
			     .families = SIX,
			     .settings = EVERYWHERE,
			     .expect = GUEST,
			     .attempt = attempt };
