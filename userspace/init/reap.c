/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process 1 of the job: called last by main.c, already as the job's user and with nothing left to
 * lose. Starts the command, hands signals on to it, reaps every orphan, and ends with the command:
 * the kernel then kills what is left in the pid namespace.
 */
#include "init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static const int handed_on[] = { SIGHUP,  SIGINT,   SIGQUIT, SIGTERM, SIGUSR1,
				 SIGUSR2, SIGWINCH, SIGCONT, SIGALRM };

static _Noreturn void start(const struct spec *spec, char **envp, int fault)
{
	sigset_t none;
	int err;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	execvpe(spec->argv[0], spec->argv, envp);
	err = errno;
	(void)!write(fault, &err, sizeof(err));
	_exit(127);
}

int reap_command(const struct spec *spec, char **envp, const char *cwd)
{
	int fault[2], err = 0, sig = 0, status, result = -1;
	sigset_t set;
	const char *path = NULL;
	pid_t command;
	size_t i;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (i = 0; i < ARRAY_SIZE(handed_on); i++)
		sigaddset(&set, handed_on[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (chdir(cwd) < 0) {
		fprintf(stderr, "egret run: cannot enter %s as the job's user: %s\n", cwd,
			strerror(errno));
		return 126;
	}
	/* PATH decides as the job sees it. */
	for (i = 0; envp[i]; i++)
		if (!strncmp(envp[i], "PATH=", 5))
			path = envp[i] + 5;
	if (path)
		setenv("PATH", path, 1);
	if (pipe2(fault, O_CLOEXEC) < 0)
		return 125;
	command = fork();
	if (command < 0)
		return 125;
	if (command == 0)
		start(spec, envp, fault[1]);
	close(fault[1]);
	if (read(fault[0], &err, sizeof(err)) == (ssize_t)sizeof(err)) {
		char name[256];

		text_escape(name, sizeof(name), str_of(spec->argv[0]));
		fprintf(stderr, "egret run: %s: %s\n", name,
			err == ENOENT ? "command not found" : strerror(err));
		waitpid(command, NULL, 0);
		return err == ENOENT ? 127 : 126;
	}
	close(fault[0]);
	while (result < 0) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid == command)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		else if (pid < 0 && errno == ECHILD)
			result = 125;
		else if (pid > 0)
			continue;
		else if (sigwait(&set, &sig) == 0 && sig != SIGCHLD)
			kill(command, sig);
	}
	return result;
}
