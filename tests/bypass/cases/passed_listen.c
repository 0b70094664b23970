// SPDX-License-Identifier: Apache-2.0
/* Who is let in from outside by a socket of outside answers to outside. */
#include "../case.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_any(t, a), got;

	if (fd < 0)
		return;
	got = friend_give(t, a, fd, "listen");
	if (got < 0)
		return;
	struct pollfd p = { .fd = got, .events = POLLIN };
	int one;

	if (poll(&p, 1, 600) != 1 || (one = accept(got, NULL, NULL)) < 0) {
		failed(a, "accept");
	} else {
		if (send(one, t->token, strlen(t->token), MSG_NOSIGNAL) < 0)
			failed(a, "send");
		close(one);
	}
	close(got);
}

CASE(passed_listen) = { .title = "A listening socket by SCM_RIGHTS",
			.source = "bpf.md section 5, foreign sockets; surprise 2",
			.group = "local",
			.families = FOUR | SIX,
			.settings = EVERYWHERE,
			.lsm_only = EVERYWHERE,
			.listens = true,
			.attempt = attempt };
