// SPDX-License-Identifier: Apache-2.0
/* A service manager outside starts what it is told. */
#include "../case.h"

#include <stdio.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_open(a, t->run);

	if (fd < 0)
		return;
	dprintf(fd, "\nAUTH EXTERNAL\r\nBEGIN\r\nStartTransientUnit run-%s.service", t->token);
	close(fd);
}

CASE(unix_systemd_run) = { .title = "A manager asked to start something (systemd-run)",
			   .source = "field C49: fence #186",
			   .group = "local",
			   .families = FOUR,
			   .settings = OWN | HOST,
			   .attempt = attempt };
