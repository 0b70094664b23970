/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts egret-broker as egretd would, under its own uid and with an empty environment, gives it
 * the store's folder and key, and ends it afterwards. Root only. The program is found beside this
 * one or in /usr/libexec/egret, and opened before the uid changes, so that a build in a closed home
 * works.
 */
#include "cli/secret_alone.h"

#include "base/msg.h"
#include "base/proto.h"
#include "base/storekey.h"
#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_MS 5000u
#define MEMLOCK (4u << 20)

static int program_open(int *ret_fd)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;
	int fd;

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		if (slash && (size_t)(slash - path) < sizeof(path) - 32) {
			snprintf(slash, 32, "/egret-broker");
			fd = open(path, O_PATH | O_CLOEXEC);
			if (fd >= 0) {
				*ret_fd = fd;
				return 0;
			}
		}
	}
	fd = open(EGRET_PREFIX "/libexec/egret/egret-broker", O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* The child: descriptor 3 is the socket, the rest is closed; a plain uid without groups. */
static _Noreturn void become_broker(int program, int sock, pid_t parent)
{
	const struct rlimit memlock = { MEMLOCK, MEMLOCK };
	char *argv[] = { (char *)"egret-broker", NULL }, *envp[] = { NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int high = fcntl(sock, F_DUPFD_CLOEXEC, 10), exe = fcntl(program, F_DUPFD_CLOEXEC, 10);

	if (null < 0 || high < 0 || exe < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(high, PROTO_SOCKET_FD) < 0 || setrlimit(RLIMIT_MEMLOCK, &memlock) < 0 ||
	    setgroups(0, NULL) < 0 ||
	    setresgid(STORE_BROKER_UID, STORE_BROKER_UID, STORE_BROKER_UID) < 0 ||
	    setresuid(STORE_BROKER_UID, STORE_BROKER_UID, STORE_BROKER_UID) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(126);
	/* Everything but 0 to 3 closes at exec, what the caller left open for us as well. */
	syscall(SYS_close_range, PROTO_SOCKET_FD + 1, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */);
	syscall(SYS_execveat, exe, "", argv, envp, AT_EMPTY_PATH);
	_exit(127);
}

static int start_message(int sock, int store, int key, int next, char *why, size_t size)
{
	struct str text = STR("it ended without a word");
	struct msg_out q;
	struct msg_in m;
	int r;

	msg_begin(&q, MSG_BROKER_START, 1);
	msg_put_fd(&q, TAG_FD_STORE_DIR, store);
	msg_put_fd(&q, TAG_FD_STORE_KEY, key);
	if (next >= 0)
		msg_put_fd(&q, TAG_FD_STORE_KEY_NEXT, next);
	r = cli_ask(sock, &q, &m);
	if (r < 0) {
		snprintf(why, size, "egret-broker does not answer: %s", strerror(-r));
		return r == -EPERM || r == -EINVAL ? -EIO : r;
	}
	if (m.type != MSG_OK) {
		if (msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text) < 0)
			text = STR("it did not say why");
		snprintf(why, size, "egret-broker does not start: %.*s", STR_ARG(text));
		r = -EIO;
	}
	msg_in_done(&m);
	return r;
}

int secret_alone_open(const char *state_dir, struct secret_alone *ret, char *why, size_t size)
{
	cleanup_close int store = -1, key = -1, next = -1, program = -1;
	struct secret_alone a = { 0 };
	pid_t parent = getpid();
	int pair[2], r;

	r = storekey_open(state_dir, &key, why, size);
	/* Of a rekey that was not finished. */
	if (r == 0) {
		r = storekey_next(state_dir, false, &next, why, size);
		r = r == -ENOENT ? 0 : r;
	}
	if (r == 0)
		r = store_dir_open(state_dir, STORE_BROKER_UID, &store, why, size);
	if (r < 0)
		return r;
	r = program_open(&program);
	if (r < 0) {
		snprintf(why, size,
			 "egret-broker is neither beside this program nor in /usr/libexec/egret");
		return r;
	}
	r = msg_pair(pair);
	if (r < 0) {
		snprintf(why, size, "no socket pair: %s", strerror(-r));
		return -EIO;
	}
	fflush(NULL);
	a.pid = fork();
	if (a.pid == 0)
		become_broker(program, pair[1], parent);
	close(pair[1]);
	a.sock = pair[0];
	if (a.pid < 0) {
		snprintf(why, size, "no process for egret-broker: %s", strerror(errno));
		close(a.sock);
		return -EIO;
	}
	r = start_message(a.sock, store, key, next, why, size);
	if (r < 0)
		secret_alone_close(&a);
	else
		*ret = a;
	return r;
}

void secret_alone_close(struct secret_alone *a)
{
	struct msg_out q;

	msg_begin(&q, MSG_STOP, 0);
	if (msg_send(a->sock, &q) < 0)
		msg_out_done(&q);
	close(a->sock); /* the broker ends with its socket, should it not have read the message */
	for (unsigned ms = 0; ms < END_MS; ms += 5) {
		if (waitpid(a->pid, NULL, WNOHANG) != 0)
			goto out;
		usleep(5000);
	}
	kill(a->pid, SIGKILL);
	waitpid(a->pid, NULL, 0);
out:
	*a = (struct secret_alone){ .sock = -1 };
}
