/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See child.h. Called by services.c, job.c and compile.c. Reads nothing from the children here.
 * Between clone and exec only async-signal-safe calls are made, though egretd has one thread: the
 * child shares nothing but descriptors, and everything that could fail is prepared before.
 */
#include "egretd/child.h"

#include "base/msg.h"
#include "base/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rlimit given; /* RLIMIT_NOFILE at the start; 0: unchanged */

void child_raise_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur == l.rlim_max)
		return;
	given = l;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

void child_lower_descriptors(void)
{
	if (given.rlim_max && setrlimit(RLIMIT_NOFILE, &given) < 0)
		_exit(125);
}

const char *child_folder(void)
{
	static char folder[PATH_MAX];
	char beside[PATH_MAX + 32];
	ssize_t n;

	if (folder[0])
		return folder;
	n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	if (n > 0) {
		folder[n] = 0;
		*strrchr(folder, '/') = 0;
		snprintf(beside, sizeof(beside), "%s/egret-proxy", folder);
		if (access(beside, X_OK) == 0)
			return folder;
	}
	snprintf(folder, sizeof(folder), EGRET_PREFIX "/libexec/egret");
	return folder;
}

/* Nothing of egretd's own environment but where the log goes to and how much. */
static char *const *environment(void)
{
	static char journal[128], quiet[32];
	static char *list[5];
	const char *stream = getenv("JOURNAL_STREAM"), *silent = getenv("EGRET_QUIET");
	unsigned n = 0;

	list[n++] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	if (stream) {
		snprintf(journal, sizeof(journal), "JOURNAL_STREAM=%s", stream);
		list[n++] = journal;
	}
	if (silent) {
		snprintf(quiet, sizeof(quiet), "EGRET_QUIET=1");
		list[n++] = quiet;
	}
#ifdef EGRET_ASAN
	list[n++] = "ASAN_OPTIONS=detect_leaks=0"; /* the leak check traces itself, which the jail
						      refuses */
#endif
	list[n] = NULL;
	return list;
}

/* In the child: never returns. Its exit status says which step failed; the log of egretd names the
 * program. */
static _Noreturn void become(const struct child_plan *plan, const char *path, char *const *env,
			     int sock, int spare)
{
	char *const argv[] = { (char *)plan->program, (char *)plan->arg, NULL };
	sigset_t none;
	int keep_sock, keep_spare, keep_park[2] = { -1, -1 }, i;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (setsid() < 0)
		_exit(120);
	if (plan->enter && setns(plan->netns, CLONE_NEWNET) < 0)
		_exit(119);
	/* Both out of the way of 3 and 4 first, then down to their places without CLOEXEC. */
	keep_sock = fcntl(sock, F_DUPFD_CLOEXEC, 10);
	keep_spare = spare < 0 ? -1 : fcntl(spare, F_DUPFD_CLOEXEC, 10);
	for (i = 0; plan->park && i < 2; i++)
		keep_park[i] = fcntl(plan->park[i], F_DUPFD_CLOEXEC, 10);
	if (keep_sock < 0 || dup2(keep_sock, PROTO_SOCKET_FD) < 0)
		_exit(121);
	if (keep_spare >= 0 && dup2(keep_spare, PROTO_SPARE_FD) < 0)
		_exit(121);
	for (i = 0; plan->park && i < 2; i++)
		if (keep_park[i] < 0 || dup2(keep_park[i], PROTO_PARK_FD + i) < 0)
			_exit(121);
	if (close_range(plan->park	  ? PROTO_PARK_FD + 2
			: keep_spare >= 0 ? PROTO_SPARE_FD + 1
					  : PROTO_SOCKET_FD + 1,
			~0u, 0) < 0)
		_exit(122);
	if (!plan->keep_root) {
		if (setgroups(0, NULL) < 0 || setresgid(plan->gid, plan->gid, plan->gid) < 0 ||
		    setresuid(plan->uid, plan->uid, plan->uid) < 0)
			_exit(123);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			_exit(124);
	}
	if (plan->keep_root)
		child_lower_descriptors();
	execve(path, argv, env);
	_exit(errno == ENOENT ? 127 : 126);
}

int child_start(const struct child_plan *plan, struct child *ret, char *why, size_t why_n)
{
	char path[PATH_MAX + 32];
	int pair[2], pidfd = -1, r;
	pid_t pid;
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_INTO_CGROUP | (plan->new_pid_ns ? CLONE_NEWPID : 0),
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (unsigned)plan->cgroup_dir,
	};

	snprintf(path, sizeof(path), "%s/%s", child_folder(), plan->program);
	if (access(path, X_OK) < 0) {
		r = -errno;
		snprintf(why, why_n,
			 "%s cannot be started: %s; install egret whole, or run egretd from its "
			 "build folder",
			 path, strerror(errno));
		return r;
	}
	r = msg_pair(pair);
	if (r < 0) {
		snprintf(why, why_n, "no socket for %s: %s", plan->program, strerror(-r));
		return r;
	}
	/* clone3 shares no memory here (no CLONE_VM): stdio buffers of the child are never flushed,
	 * it ends by exec or _exit. */
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		become(plan, path, environment(), pair[1],
		       plan->keep_root || plan->alone ? -1 : pair[0]);
	r = -errno;
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		snprintf(why, why_n, "%s cannot be started: %s", plan->program, strerror(-r));
		return r;
	}
	ret->pid = pid;
	ret->pidfd = pidfd;
	ret->sock = pair[0];
	return 0;
}

uint64_t child_started(pid_t pid)
{
	char path[64], text[1024], *at;
	unsigned long long started = 0;
	int i;
	cleanup_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	/* The name in parentheses may hold anything: fields count from the last one. */
	at = strrchr(text, ')');
	for (i = 2; at && i < 22; i++)
		at = strchr(at + 1, ' ');
	if (at)
		started = strtoull(at + 1, NULL, 10);
	return started;
}

int child_adopt_silent(pid_t pid, uint64_t started, struct child *ret)
{
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0)
		return -errno;
	if (child_started(pid) != started || !started)
		return -ESRCH;
	ret->pid = pid;
	ret->pidfd = TAKE_FD(pidfd);
	ret->sock = -1;
	return 0;
}

int child_adopt(pid_t pid, uint64_t started, struct child *ret)
{
	struct child c = CHILD_NONE;
	int r = child_adopt_silent(pid, started, &c);

	if (r < 0)
		return r;
	c.sock = (int)syscall(SYS_pidfd_getfd, c.pidfd, PROTO_SPARE_FD, 0);
	if (c.sock < 0) {
		r = -errno;
		close(c.pidfd);
		return r;
	}
	*ret = c;
	return 0;
}

void child_kill(struct child *c, int sig)
{
	if (c->pid > 0 && c->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, c->pidfd, sig, NULL, 0);
}

bool child_reap(struct child *c, int *ret_status)
{
	siginfo_t si = { 0 };

	if (c->pid <= 0)
		return false;
	if (waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG) < 0) {
		if (errno != ECHILD)
			return false;
		/* Taken up from an earlier egretd: not ours to wait for, but the pidfd tells its
		 * end. */
		if (poll(&(struct pollfd){ .fd = c->pidfd, .events = POLLIN }, 1, 0) <= 0)
			return false;
		*ret_status = -1;
		c->pid = 0;
		return true;
	}
	if (si.si_pid == 0)
		return false;
	*ret_status = si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
	c->pid = 0;
	return true;
}

void child_done(struct child *c)
{
	if (c->pidfd >= 0)
		close(c->pidfd);
	if (c->sock >= 0)
		close(c->sock);
	*c = CHILD_NONE;
}

void child_end(struct child *c)
{
	siginfo_t si;

	if (c->pid > 0) {
		child_kill(c, SIGKILL);
		if (waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED) < 0)
			(void)poll(&(struct pollfd){ .fd = c->pidfd, .events = POLLIN }, 1, 1000);
		c->pid = 0;
	}
	child_done(c);
}
