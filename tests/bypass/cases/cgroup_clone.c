// SPDX-License-Identifier: Apache-2.0
/* A child that is born in another cgroup (CLONE_INTO_CGROUP): it never was in the job's. */
#include "../wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void attempt(const struct target *t, struct attempt *a)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	char mount[256], own[256];
	int fd, status = 0;
	pid_t pid;

	if (!cgroup_mount(a, mount, own))
		return;
	fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		failed(a, "open of the top cgroup");
		return;
	}
	args.cgroup = (uint64_t)fd;
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0) {
		failed(a, "clone3(CLONE_INTO_CGROUP)");
	} else if (pid == 0) {
		tell_plainly(t, a);
		_exit(a->err);
	} else if (waitpid(pid, &status, 0) == pid && WEXITSTATUS(status)) {
		errno = WEXITSTATUS(status);
		failed(a, "what the child sent");
	}
	close(fd);
}

CASE(cgroup_clone) = { .title = "A child in another cgroup by clone3()",
		       .source = "bpf.md 5: job moves itself; own",
		       .group = "world",
		       .families = FOUR | SIX,
		       .settings = OWN | HOST,
		       .attempt = attempt };
