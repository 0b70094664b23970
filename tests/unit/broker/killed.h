/* SPDX-License-Identifier: Apache-2.0 */
/* A step that is killed before its nth system call: what a power cut or a kill -9 leaves. */
#ifndef EGRET_TESTS_UNIT_BROKER_KILLED_H
#define EGRET_TESTS_UNIT_BROKER_KILLED_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* fn runs in a child; its arena is wiped there, so keys come in plain memory. true: it was killed;
 * false: it had ended by then, with 0. */
static bool killed_before(unsigned n, int (*fn)(void *with), void *with)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(3);
		raise(SIGSTOP);
		_exit(fn(with) == 0 ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	for (unsigned i = 0; i <= 2 * n; i++) { /* an entry and an exit a call */
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

#endif
