/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real runtime: found once a call, in fixed folders or where --egret-runtime says, never this
 * program under another name. Its environment and descriptors are the engine's own.
 */
#include "oci/oci.h"

#include "base/families.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define INSIDE "EGRET_RUNC_INSIDE"

static const int handed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH };

static bool usable(const char *path)
{
	struct stat own, it;

	return stat("/proc/self/exe", &own) == 0 && stat(path, &it) == 0 && S_ISREG(it.st_mode) &&
	       (own.st_dev != it.st_dev || own.st_ino != it.st_ino) && access(path, X_OK) == 0;
}

int runtime_find(const struct args *a, char *to, size_t size, char *why, size_t n)
{
	static const char *const names[] = { "runc", "crun" };
	static const char *const folders[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
					       "/usr/bin",	  "/sbin",	    "/bin" };

	/* A copy of this program is another file; it finds out here that it was started by one. */
	if (getenv(INSIDE)) {
		snprintf(why, n,
			 "the runtime that egret-runc found is egret-runc again: name the real one "
			 "with --egret-runtime=PATH");
		return -ELOOP;
	}
	if (a->runtime) {
		if (a->runtime[0] == '/' && usable(a->runtime) &&
		    (size_t)snprintf(to, size, "%s", a->runtime) < size)
			return 0;
		snprintf(why, n, "--egret-runtime=%s is not the absolute path of another program",
			 a->runtime);
		return -ENOENT;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		for (size_t k = 0; k < ARRAY_SIZE(folders); k++) {
			snprintf(to, size, "%s/%s", folders[k], names[i]);
			if (usable(to))
				return 0;
		}
	snprintf(why, n,
		 "no runc and no crun in /usr/local, /usr or /: name the real runtime with "
		 "--egret-runtime=PATH");
	return -ENOENT;
}

int runtime_exec(const char *path, char **argv, bool walls, char *why, size_t n)
{
	int r = walls ? families_close(false, why, n) : 0;

	if (r < 0)
		return r;
	argv[0] = (char *)path;
	setenv(INSIDE, "1", 1);
	execv(path, argv);
	r = -errno;
	snprintf(why, n, "%s cannot be started: %s", path, strerror(-r));
	return r;
}

static _Noreturn void child(const char *path, char **argv, bool walls, const sigset_t *mask,
			    int fault, pid_t parent)
{
	const char *listen_pid = getenv("LISTEN_PID");
	char why[512], own[16];

	sigprocmask(SIG_SETMASK, mask, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Sockets that the engine passes by name are for "this" process: that is the runtime now.
	 */
	snprintf(own, sizeof(own), "%d", (int)parent);
	if (listen_pid && !strcmp(listen_pid, own)) {
		snprintf(own, sizeof(own), "%d", (int)getpid());
		setenv("LISTEN_PID", own, 1);
	}
	(void)!runtime_exec(path, argv, walls, why, sizeof(why));
	(void)!write(fault, why, strlen(why));
	_exit(127);
}

int runtime_wait(const char *path, char **argv, bool walls, char *why, size_t n)
{
	sigset_t set, old;
	pid_t pid, own = getpid();
	int fault[2], status = 0, sig;
	ssize_t k;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(handed_on); i++)
		sigaddset(&set, handed_on[i]);
	sigprocmask(SIG_BLOCK, &set, &old);
	snprintf(why, n, "no process for the runtime");
	if (pipe2(fault, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		child(path, argv, walls, &old, fault[1], own);
	close(fault[1]);
	if (pid < 0)
		return -errno;
	k = read(fault[0], why, n - 1);
	close(fault[0]);
	if (k > 0) {
		why[k] = 0;
		waitpid(pid, NULL, 0);
		return -ENOEXEC;
	}
	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid)
			break;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0 && sigwait(&set, &sig) == 0 && sig != SIGCHLD)
			kill(pid, sig);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
