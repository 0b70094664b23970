// SPDX-License-Identifier: Apache-2.0
/* Turned once, dissolved by AF_UNSPEC, and connected again. */
#include "../case.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sockaddr_storage ss;
	int fd = socket(t->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n;

	if (fd < 0) {
		failed(a, "socket");
		return;
	}
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	n = sa_make(t->family, t->addr, t->port, &ss);
	(void)connect(fd, (struct sockaddr *)&ss, n);
	(void)wait_connected(fd, 400);
	if (connect(fd, &none, sizeof(none)))
		failed(a, "dissolve");
	n = sa_make(t->family, t->family == AF_INET ? "127.0.0.1" : "::1", t->host_port, &ss);
	if (connect(fd, (struct sockaddr *)&ss, n) && errno != EINPROGRESS)
		failed(a, "connect again");
	else if ((errno = wait_connected(fd, 400)))
		failed(a, "connect again");
	else if (send(fd, t->token, strlen(t->token), MSG_NOSIGNAL) < 0)
		failed(a, "send");
	close(fd);
}

CASE(local_dissolve) = { .title = "AF_UNSPEC, then the host's loopback",
			 .source = "bpf.md section 5, tcp to lo, AF_UNSPEC",
			 .group = "local",
			 .families = FOUR | SIX,
			 .settings = EVERYWHERE,
			 .attempt = attempt };
