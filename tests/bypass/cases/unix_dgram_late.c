// SPDX-License-Identifier: Apache-2.0
/* Datagrams need no connection: another hook than connect's sees them. */
#include "../case.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), n;

	if (fd < 0) {
		failed(a, "socket");
		return;
	}
	n = snprintf(un.sun_path, sizeof(un.sun_path), "%s.d", t->late);
	if (sendto(fd, t->token, strlen(t->token), MSG_NOSIGNAL, (struct sockaddr *)&un,
		   (socklen_t)offsetof(struct sockaddr_un, sun_path) + (socklen_t)n + 1) < 0)
		failed(a, "sendto");
	close(fd);
}

CASE(unix_dgram_late) = { .title = "A UNIX datagram socket that is made later",
			  .source = "field C49, C30",
			  .group = "local",
			  .families = FOUR,
			  .settings = EVERYWHERE,
			  .lsm_only = EVERYWHERE | ATTACH,
			  .confined_only = true,
			  .attempt = attempt };
