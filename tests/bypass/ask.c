// SPDX-License-Identifier: Apache-2.0
/*
 * What a case asks the outside for while it runs (outside_does() in case.h): a crash of the
 * enforcer, a port taken by the colluder, the number of a dead process. The words come from the
 * job; what they can cause is bounded by the list here.
 */
#include "outside.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FREED 64

char ask_crash[512];
static pid_t freed[FREED];
static size_t n_freed;

/* Without an enforcer nobody is to be killed. */
static bool crash(const char *what)
{
	char line[600];
	int said[2], status = 1;
	long pid;
	pid_t shell;
	FILE *f;

	n_freed = 0;
	if (!*ask_crash)
		return true;
	snprintf(line, sizeof(line), "%s %s", ask_crash, what);
	if (pipe2(said, O_CLOEXEC))
		return false;
	shell = fork();
	if (shell == 0) {
		dup2(said[1], 1);
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(99);
	}
	close(said[1]);
	f = fdopen(said[0], "re");
	while (f && n_freed < FREED && fscanf(f, "%ld", &pid) == 1)
		freed[n_freed++] = (pid_t)pid;
	if (f)
		fclose(f);
	return shell > 0 && waitpid(shell, &status, 0) == shell && status == 0;
}

/* One that nobody has any more. */
static pid_t dead(void)
{
	pid_t pid;

	if (*ask_crash) {
		if (!n_freed)
			(void)crash("proxy");
		return n_freed ? freed[0] : -1;
	}
	pid = fork();
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return pid;
}

/* The kernel goes on counting from there. */
static pid_t next_is_dead(void)
{
	int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	pid_t pid = dead();
	bool ok = fd >= 0 && pid > 1 && dprintf(fd, "%d", (int)pid - 1) > 0;

	if (fd >= 0)
		close(fd);
	return ok ? pid : -1;
}

/* A process of this very program, and not the driver's own. */
static bool is_agents(long pid)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	f = fopen(path, "re");
	if (f) {
		(void)!fgets(name, sizeof(name), f);
		fclose(f);
	}
	return !strcmp(name, "bypass\n") && pid != getpid();
}

void ask_answer(const char *line, int fd)
{
	unsigned port = 0, family = 0;
	char text[128];
	long pid = 0;
	int err;

	snprintf(text, sizeof(text), "%.*s", (int)strcspn(line, "\""), line);
	if (!strcmp(text, "crash")) {
		dprintf(fd, "%s\n", crash("all") ? "done" : "failed");
	} else if (!strcmp(text, "pid")) {
		dprintf(fd, "%d\n", (int)next_is_dead());
	} else if (sscanf(text, "whose %ld", &pid) == 1) {
		dprintf(fd, "%s\n", is_agents(pid) ? "yes" : "no");
	} else if (sscanf(text, "take %u %u", &family, &port) == 2 && port && port < 65536) {
		err = friend_take(family == 6 ? AF_INET6 : AF_INET, (uint16_t)port);
		dprintf(fd, "%s\n", err ? strerrorname_np(err) : "here");
	} else {
		dprintf(fd, "?\n");
	}
}
