// SPDX-License-Identifier: Apache-2.0
/* The proxy dies, and the next process of the job has its number: who knows processes by number
 * lets it out. */
#include "../case.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void as_that(const struct target *t, struct attempt *a, const char *pid, int to)
{
	char line[64], answer[16] = "";

	snprintf(line, sizeof(line), "whose %s", pid);
	if (outside_does(line, answer, sizeof(answer)) && !strcmp(answer, "yes")) {
		dial_and_tell(t, a, SOCK_DGRAM, 0, t->addr, t->port);
		dial_and_tell(t, a, SOCK_STREAM, 0, t->addr, t->port);
		(void)!write(to, a, sizeof(*a));
	}
	_exit(0);
}

static void attempt(const struct target *t, struct attempt *a)
{
	char pid[32] = "";
	int fds[2];

	errno = EAGAIN;
	failed(a, "the number could not be had");
	if (pipe(fds))
		return;
	/* Others make processes too. */
	for (int i = 0; i < 40 && outside_does("pid", pid, sizeof(pid)) && *pid != '-'; i++) {
		struct attempt got = { 0 };
		pid_t child = fork();

		if (child == 0)
			as_that(t, &got, pid, fds[1]);
		waitpid(child, NULL, 0);
		fcntl(fds[0], F_SETFL, O_NONBLOCK);
		if (read(fds[0], a, sizeof(*a)) == sizeof(*a))
			return;
	}
}

CASE(pid_again) = { .title = "A process with the dead proxy's number",
		    .source = "field C50: egress-filter AUDIT S15",
		    .group = "crash",
		    .families = FOUR | SIX,
		    .settings = OWN | HOST,
		    .crash = true,
		    .attempt = attempt };
