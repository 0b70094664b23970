// SPDX-License-Identifier: Apache-2.0
/* Made before, connected now: its cgroup is another. */
#include "../case.h"

#include <errno.h>
#include <string.h>

static int before(const struct target *t)
{
	return socket(t->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void attempt(const struct target *t, struct attempt *a)
{
	if (t->early < 0) {
		errno = EBADF;
		failed(a, "nothing from before was handed on");
		return;
	}
	struct sockaddr_storage ss;
	socklen_t n = sa_make(t->family, t->addr, t->port, &ss);

	if (connect(t->early, (struct sockaddr *)&ss, n) && errno != EINPROGRESS)
		failed(a, "connect");
	else if ((errno = wait_connected(t->early, 400)))
		failed(a, "connect");
	else if (send(t->early, t->token, strlen(t->token), MSG_NOSIGNAL) < 0)
		failed(a, "send");
}

CASE(before_tcp_free) = { .title = "An unconnected TCP socket from before",
			  .source = "bpf.md surprise 2",
			  .group = "lifecycle",
			  .families = FOUR | SIX,
			  .settings = OWN | BRIDGE | HOST,
			  .before = before,
			  .lsm_only = ATTACH,
			  .attempt = attempt };
