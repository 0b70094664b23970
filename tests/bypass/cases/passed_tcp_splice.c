// SPDX-License-Identifier: Apache-2.0
/* On older kernels splice() to a socket passed by no sendmsg hook. */
#include "../case.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_any(t, a), got;

	if (fd < 0)
		return;
	got = friend_give(t, a, fd, "tcp");
	if (got < 0)
		return;
	int p[2];

	if (pipe(p) || write(p[1], t->token, strlen(t->token)) < 0 ||
	    splice(p[0], NULL, got, NULL, strlen(t->token), 0) < 0)
		failed(a, "splice");
	close(got);
}

CASE(passed_tcp_splice) = { .title = "A connected TCP socket by SCM_RIGHTS, splice()",
			    .source = "bpf.md section 5, foreign sockets; surprise 2",
			    .group = "local",
			    .families = FOUR | SIX,
			    .settings = EVERYWHERE,
			    .lsm_only = EVERYWHERE,
			    .attempt = attempt };
