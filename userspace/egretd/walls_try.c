/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round of trials (walls.h): in a child of its own, because each waits for tasks of its own and
 * egretd's loop does not wait. Whatever happens to the child, the round that comes next sweeps up
 * (trial_open).
 */
#include "egretd/walls.h"
#include "egretd/trial.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A row each; NULL: this egret has no such wall. */
static const struct {
	const char *name;
	trial_fn fn;
} walls[WALLS] = {
	[WALL_TURN] = { "turn", trial_turn },
	[WALL_SOCKETS] = { "sockets", trial_sockets },
	[WALL_PACKETS] = { "packets", trial_packets },
	[WALL_CAGE] = { "cage", trial_cage },
	[WALL_TC] = { "tc", trial_tc },
	[WALL_LSM] = { "lsm", trial_lsm },
	[WALL_UNIX] = { "unix", trial_unix },
};

const char *wall_name(enum wall w)
{
	return walls[w].name;
}

bool wall_of_name(struct str name, enum wall *ret)
{
	for (int i = 0; i < WALLS; i++) {
		if (!str_is(name, walls[i].name))
			continue;
		*ret = (enum wall)i;
		return true;
	}
	return false;
}

static void all(struct walls_said *s, int r, const char *why)
{
	for (int i = 0; i < WALLS; i++) {
		s->r[i] = r;
		snprintf(s->why[i], sizeof(s->why[i]), "%s", why);
	}
}

void walls_try(struct kernel *k, const struct cgroups *cg, struct walls_said *ret)
{
	char why[WALL_WHY_MAX] = "";
	struct trial t;
	cpu_set_t one;
	int r;

	/* What one task sends to itself comes in the order it was sent, on one CPU. */
	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	(void)!sched_setaffinity(0, sizeof(one), &one);
	r = trial_open(k, cg, &t, why, sizeof(why));
	if (r < 0) {
		all(ret, trial_fault(r), why);
		return;
	}
	for (int i = 0; i < WALLS; i++) {
		char *to = ret->why[i];

		to[0] = 0;
		ret->r[i] = walls[i].fn ? walls[i].fn(&t, to, WALL_WHY_MAX) : -ENOTSUP;
		if (ret->r[i] == 0)
			to[0] = 0;
		else if (!to[0])
			snprintf(to, WALL_WHY_MAX, "%s",
				 walls[i].fn ? strerror(-ret->r[i]) : "not in this version");
	}
	trial_close(&t);
}

int walls_fork(struct kernel *k, const struct cgroups *cg, pid_t *ret, int *ret_fd)
{
	struct walls_said said;
	int ends[2], r;
	pid_t pid, parent = getpid();

	_Static_assert(sizeof(said) <= 4096, "written whole, or not at all");
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		r = -errno;
		close(ends[0]);
		close(ends[1]);
		return r;
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		memset(&said, 0, sizeof(said));
		walls_try(k, cg, &said);
		_exit(write(ends[1], &said, sizeof(said)) == sizeof(said) ? 0 : 1);
	}
	close(ends[1]);
	*ret = pid;
	*ret_fd = ends[0];
	return 0;
}

void walls_take(pid_t pid, int fd, int ms, struct walls_said *ret)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int r;

	do
		r = poll(&p, 1, ms);
	while (r < 0 && errno == EINTR);
	if (r <= 0 || read(fd, ret, sizeof(*ret)) != (ssize_t)sizeof(*ret)) {
		kill(pid, SIGKILL);
		all(ret, r == 0 ? -ETIMEDOUT : -EIO,
		    r == 0 ? "the trial did not end in time" : "the trial died");
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(fd);
}
