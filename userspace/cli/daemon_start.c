/* SPDX-License-Identifier: Apache-2.0 */
/* See daemon_start.h. Used by verb_run.c. run_dir comes from the configuration, read here only to
 * find the socket. */
#include "cli/daemon_start.h"

#include "cli/cli.h"
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define START_MS 20000
#define TRY_US 50000
#define TRIES 200

static int connect_to(const char *run_dir)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if ((size_t)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/control.sock", run_dir) >=
	    sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return TAKE_FD(fd);
}

void daemon_path(char *to, size_t n)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len > 0) {
		self[len] = 0;
		*strrchr(self, '/') = 0;
		snprintf(to, n, "%s/egretd", self);
		if (access(to, X_OK) == 0)
			return;
	}
	snprintf(to, n, EGRET_PREFIX "/sbin/egretd");
}

/* -1: it is ready; else its exit status. Its sentence went to our standard error. */
static int start_one(const char *config)
{
	char path[PATH_MAX + 16], fd_text[16];
	struct pollfd p;
	int ready[2], status = 0;
	pid_t pid;
	char byte;

	daemon_path(path, sizeof(path));
	if (pipe(ready) < 0)
		return cli_fail(125, "no pipe: %s", strerror(errno));
	fcntl(ready[0], F_SETFD, FD_CLOEXEC);
	snprintf(fd_text, sizeof(fd_text), "%d", ready[1]);
	pid = fork();
	if (pid < 0)
		return cli_fail(125, "egretd cannot be started: %s", strerror(errno));
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		/* Away from the caller's terminal session: its keys are for the command. Standard
		 * error stays, for sentences. */
		setsid();
		dup2(null, 0);
		dup2(null, 1);
		execl(path, "egretd", "--once", "--ready-fd", fd_text, config ? "--config" : NULL,
		      config, (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	p = (struct pollfd){ .fd = ready[0], .events = POLLIN };
	if (poll(&p, 1, START_MS) > 0 && read(ready[0], &byte, 1) == 1) {
		close(ready[0]);
		return -1;
	}
	close(ready[0]);
	if (p.revents == 0) {
		kill(pid, SIGTERM);
		return cli_fail(125, "egretd was not ready within 20 s");
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return cli_fail(125, "%s cannot be executed: install egret whole", path);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EX_TEMPFAIL)
		return EX_TEMPFAIL; /* another one holds the folders: it is starting, or ending */
	return WIFEXITED(status) && WEXITSTATUS(status) == 2 ? 2 : 125;
}

static struct str said(const struct msg_in *m, const char *key)
{
	size_t at = 0, n = strlen(key);
	struct str line;

	while (msg_each(m, TAG_TEXT, &at, &line))
		if (line.n > n && line.p[n] == '=' && !memcmp(line.p, key, n))
			return (struct str){ line.p + n + 1, line.n - n - 1 };
	return STR("");
}

/* Is the configuration that was asked for the one in force? -1: yes; EX_TEMPFAIL: no, but that
 * egretd is about to end; else an exit status. */
static int same_config(int sock, const char *config, const char *digest)
{
	struct msg_out q;
	struct msg_in m;
	int e = -1;

	msg_begin(&q, MSG_STATUS, 1);
	if (cli_ask(sock, &q, &m) < 0)
		return EX_TEMPFAIL;
	if (m.type != MSG_STATUS)
		e = EX_TEMPFAIL;
	else if (!str_is(said(&m, "config_digest"), digest) &&
		 str_is(said(&m, "ends_when_idle"), "yes") && str_is(said(&m, "jobs"), "0"))
		e = EX_TEMPFAIL;
	else if (!str_is(said(&m, "config_digest"), digest))
		e = cli_fail(2,
			     "--config %s: an egretd with another configuration runs in the same "
			     "run_dir: leave --config out, or give the file a run_dir of its own",
			     config);
	msg_in_done(&m);
	return e;
}

/* The jobs that follow the answer to MSG_STATUS are not for us: a fresh connection asks on. */
static int connect_checked(const char *dir, const char *config, const char *digest, int *ret)
{
	int sock = connect_to(dir), e;

	*ret = -1;
	if (sock < 0 || !config) {
		*ret = sock;
		return -1;
	}
	e = same_config(sock, config, digest);
	if (e < 0)
		*ret = connect_to(dir);
	close(sock);
	return e;
}

/* The folder of its control socket, and the digest of the configuration that was asked for. -1, or
 * an exit status. */
static int run_dir_of(const char *config, char *dir, size_t n, char *digest, size_t digest_n)
{
	cleanup_free struct config *c = mem_new(sizeof(*c));
	const char *run_dir = getenv("EGRET_RUN_DIR");
	char why[1024];
	int e;

	if (!config && run_dir) {
		snprintf(dir, n, "%s", run_dir);
		return -1;
	}
	e = config_load(config, c, why, sizeof(why));
	if (e < 0 && (config || geteuid() == 0))
		return cli_fail(2, "%s", why);
	snprintf(dir, n, "%s", e < 0 ? "/run/egret" : c->run_dir.p);
	snprintf(digest, digest_n, "%s", e < 0 ? "" : c->digest);
	if (e == 0)
		config_done(c);
	return -1;
}

int daemon_connect(const char *config, int *ret_sock, bool *ret_started)
{
	char digest[65] = "", dir[PATH_MAX];
	bool started = false;
	int sock, tries;
	int e = run_dir_of(config, dir, sizeof(dir), digest, sizeof(digest));

	if (e >= 0)
		return e;
	for (tries = 0; tries < TRIES; tries++) {
		e = connect_checked(dir, config, digest, &sock);
		if (e == EX_TEMPFAIL) {
			usleep(TRY_US);
			continue;
		}
		if (e >= 0)
			return e;
		if (sock >= 0) {
			*ret_sock = sock;
			*ret_started = started;
			return -1;
		}
		if (geteuid() != 0)
			return cli_fail(125,
					"no egretd runs here (%s), and starting one needs root: "
					"run \"sudo egret run ...\"",
					dir);
		e = start_one(config);
		if (e == EX_TEMPFAIL)
			usleep(TRY_US);
		else if (e >= 0)
			return e;
		else
			started = true;
	}
	return cli_fail(125, "egretd does not answer on %s/control.sock", dir);
}

void daemon_sweep(const char *config)
{
	char digest[65], dir[PATH_MAX];
	int sock;

	if (run_dir_of(config, dir, sizeof(dir), digest, sizeof(digest)) >= 0)
		return;
	sock = connect_to(dir);
	if (sock >= 0)
		close(sock); /* another one serves: it does the same */
	else
		(void)start_one(config);
}
