// SPDX-License-Identifier: Apache-2.0
/* Into the host's network namespace by /proc/1. */
#include "../wire.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	int ns = open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC);

	if (ns < 0) {
		failed(a, "/proc/1/ns/net");
		return;
	}
	if (setns(ns, CLONE_NEWNET))
		failed(a, "setns");
	else
		dial_and_tell(t, a, SOCK_DGRAM, 0, t->addr, t->port);
	close(ns);
}

CASE(netns_host) = { .title = "setns() to the network of process 1",
		     .source = "own; field C41",
		     .group = "world",
		     .families = FOUR | SIX,
		     .settings = EVERYWHERE,
		     .expect = IMPOSSIBLE,
		     .attempt = attempt };
