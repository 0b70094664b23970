// SPDX-License-Identifier: Apache-2.0
/* write() is not sendmsg(), for who hooks system calls. */
#include "../case.h"

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
	if (write(got, t->token, strlen(t->token)) < 0)
		failed(a, "write");
	close(got);
}

CASE(passed_tcp_write) = { .title = "A connected TCP socket by SCM_RIGHTS, write()",
			   .source = "bpf.md section 5, foreign sockets; surprise 2",
			   .group = "local",
			   .families = FOUR | SIX,
			   .settings = EVERYWHERE,
			   .lsm_only = EVERYWHERE,
			   .attempt = attempt };
