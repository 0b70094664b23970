// SPDX-License-Identifier: Apache-2.0
/*
 * Inside the job: reads one request a line, runs that case in a process of its own, answers one
 * line. A case may hang, crash or leave threads behind; the agent goes on.
 *
 *	before NAME KEY=VALUE...   ->  {"before":N}     opens what the case wants to have early
 *	drop                       ->  {"drop":0}       of all capabilities, for good
 *	NAME KEY=VALUE...          ->  {"errno":...}
 */
#include "bypass.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t last; /* the group of the last attempt: ended before the next */

void agent_attempt(const struct bypass_case *c, const struct request *r, struct attempt *a)
{
	struct attempt got = { .err = ETIMEDOUT, .said = "no end in time" };
	struct pollfd p = { .events = POLLIN };
	int fds[2], status = 0;
	ssize_t n = 0;
	pid_t pid;

	if (last > 0) {
		kill(-last, SIGKILL);
		last = 0;
	}
	if (pipe(fds) || (fflush(NULL), pid = fork()) < 0) {
		failed(a, "fork");
		return;
	}
	if (pid == 0) {
		memset(&got, 0, sizeof(got));
		setpgid(0, 0);
		signal(SIGPIPE, SIG_IGN);
		close(fds[0]);
		c->attempt(&r->target, &got);
		_exit(write(fds[1], &got, sizeof(got)) == sizeof(got) ? 0 : 1);
	}
	setpgid(pid, pid);
	close(fds[1]);
	p.fd = fds[0];
	if (poll(&p, 1, CASE_LIMIT_MS) == 1)
		n = read(fds[0], &got, sizeof(got));
	close(fds[0]);
	if (n != sizeof(got)) {
		kill(-pid, SIGKILL);
		waitpid(pid, &status, 0);
		if (n == 0 && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
			snprintf(got.said, sizeof(got.said), "died of signal %d", WTERMSIG(status));
	} else {
		waitpid(pid, NULL, 0);
		last = pid;
	}
	*a = got;
}

static int early[1024]; /* one descriptor a case and family */

static int *early_of(const struct bypass_case *c, int family)
{
	size_t at = 0;

	while (case_at(at) != c)
		at++;
	return &early[(at * 2 + (family == AF_INET6)) % (sizeof(early) / sizeof(*early))];
}

/* What was opened before the enforcer took hold, and is still there. */
static void inherit(void)
{
	char *all = getenv("BYPASS_EARLY"), *word, *eq, *save;
	const struct bypass_case *c;
	int fd, family;

	for (word = all ? strtok_r(all, ",", &save) : NULL; word;
	     word = strtok_r(NULL, ",", &save)) {
		eq = strchr(word, '=');
		if (!eq || eq == word)
			continue;
		fd = (int)strtol(eq + 1, NULL, 10);
		family = eq[-1] == '6' ? AF_INET6 : AF_INET;
		eq[-1] = '\0';
		c = case_named(word);
		if (c && fcntl(fd, F_GETFD) >= 0)
			*early_of(c, family) = fd;
	}
}

/* What was opened with them stays; a job is not to have them. */
static void drop(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	for (unsigned long c = 0; c < 64; c++)
		(void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	printf("{\"drop\":%d}\n", (int)syscall(SYS_capset, &head, none));
}

int agent_main(void)
{
	char line[2048], *word, *save;
	const struct bypass_case *c;
	struct request r;
	struct attempt a;
	bool before;
	int *fd;

	memset(early, -1, sizeof(early));
	signal(SIGPIPE, SIG_IGN);
	inherit();
	puts("{\"agent\":1}");
	while (fgets(line, sizeof(line), stdin)) {
		word = strtok_r(line, " \n", &save);
		if (word && !strcmp(word, "drop")) {
			drop();
			continue;
		}
		before = word && !strcmp(word, "before");
		if (before)
			word = strtok_r(NULL, " \n", &save);
		c = word ? case_named(word) : NULL;
		if (!c) {
			puts("{\"errno\":\"EINVAL\",\"said\":\"no such case\",\"absent\":false}");
			continue;
		}
		request_init(&r);
		while ((word = strtok_r(NULL, " \n", &save)))
			(void)request_set(&r, word);
		if (before) {
			fd = early_of(c, r.target.family);
			*fd = c->before ? c->before(&r.target) : -1;
			printf("{\"before\":%d}\n", *fd);
			continue;
		}
		r.target.early = *early_of(c, r.target.family);
		agent_attempt(c, &r, &a);
		attempt_write(&a, stdout);
		putchar('\n');
	}
	return 0;
}
