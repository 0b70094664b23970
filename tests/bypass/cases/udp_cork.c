// SPDX-License-Identifier: Apache-2.0
/* A datagram in pieces: the first names loopback, a later one the target; and plain to the target.
 */
#include "../wire.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

static bool pieces(const struct target *t, struct attempt *a, int fd, const char *first)
{
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, first, t->port, &ss);
	int off = 0, on = 1;

	if (setsockopt(fd, IPPROTO_UDP, UDP_CORK, &on, sizeof(on)))
		return lacking(a, "UDP_CORK");
	if (sendto(fd, "x", 1, MSG_MORE, (struct sockaddr *)&ss, n) < 0)
		return failed(a, "sendto(MSG_MORE)");
	if (!send_token(t, a, fd, t->addr, t->port))
		return false;
	if (setsockopt(fd, IPPROTO_UDP, UDP_CORK, &off, sizeof(off)))
		return failed(a, "UDP_CORK off");
	return true;
}

static void attempt(const struct target *t, struct attempt *a)
{
	const char *first[2] = { loopback(t->family), t->addr };

	for (int i = 0; i < 2; i++) {
		int fd = udp_open(t, a);

		if (fd < 0)
			return;
		if (pieces(t, a, fd, first[i]))
			a->err = 0;
		close(fd);
	}
}

CASE(udp_cork) = { .title = "UDP, UDP_CORK and MSG_MORE",
		   .source = "own",
		   .group = "udp",
		   .families = FOUR | SIX,
		   .settings = EVERYWHERE,
		   .attempt = attempt };
