/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See ci_worker.h. Walks /proc from parent to parent. This is a search, not a proof: egretd checks
 * that the process it is given is an ancestor of the caller, in a unit that may register.
 */
#include "cli/ci_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define STEPS_MAX 64

static ssize_t read_proc(pid_t pid, const char *name, char *to, size_t n)
{
	char path[64];
	ssize_t got;
	cleanup_close int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, to, n - 1);
	to[got > 0 ? got : 0] = 0;
	return got;
}

static pid_t parent_of(pid_t pid)
{
	char text[4096];
	const char *line;
	uint64_t n = 0;
	size_t digits;

	if (read_proc(pid, "status", text, sizeof(text)) <= 0)
		return 0;
	line = strstr(text, "\nPPid:\t");
	if (!line)
		return 0;
	line += 7;
	digits = strspn(line, "0123456789");
	return str_u64((struct str){ line, digits }, &n) || n > INT32_MAX ? 0 : (pid_t)n;
}

static bool is_called(pid_t pid, const char *name)
{
	char text[64];
	ssize_t n = read_proc(pid, "comm", text, sizeof(text));

	return n > 1 && (size_t)(n - 1) == strlen(name) && !memcmp(text, name, (size_t)n - 1);
}

int ci_worker_find(const char *how, pid_t *ret)
{
	pid_t pid = getppid(), found = 0;
	uint64_t number;

	if (!strcmp(how, "none")) {
		*ret = 0;
		return 0;
	}
	if (!strcmp(how, "parent")) {
		*ret = pid;
		return 0;
	}
	if (str_u64(str_of(how), &number) == 0) {
		if (number < 2 || number > INT32_MAX)
			return -EINVAL;
		*ret = (pid_t)number;
		return 0;
	}
	if (strcmp(how, "github") && strcmp(how, "buildkite"))
		return -EINVAL;
	for (unsigned i = 0; i < STEPS_MAX && pid > 1; i++, pid = parent_of(pid)) {
		if (!strcmp(how, "github")) {
			if (!is_called(pid, "Runner.Worker"))
				continue;
			*ret = pid;
			return 0;
		}
		/* The agent starts itself anew for each job; the topmost is the agent. */
		if (is_called(pid, "buildkite-agent") &&
		    is_called(parent_of(pid), "buildkite-agent"))
			found = pid;
	}
	if (!found)
		return -ESRCH;
	*ret = found;
	return 0;
}
